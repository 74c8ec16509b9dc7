//! Two runs over the same tokens: where their routing parts, and what each loses.
//!
//! A is what is compared with, B the run on screen.

use super::compare::NEAR_TIE;
use super::routing::{Margin, TokenRouting};
use crate::trace::{Dtype, TokenRecord};
use std::sync::Arc;

/// A token that two runs give to different experts in one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parting {
    /// Experts of A that B did not choose.
    pub exchanged: usize,
    /// Logit of the last chosen expert minus that of the best not chosen, of A and of B; `None` if not captured.
    pub gaps: [Option<f32>; 2],
    /// The gaps in steps of the dtype that was asked for.
    pub steps: [Option<f32>; 2],
}

impl Parting {
    /// Whether rounding alone could have turned the choice, of A or of B, as `mixscope diff` says it.
    pub fn is_near_tie(&self) -> bool {
        self.steps.iter().flatten().any(|steps| steps.abs() <= NEAR_TIE)
    }
}

/// Whether two records name the same experts in a layer, whatever their order; `None` if one does not say.
pub fn same_experts(a: &TokenRecord, b: &TokenRecord, layer: usize) -> Option<bool> {
    let (a, b) = (a.experts(layer)?, b.experts(layer)?);
    Some(a.len() == b.len() && a.iter().all(|expert| b.contains(expert)))
}

/// How the experts of a layer differ; `None` if they don't, or if a record does not say.
pub fn parting(a: &TokenRecord, b: &TokenRecord, layer: usize, dtype: Dtype) -> Option<Parting> {
    if same_experts(a, b, layer)? {
        return None;
    }
    let kept = b.experts(layer)?;
    let exchanged = a.experts(layer)?.iter().filter(|expert| !kept.contains(expert)).count();
    let margins = [a, b].map(|token| TokenRouting::choice(token, layer).and_then(|choice| choice.margin()));
    let steps = |margin: Margin| margin.gap / dtype.ulp(margin.scale);
    Some(Parting {
        exchanged,
        gaps: margins.map(|margin| margin.map(|margin| margin.gap)),
        steps: margins.map(|margin| margin.map(steps)),
    })
}

/// What one layer's routing differs in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerPartings {
    /// Positions whose experts differ, ascending, and whether rounding alone could have turned the choice.
    flips: Vec<(usize, bool)>,
    /// How many of them it could.
    near_ties: usize,
    /// Positions whose experts one of the runs does not name, ascending.
    unknown: Vec<usize>,
}

impl LayerPartings {
    /// Positions whose experts differ.
    pub fn flips(&self) -> usize {
        self.flips.len()
    }

    /// Those of them that rounding alone could have turned.
    pub fn near_ties(&self) -> usize {
        self.near_ties
    }

    fn count(&mut self, pos: usize, same: Option<bool>, flip: Option<Parting>) {
        if same.is_none() {
            self.unknown.push(pos);
        }
        if let Some(flip) = flip {
            self.near_ties += usize::from(flip.is_near_tie());
            self.flips.push((pos, flip.is_near_tie()));
        }
    }

    fn truncate(&mut self, len: usize) {
        let kept = self.flips.partition_point(|(pos, _)| *pos < len);
        self.near_ties -= self.flips.drain(kept..).filter(|(_, near)| *near).count();
        self.unknown.truncate(self.unknown.partition_point(|pos| *pos < len));
    }

    /// The position before or after `at` whose experts differ.
    pub fn next(&self, at: usize, forward: bool) -> Option<usize> {
        let found = if forward {
            self.flips.get(self.flips.partition_point(|(pos, _)| *pos <= at))
        } else {
            self.flips[..self.flips.partition_point(|(pos, _)| *pos < at)].last()
        };
        found.map(|(pos, _)| *pos)
    }
}

/// Losses of both up to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Losses {
    /// Sums of A and B, nats.
    sums: [f64; 2],
    /// Tokens that both have a loss of.
    tokens: usize,
}

/// Counts over two runs, which grow with each token and shrink when tokens are forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    dtype: Dtype,
    layers: Vec<LayerPartings>,
    /// Up to and with each position.
    losses: Vec<Losses>,
}

impl Differences {
    /// Of two empty runs; rounding is that of `dtype`.
    pub fn new(layers: usize, dtype: Dtype) -> Self {
        Self { dtype, layers: vec![LayerPartings::default(); layers], losses: Vec::new() }
    }

    /// Tokens compared.
    pub fn tokens(&self) -> usize {
        self.losses.len()
    }

    /// The dtype whose rounding is meant.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// One entry a layer.
    pub fn layers(&self) -> &[LayerPartings] {
        &self.layers
    }

    /// Choices of experts that both runs name.
    pub fn choices(&self) -> usize {
        self.layers.iter().map(|layer| self.tokens() - layer.unknown.len()).sum()
    }

    /// Choices of experts that differ, and those of them that rounding alone could have turned.
    pub fn flips(&self) -> (usize, usize) {
        self.layers.iter().fold((0, 0), |(flips, near), layer| (flips + layer.flips(), near + layer.near_ties()))
    }

    /// Mean losses of A and B over the same tokens, nats.
    pub fn mean_losses(&self) -> Option<[f64; 2]> {
        let last = self.losses.last().filter(|last| last.tokens > 0)?;
        Some(last.sums.map(|sum| sum / last.tokens as f64))
    }

    /// The position before or after `at` where any layer's experts differ.
    pub fn next(&self, at: usize, forward: bool) -> Option<usize> {
        let found = self.layers.iter().filter_map(|layer| layer.next(at, forward));
        if forward { found.min() } else { found.max() }
    }

    /// Goes on to the end of the shorter of the two runs.
    pub fn extend(&mut self, a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) {
        let done = self.tokens().min(a.len()).min(b.len());
        for (pos, (a, b)) in (done..).zip(a[done..].iter().zip(&b[done..])) {
            for (layer, partings) in self.layers.iter_mut().enumerate() {
                partings.count(pos, same_experts(a, b, layer), parting(a, b, layer, self.dtype));
            }
            let mut losses = self.losses.last().copied().unwrap_or_default();
            if let (Some(a), Some(b)) = (a.score, b.score) {
                losses.sums[0] += f64::from(a.nll);
                losses.sums[1] += f64::from(b.nll);
                losses.tokens += 1;
            }
            self.losses.push(losses);
        }
    }

    /// Forgets everything from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.losses.truncate(len);
        self.layers.iter_mut().for_each(|layer| layer.truncate(len));
    }
}

/// Tokens at the start that two runs share, by what they say.
pub fn shared(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a.id == b.id).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{HookKind, HookValues, Prediction, Row, Score, Source};

    fn token(nll: Option<f32>, experts: [u32; 2], logits: [f32; 4]) -> Arc<TokenRecord> {
        let mut values = HookValues::new(1);
        values.insert(HookKind::ExpertIndices.at(0), Row::U32(experts.into()));
        values.insert(HookKind::RouterLogits.at(0), Row::F32(logits.into()));
        Arc::new(TokenRecord {
            id: 1,
            piece: "a".into(),
            source: Source::Prompt,
            score: nll.map(|nll| Score { nll, entropy: 1.0, rank: 1 }),
            next: Arc::new(Prediction::absent()),
            values: Arc::new(values),
        })
    }

    #[test]
    fn flips_and_losses_are_those_of_a_count_from_the_start() {
        let logits = [4.0, 2.0, 1.0, 1.984_375];
        let a = [None, Some(1.0), Some(2.0)].map(|nll| token(nll, [0, 1], logits));
        let b = [
            token(None, [1, 0], logits),
            token(Some(1.5), [0, 3], [4.0, 1.968_75, 1.0, 2.0]),
            token(Some(4.0), [2, 3], [0.0, 1.0, 4.0, 3.0]),
        ];
        assert_eq!(parting(&a[0], &b[0], 0, Dtype::Bf16), None, "the same experts in another order");
        let near = parting(&a[1], &b[1], 0, Dtype::Bf16).unwrap();
        assert_eq!((near.exchanged, near.is_near_tie()), (1, true), "{near:?}");
        assert!(!parting(&a[1], &b[1], 0, Dtype::F32).unwrap().is_near_tie());
        // Against its own margin of A it is narrow, whatever B says.
        assert_eq!(parting(&a[2], &b[2], 0, Dtype::Bf16).map(|parting| parting.exchanged), Some(2));

        let mut found = Differences::new(1, Dtype::Bf16);
        found.extend(&a[..2], &b);
        assert_eq!((found.tokens(), found.flips(), found.mean_losses()), (2, (1, 1), Some([1.0, 1.5])));
        assert_eq!(found.choices(), 2);
        let before = found.clone();
        found.extend(&a, &b);
        assert_eq!((found.flips().0, found.mean_losses()), (2, Some([1.5, 2.75])));
        assert_eq!((found.next(0, true), found.next(1, true), found.next(1, false)), (Some(1), Some(2), None));
        found.truncate(2);
        assert_eq!(found, before);
        assert_eq!(shared(&a, &b), 3);

        // A run that does not name its experts is not one without flips.
        let mut silent = b.to_vec();
        Arc::make_mut(&mut silent[1]).values = Arc::new(HookValues::new(1));
        let mut found = Differences::new(1, Dtype::Bf16);
        found.extend(&a, &silent);
        assert_eq!((found.choices(), found.flips().0), (2, 1));
        found.truncate(1);
        assert_eq!((found.choices(), found.flips()), (1, (0, 0)));
    }
}
