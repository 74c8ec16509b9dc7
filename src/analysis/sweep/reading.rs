use serde::{Deserialize, Serialize};

/// How tokens came to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Tokens of the corpus.
    Prefill,
    /// Tokens that the model generated after them.
    Decode,
}

impl Phase {
    /// Both.
    pub const ALL: [Phase; 2] = [Phase::Prefill, Phase::Decode];

    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// The place of a window in the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The part of a text, counted over the whole corpus, from 0.
    pub part: u64,
    /// The window in that part, from 0.
    pub window: u64,
}

/// One window as the model read it. Rows are positions.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The group of its text.
    pub group: String,
    /// Where it is.
    pub place: Place,
    /// Whether its part is the first of its text.
    pub is_first_part: bool,
    /// How its counted tokens came to be read.
    pub phase: Phase,
    /// The token ids `[pos]`.
    pub ids: Vec<u32>,
    /// The first position that counts: those before it are counted elsewhere.
    pub from: usize,
    /// The most probable token after each position `[pos]`; empty if it is not known.
    pub predicted: Vec<u32>,
    /// The loss of each token given those before it, nats `[pos]`; the first is not used. Empty if it is not known.
    pub nll: Vec<f32>,
    /// What the router did, by layer.
    pub layers: Vec<LayerReading>,
}

/// The routing of a window in one layer. What is not known is empty.
#[derive(Clone, Debug, Default)]
pub struct LayerReading {
    /// Chosen experts, best first `[pos, k]`.
    pub chosen: Vec<u32>,
    /// Router logits `[pos, experts]`.
    pub logits: Vec<f32>,
    /// Router probabilities over all experts `[pos, experts]`.
    pub probs: Vec<f32>,
    /// Mixing weights of the chosen experts `[pos, k]`.
    pub weights: Vec<f32>,
    /// L2 norm of each chosen expert's output before weighting `[pos, k]`.
    pub norms: Vec<f64>,
    /// Largest magnitude in each chosen expert's output `[pos, k]`.
    pub largest: Vec<f32>,
}

impl LayerReading {
    /// Row `pos` of values with `width` numbers a row; empty if they are not known.
    pub fn row<T>(values: &[T], pos: usize, width: usize) -> &[T] {
        values.get(pos * width..(pos + 1) * width).unwrap_or_default()
    }
}
