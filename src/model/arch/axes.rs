//! The axes in which families of models differ.

use super::names::Names;
use crate::model::precision::{NormRounding, Precision, Rounding};
use crate::trace::Dims;

/// How a model computes. Sizes that a trace needs are in [`Arch::dims`], the windows of attention, the layers without a
/// router and the number of experts among them; every other difference has its own axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Arch {
    /// The sizes.
    pub dims: Dims,
    /// The number that RMSNorm adds to the mean square.
    pub eps: f64,
    /// Where RMSNorm rounds.
    pub norm: NormRounding,
    /// Whether the unembedding shares the weights of the embedding.
    pub tied: bool,
    /// Positions.
    pub rope: Rope,
    /// Attention.
    pub attn: Attn,
    /// The experts of every layer with a router.
    pub moe: Moe,
    /// Constant factors of the residual stream.
    pub multipliers: Multipliers,
    /// The names of its tensors.
    pub names: Names,
}

/// Rotary position embeddings (RoPE).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// Component pair `i` of a head turns by `base^(-2i / d_head)` per position.
    pub base: f64,
    /// Frequencies for a longer context than the model was first trained for.
    pub yarn: Option<Yarn>,
}

/// YaRN (arXiv 2309.00071): slow pairs turn `factor` times slower, fast ones as before, and those between in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// The longer context divided by the first one.
    pub factor: f64,
    /// Pairs with at least so many turns in the first context are fast.
    pub beta_fast: f64,
    /// Pairs with at most so many turns in the first context are slow.
    pub beta_slow: f64,
    /// The first context.
    pub original: f64,
    /// Whether the bounds between fast and slow pairs are whole pairs.
    pub truncate: bool,
    /// Factor of cosines and sines.
    pub attention_factor: f64,
}

impl Yarn {
    /// The pairs between which the share of slow turning goes from 0 to 1, for heads of width `d_head` and RoPE's `base`.
    pub fn ramp(&self, d_head: usize, base: f64) -> [f64; 2] {
        let pair = |turns: f64| {
            d_head as f64 * (self.original / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * base.ln())
        };
        let [low, high] = [pair(self.beta_fast), pair(self.beta_slow)];
        let [low, high] = if self.truncate { [low.floor(), high.ceil()] } else { [low, high] };
        let [low, high] = [low.max(0.0), high.min(d_head as f64 - 1.0)];
        // The ramp has no width of 0.
        [low, if low == high { high + 0.001 } else { high }]
    }
}

/// What attention does besides the dot products, the softmax and the sum over the values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attn {
    /// RMSNorm of queries and keys before RoPE.
    pub qk_norm: Option<QkNorm>,
    /// Queries, keys and values are clamped to this magnitude, after the norm of queries and keys.
    pub clip: Option<f32>,
    /// Whether the projections of queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub o_bias: bool,
    /// Whether each head has a score that joins the softmax and has no value, so that the weights of keys sum to less than 1.
    pub sinks: bool,
    /// The factor of the dot product of query and key; `None`: `1 / sqrt(d_head)`.
    pub scale: Option<f32>,
}

/// What the RMSNorm of queries and keys is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// All heads together; the gain is as wide as the projection.
    Projection,
    /// Each head alone; all heads share a gain.
    Head,
}

/// How a layer's router chooses experts and weighs them, and what the experts compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moe {
    /// The rounding of the router's softmax where the precision policy has none.
    pub softmax: Rounding,
    /// Whether the chosen experts' probabilities are divided by their sum. A softmax over the chosen experts' logits only is
    /// the same.
    pub renormalise: bool,
    /// Whether mixing weights are rounded as router logits are, and weighted outputs with them.
    pub weights_as_logits: bool,
    /// Which tokens an expert's output is added to.
    pub dispatch: Dispatch,
    /// What an expert does between its matrices.
    pub activation: Glu,
    /// Whether router and experts have biases.
    pub bias: bool,
}

/// What an expert does with its gate and up projections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Glu {
    /// `silu(gate) · up`.
    Silu,
    /// `g · sigmoid(alpha · g) · (u + 1)` with `g = min(gate, limit)` and `u` = up clamped to ± `limit`.
    Clamped {
        /// Factor within the sigmoid.
        alpha: f32,
        /// The clamp.
        limit: f32,
    },
}

/// Constant factors; 1 changes nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Of the embedding, before the first layer.
    pub embed: f32,
    /// Of what attention and MLP add to the residual stream.
    pub residual: f32,
    /// What logits are divided by.
    pub logits: f32,
}

impl Default for Multipliers {
    fn default() -> Self {
        Self { embed: 1.0, residual: 1.0, logits: 1.0 }
    }
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
        let precision = Precision { choice: precision.choice.or(self.moe.softmax), norm: self.norm, ..precision };
        if !self.moe.weights_as_logits {
            return precision;
        }
        let weights = precision.weights.or(precision.router);
        let mut mixture = precision.mixture;
        mixture.product = mixture.product.or(weights);
        Precision { weights, mixture, ..precision }
    }

    /// The factor of the dot product of query and key.
    pub fn score_scale(&self) -> f32 {
        self.attn.scale.unwrap_or((1.0 / (self.dims.d_head as f64).sqrt()) as f32)
    }
}
