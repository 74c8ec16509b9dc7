use crate::analysis::distribution::log_softmax;
use serde::Serialize;

/// Summed losses of two runs over the tokens that both have a loss for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairedLoss {
    /// Sums of A and B, nats.
    sums: [f64; 2],
    tokens: usize,
}

impl PairedLoss {
    /// Adds the losses of one token, nats.
    pub fn add(&mut self, a: f32, b: f32) {
        self.sums[0] += f64::from(a);
        self.sums[1] += f64::from(b);
        self.tokens += 1;
    }

    /// Mean losses of A and B, nats; `None` if no token was added.
    pub fn means(&self) -> Option<[f64; 2]> {
        (self.tokens > 0).then(|| self.sums.map(|sum| sum / self.tokens as f64))
    }
}

/// How one recording predicted the run's tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// -log p of each token but the first, nats `[pos - 1]`.
    pub nll: Option<Vec<f32>>,
    /// The most probable token after each position `[pos]`.
    pub top: Option<Vec<u32>>,
}

impl Predictions {
    /// The predictions of logits `[pos, vocab]`.
    pub fn of(logits: &[f32], tokens: &[u32]) -> Self {
        let vocab = (logits.len() / tokens.len().max(1)).max(1);
        let rows = || logits.chunks_exact(vocab);
        let nll = |(row, next): (&[f32], &u32)| {
            let log_probs = log_softmax(row.iter().map(|x| f64::from(*x)).collect());
            log_probs.get(*next as usize).map_or(f32::NAN, |log| -log as f32)
        };
        let best = |row: &[f32]| {
            let first = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
            (0..row.len()).fold(0, first) as u32
        };
        Self { nll: Some(rows().zip(tokens.iter().skip(1)).map(nll).collect()), top: Some(rows().map(best).collect()) }
    }

    /// Keeps what was predicted of and after the first `tokens` tokens.
    pub(super) fn truncate(&mut self, tokens: usize) {
        if let Some(nll) = &mut self.nll {
            nll.truncate(tokens.saturating_sub(1));
        }
        if let Some(top) = &mut self.top {
            top.truncate(tokens);
        }
    }
}

/// How the predictions differ.
#[derive(Clone, Debug, Serialize)]
pub struct LossDiff {
    /// Mean loss of A and B, nats; `None` with one token.
    pub mean: [Option<f64>; 2],
    /// Largest difference between the losses of a token, nats.
    pub max_abs: f64,
    /// Positions at which the most probable next token differs, and positions compared; `None` if a recording lacks it.
    pub top_changed: Option<[usize; 2]>,
    /// Loss of each token but the first, nats, of A and B `[pos - 1]`.
    pub nll: [Vec<f32>; 2],
}

impl LossDiff {
    /// The difference of A and B; `None` if one of them lacks losses.
    pub(super) fn of(a: &Predictions, b: &Predictions) -> Option<Self> {
        let nll = [a.nll.clone()?, b.nll.clone()?];
        let mut paired = PairedLoss::default();
        nll[0].iter().zip(&nll[1]).for_each(|(a, b)| paired.add(*a, *b));
        let pairs = nll[0].iter().zip(&nll[1]);
        let max_abs = pairs.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        let top_changed = a.top.as_ref().zip(b.top.as_ref()).map(|(a, b)| {
            let pairs = || a.iter().zip(b);
            [pairs().filter(|(a, b)| a != b).count(), pairs().count()]
        });
        let mean = paired.means().map_or([None; 2], |means| means.map(Some));
        Some(Self { mean, max_abs, top_changed, nll })
    }

    /// Mean loss of B minus that of A, nats.
    pub fn change(&self) -> Option<f64> {
        Some(self.mean[1]? - self.mean[0]?)
    }
}
