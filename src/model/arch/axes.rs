//! The axes in which families of models differ.

use crate::model::precision::{Precision, Rounding};
use crate::trace::Dims;

/// How a model computes. Sizes that a trace needs are in [`Arch::dims`], the window of attention and the number of
/// experts among them; every other difference has its own axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Arch {
    /// The sizes.
    pub dims: Dims,
    /// The number that RMSNorm adds to the mean square.
    pub eps: f64,
    /// Whether the unembedding shares the weights of the embedding.
    pub tied: bool,
    /// Positions.
    pub rope: Rope,
    /// The experts of every layer.
    pub moe: Moe,
}

/// Rotary position embeddings (RoPE).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Component pair `i` of a head turns by `base^(-2i / d_head)` per position.
    pub base: f64,
}

/// How a layer's router chooses experts and weighs them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moe {
    /// The rounding of the router's softmax where the precision policy has none.
    pub softmax: Rounding,
    /// Whether the chosen experts' probabilities are divided by their sum.
    pub renormalise: bool,
    /// Which tokens an expert's output is added to.
    pub dispatch: Dispatch,
}

/// Which tokens an expert's output is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// To the tokens that chose the expert.
    Chosen,
    /// To all tokens of the pass, as TransformerLens 1.17 to 2.0 did: a suspect when a port is wrong.
    WholeSequence,
}

impl Arch {
    /// `precision` with the roundings that the model has under every policy.
    pub fn rounding(&self, precision: Precision) -> Precision {
        Precision { choice: precision.choice.or(self.moe.softmax), ..precision }
    }
}
