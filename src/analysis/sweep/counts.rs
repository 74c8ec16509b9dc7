use super::reading::{LayerReading, Reading};
use super::shape::Shape;
use super::sum::Sum;
use crate::analysis::distribution::entropy;
use crate::analysis::routing::TokenRouting;
use crate::trace::Dtype;

/// What is counted in each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Tokens.
    Tokens,
    /// Tokens with a margin: the logits are known and an expert was rejected.
    Margins,
    /// Of those, tokens that one ulp could have sent to another expert.
    NearTies,
    /// Tokens whose first choice an expert is `[experts]`.
    First,
    /// Tokens that chose an expert `[experts]`.
    Chosen,
    /// The same without tokens that are near-ties `[experts]`.
    Clear,
    /// Tokens that chose both experts of a pair `[pairs]`.
    Pairs,
    /// Tokens that chose them on neighbouring ranks `[pairs]`.
    Adjacent,
    /// Tokens whose first choice is one expert here and another in the next layer `[experts, experts]`.
    NextFirst,
    /// Tokens that chose one expert here and another in the next layer `[experts, experts]`.
    NextChosen,
    /// Tokens with a token before them in their window.
    Neighbours,
    /// Of those, tokens with the first choice of the token before.
    SameFirst,
    /// Of those, tokens that share an expert with the token before.
    SameAny,
    /// [`Count::First`] by range of positions `[ranges, experts]`.
    PlaceFirst,
    /// [`Count::Chosen`] by range of positions `[ranges, experts]`.
    PlaceChosen,
}

impl Count {
    /// All of them.
    pub const ALL: [Count; 15] = [
        Count::Tokens,
        Count::Margins,
        Count::NearTies,
        Count::First,
        Count::Chosen,
        Count::Clear,
        Count::Pairs,
        Count::Adjacent,
        Count::NextFirst,
        Count::NextChosen,
        Count::Neighbours,
        Count::SameFirst,
        Count::SameAny,
        Count::PlaceFirst,
        Count::PlaceChosen,
    ];

    /// The name in the file of a sweep.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Margins => "margins",
            Self::NearTies => "near_ties",
            Self::First => "first",
            Self::Chosen => "chosen",
            Self::Clear => "clear",
            Self::Pairs => "pairs",
            Self::Adjacent => "adjacent",
            Self::NextFirst => "next_first",
            Self::NextChosen => "next_chosen",
            Self::Neighbours => "neighbours",
            Self::SameFirst => "same_first",
            Self::SameAny => "same_any",
            Self::PlaceFirst => "place_first",
            Self::PlaceChosen => "place_chosen",
        }
    }

    /// How many numbers a layer has.
    pub fn width(self, shape: Shape) -> usize {
        match self {
            Self::Tokens | Self::Margins | Self::NearTies | Self::Neighbours | Self::SameFirst | Self::SameAny => 1,
            Self::First | Self::Chosen | Self::Clear => shape.experts,
            Self::Pairs | Self::Adjacent => shape.pairs(),
            Self::NextFirst | Self::NextChosen => shape.experts * shape.experts,
            Self::PlaceFirst | Self::PlaceChosen => shape.ranges() * shape.experts,
        }
    }
}

/// What is summed in each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Entropy of the router's probabilities, nats.
    Entropy,
    /// Logit of the last chosen expert minus that of the best rejected one.
    Margin,
    /// Mixing weights of an expert where it was chosen `[experts]`.
    Weight,
    /// Probabilities of an expert over all tokens `[experts]`.
    Prob,
    /// Norms of an expert's outputs where it was chosen `[experts]`.
    Norm,
    /// The same, each times its mixing weight `[experts]`.
    WeightedNorm,
}

impl Total {
    /// All of them.
    pub const ALL: [Total; 6] =
        [Total::Entropy, Total::Margin, Total::Weight, Total::Prob, Total::Norm, Total::WeightedNorm];

    /// The name in the file of a sweep.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entropy => "entropy",
            Self::Margin => "margin",
            Self::Weight => "weight",
            Self::Prob => "prob",
            Self::Norm => "norm",
            Self::WeightedNorm => "weighted_norm",
        }
    }

    /// How many sums a layer has.
    pub fn width(self, shape: Shape) -> usize {
        if matches!(self, Self::Entropy | Self::Margin) { 1 } else { shape.experts }
    }
}

/// The counts and sums of one group in one phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    shape: Shape,
    /// Windows.
    pub windows: u64,
    /// Tokens.
    pub tokens: u64,
    /// Tokens with a loss: those with a token before them in their window.
    pub scored: u64,
    /// Of those, tokens that were the most probable one.
    pub right: u64,
    /// Sum of the losses, nats.
    pub loss: Sum,
    /// By [`Count`] `[layers, width]`.
    pub(super) counts: Vec<Vec<u64>>,
    /// By [`Total`] `[layers, width]`.
    pub(super) totals: Vec<Vec<Sum>>,
    /// Largest magnitude in an expert's outputs `[layers, experts]`.
    pub(super) largest: Vec<f32>,
}

impl Counts {
    /// Nothing yet.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            windows: 0,
            tokens: 0,
            scored: 0,
            right: 0,
            loss: Sum::default(),
            counts: Count::ALL.iter().map(|count| vec![0; shape.layers * count.width(shape)]).collect(),
            totals: Total::ALL.iter().map(|total| vec![Sum::default(); shape.layers * total.width(shape)]).collect(),
            largest: vec![0.0; shape.layers * shape.experts],
        }
    }

    /// The sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The numbers of a layer.
    pub fn of(&self, count: Count, layer: usize) -> &[u64] {
        let width = count.width(self.shape);
        &self.counts[count as usize][layer * width..(layer + 1) * width]
    }

    /// The first number of a layer.
    pub fn one(&self, count: Count, layer: usize) -> u64 {
        self.of(count, layer).first().copied().unwrap_or(0)
    }

    /// The sums of a layer.
    pub fn total(&self, total: Total, layer: usize) -> &[Sum] {
        let width = total.width(self.shape);
        &self.totals[total as usize][layer * width..(layer + 1) * width]
    }

    /// The largest magnitude in the outputs of each expert of a layer.
    pub fn largest(&self, layer: usize) -> &[f32] {
        &self.largest[layer * self.shape.experts..][..self.shape.experts]
    }

    /// Counts a window. Near-ties are those of `dtype`.
    pub fn add(&mut self, reading: &Reading, dtype: Dtype) {
        self.windows += 1;
        self.tokens += (reading.ids.len() - reading.from) as u64;
        for pos in reading.from.max(1)..reading.ids.len() {
            if let (Some(nll), Some(predicted)) = (reading.nll.get(pos), reading.predicted.get(pos - 1)) {
                self.loss.add(f64::from(*nll));
                self.scored += 1;
                self.right += u64::from(*predicted == reading.ids[pos]);
            }
        }
        for layer in 0..self.shape.layers {
            for pos in reading.from..reading.ids.len() {
                self.token(reading, layer, pos, dtype);
            }
        }
    }

    fn slot(&mut self, count: Count, layer: usize) -> &mut [u64] {
        let width = count.width(self.shape);
        &mut self.counts[count as usize][layer * width..(layer + 1) * width]
    }

    fn sums(&mut self, total: Total, layer: usize) -> &mut [Sum] {
        let width = total.width(self.shape);
        &mut self.totals[total as usize][layer * width..(layer + 1) * width]
    }

    fn token(&mut self, reading: &Reading, l: usize, pos: usize, dtype: Dtype) {
        let Shape { experts, top_k: k, .. } = self.shape;
        let shape = self.shape;
        let layer = &reading.layers[l];
        let chosen_at = |layer: usize, pos| LayerReading::row(&reading.layers[layer].chosen, pos, k);
        let chosen = chosen_at(l, pos);
        let Some(first) = chosen.first().map(|expert| *expert as usize) else { return };
        self.slot(Count::Tokens, l)[0] += 1;
        self.slot(Count::First, l)[first] += 1;
        let range = Shape::range_of(pos.min(shape.window - 1)) * experts;
        self.slot(Count::PlaceFirst, l)[range + first] += 1;

        let probs = LayerReading::row(&layer.probs, pos, experts);
        let weights = LayerReading::row(&layer.weights, pos, k);
        let logits = LayerReading::row(&layer.logits, pos, experts);
        let margin = TokenRouting { logits, probs, chosen, weights }.margin();
        let is_near_tie = margin.is_some_and(|margin| margin.is_near_tie(dtype));
        if let Some(margin) = margin {
            self.slot(Count::Margins, l)[0] += 1;
            self.slot(Count::NearTies, l)[0] += u64::from(is_near_tie);
            self.sums(Total::Margin, l)[0].add(f64::from(margin.gap));
        }
        if !probs.is_empty() {
            self.sums(Total::Entropy, l)[0].add(f64::from(entropy(probs)));
            self.sums(Total::Prob, l).iter_mut().zip(probs).for_each(|(sum, prob)| sum.add(f64::from(*prob)));
        }
        let norms = LayerReading::row(&layer.norms, pos, k);
        let largest = LayerReading::row(&layer.largest, pos, k);
        for (slot, expert) in chosen.iter().map(|expert| *expert as usize).enumerate() {
            self.slot(Count::Chosen, l)[expert] += 1;
            self.slot(Count::Clear, l)[expert] += u64::from(!is_near_tie);
            self.slot(Count::PlaceChosen, l)[range + expert] += 1;
            if let Some(weight) = weights.get(slot) {
                self.sums(Total::Weight, l)[expert].add(f64::from(*weight));
            }
            if let Some(norm) = norms.get(slot) {
                self.sums(Total::Norm, l)[expert].add(*norm);
                let weight = weights.get(slot).map_or(0.0, |weight| f64::from(*weight));
                self.sums(Total::WeightedNorm, l)[expert].add(weight * norm);
            }
            if let Some(magnitude) = largest.get(slot) {
                let most = &mut self.largest[l * experts + expert];
                *most = most.max(*magnitude);
            }
            for (apart, other) in chosen[slot + 1..].iter().enumerate() {
                let pair = shape.pair(expert, *other as usize);
                self.slot(Count::Pairs, l)[pair] += 1;
                self.slot(Count::Adjacent, l)[pair] += u64::from(apart == 0);
            }
        }
        if l + 1 < shape.layers {
            let next = chosen_at(l + 1, pos);
            if let Some(to) = next.first() {
                self.slot(Count::NextFirst, l)[first * experts + *to as usize] += 1;
            }
            for from in chosen {
                for to in next {
                    self.slot(Count::NextChosen, l)[*from as usize * experts + *to as usize] += 1;
                }
            }
        }
        if pos > 0 {
            let before = chosen_at(l, pos - 1);
            self.slot(Count::Neighbours, l)[0] += 1;
            self.slot(Count::SameFirst, l)[0] += u64::from(before.first() == chosen.first());
            self.slot(Count::SameAny, l)[0] += u64::from(chosen.iter().any(|expert| before.contains(expert)));
        }
    }

    /// Adds the counts of another part of the corpus, which have the same sizes.
    pub fn merge(&mut self, other: &Self) {
        // Counts from a file may be any.
        self.windows = self.windows.saturating_add(other.windows);
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.scored = self.scored.saturating_add(other.scored);
        self.right = self.right.saturating_add(other.right);
        self.loss = self.loss.plus(other.loss);
        for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine = mine.saturating_add(*theirs);
        }
        for (mine, theirs) in self.totals.iter_mut().flatten().zip(other.totals.iter().flatten()) {
            *mine = mine.plus(*theirs);
        }
        for (mine, theirs) in self.largest.iter_mut().zip(&other.largest) {
            *mine = mine.max(*theirs);
        }
    }
}
