use super::flip::{Flip, same_set};
use super::loss::PairedLoss;
use crate::analysis::routing::TokenRouting;
use crate::trace::{Dtype, TokenRecord};
use std::sync::Arc;

/// Whether two records name the same experts in a layer, in any order; `None` if one of them lacks the layer's experts.
pub fn same_experts(a: &TokenRecord, b: &TokenRecord, layer: usize) -> Option<bool> {
    Some(same_set(a.experts(layer)?, b.experts(layer)?))
}

/// How the routing of one layer differs between two live runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerFlips {
    /// By position, ascending.
    flips: Vec<Flip>,
    /// How many of them are within rounding.
    within_rounding: usize,
    /// Positions at which one of the runs lacks the layer's experts, ascending.
    unknown: Vec<usize>,
}

impl LayerFlips {
    /// The flips by position, ascending.
    pub fn flips(&self) -> &[Flip] {
        &self.flips
    }

    /// How many flips are within rounding.
    pub fn within_rounding(&self) -> usize {
        self.within_rounding
    }

    /// The flip at a position, if there is one.
    pub fn at(&self, position: usize) -> Option<&Flip> {
        let at = self.flips.binary_search_by_key(&position, |flip| flip.position).ok()?;
        Some(&self.flips[at])
    }

    fn add(&mut self, (layer, position): (usize, usize), [a, b]: [&TokenRecord; 2], dtype: Dtype) {
        let choices = TokenRouting::choice(a, layer).zip(TokenRouting::choice(b, layer));
        let Some((a, b)) = choices else { return self.unknown.push(position) };
        if let Some(flip) = Flip::of(layer, position, [a, b], dtype) {
            self.within_rounding += usize::from(flip.is_within_rounding());
            self.flips.push(flip);
        }
    }

    fn truncate(&mut self, len: usize) {
        let kept = self.flips.partition_point(|flip| flip.position < len);
        self.within_rounding -= self.flips.drain(kept..).filter(Flip::is_within_rounding).count();
        self.unknown.truncate(self.unknown.partition_point(|position| *position < len));
    }
}

/// The difference of two live runs over the same tokens: A is the baseline, B the run on screen. It grows with each token
/// and shrinks when tokens are forgotten.
///
/// Flips and losses are defined as for recorded runs, except for the dtype of the ulps. Here it is the dtype in which the
/// router rounds under the `hf` policies, so that a live margin does not change its unit with the policy. A comparison of
/// recordings knows only how the logits are stored and takes that dtype.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDiff {
    dtype: Dtype,
    layers: Vec<LayerFlips>,
    /// Losses up to and including each position.
    losses: Vec<PairedLoss>,
}

impl RunDiff {
    /// The difference of two empty runs. Ulps are those of `dtype`.
    pub fn new(layers: usize, dtype: Dtype) -> Self {
        Self { dtype, layers: vec![LayerFlips::default(); layers], losses: Vec::new() }
    }

    /// Tokens compared.
    pub fn tokens(&self) -> usize {
        self.losses.len()
    }

    /// The dtype of the ulps.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// One entry per layer.
    pub fn layers(&self) -> &[LayerFlips] {
        &self.layers
    }

    /// The flip of a token in a layer, if there is one.
    pub fn flip(&self, position: usize, layer: usize) -> Option<&Flip> {
        self.layers.get(layer)?.at(position)
    }

    /// How many choices of experts are recorded in both runs.
    pub fn choices(&self) -> usize {
        self.layers.iter().map(|layer| self.tokens() - layer.unknown.len()).sum()
    }

    /// How many choices of experts differ, and how many of these are within rounding.
    pub fn flips(&self) -> (usize, usize) {
        let add = |(flips, within), layer: &LayerFlips| (flips + layer.flips.len(), within + layer.within_rounding);
        self.layers.iter().fold((0, 0), add)
    }

    /// Mean losses of A and B over the same tokens, nats.
    pub fn mean_losses(&self) -> Option<[f64; 2]> {
        self.losses.last()?.means()
    }

    /// Adds the tokens that were not compared yet, up to the end of the shorter run.
    pub fn extend(&mut self, a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) {
        let done = self.tokens().min(a.len()).min(b.len());
        for (position, (a, b)) in (done..).zip(a[done..].iter().zip(&b[done..])) {
            for (layer, flips) in self.layers.iter_mut().enumerate() {
                flips.add((layer, position), [a, b], self.dtype);
            }
            let mut losses = self.losses.last().copied().unwrap_or_default();
            if let (Some(a), Some(b)) = (a.score, b.score) {
                losses.add(a.nll, b.nll);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::diff::shared;
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
            sites: Vec::new(),
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
        let diff = |dtype| {
            let mut found = RunDiff::new(1, dtype);
            found.extend(&a, &b);
            found
        };
        let found = diff(Dtype::Bf16);
        assert_eq!(found.flip(0, 0), None, "the same experts in another order");
        let near = found.flip(1, 0).unwrap();
        assert_eq!((near.exchanged(), near.is_within_rounding()), (1, true), "{near:?}");
        assert!(!diff(Dtype::F32).flip(1, 0).unwrap().is_within_rounding());
        // The margin of A is narrow, whatever that of B is.
        assert_eq!(found.flip(2, 0).map(Flip::exchanged), Some(2));

        let mut found = RunDiff::new(1, Dtype::Bf16);
        found.extend(&a[..2], &b);
        assert_eq!((found.tokens(), found.flips(), found.mean_losses()), (2, (1, 1), Some([1.0, 1.5])));
        assert_eq!(found.choices(), 2);
        let before = found.clone();
        found.extend(&a, &b);
        assert_eq!((found.flips().0, found.mean_losses()), (2, Some([1.5, 2.75])));
        let positions =
            |found: &RunDiff| found.layers()[0].flips().iter().map(|flip| flip.position).collect::<Vec<_>>();
        assert_eq!(positions(&found), [1, 2]);
        found.truncate(2);
        assert_eq!(found, before);
        assert_eq!(shared(&a, &b), 3);

        // A run without experts is not a run without flips.
        let mut without_experts = b.to_vec();
        Arc::make_mut(&mut without_experts[1]).values = Arc::new(HookValues::new(1));
        let mut found = RunDiff::new(1, Dtype::Bf16);
        found.extend(&a, &without_experts);
        assert_eq!((found.choices(), found.flips().0), (2, 1));
        found.truncate(1);
        assert_eq!((found.choices(), found.flips()), (1, (0, 0)));
    }
}
