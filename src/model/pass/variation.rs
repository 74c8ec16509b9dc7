//! A model with one thing changed: `check` tests whether it then predicts better, and the fault drill breaks it on
//! purpose.

use super::model::{Layer, Model};
use std::fmt;

/// One thing that files and programs get wrong about a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variation {
    /// Another RoPE base.
    RopeBase(f64),
    /// Another sliding window, or none.
    Window(Option<usize>),
    /// w1 (gate) and w3 (up) of every expert swapped.
    SwappedGateUp,
    /// Rows of q and k read as llama.cpp stores them, or no longer read so.
    PermutedHeads,
    /// Mixing weights that are not divided by their sum.
    NoRenormalisation,
    /// Mixing weights that are divided by their sum.
    Renormalisation,
    /// No attention sinks.
    NoSinks,
    /// No norm of queries and keys.
    NoQkNorm,
    /// RoPE without YaRN.
    NoYarn,
    /// No shared expert.
    NoSharedExpert,
    /// Another epsilon in RMSNorm.
    NormEps(f64),
    /// The embedding as the unembedding.
    TiedHead,
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RopeBase(base) => write!(f, "a RoPE base of {base}"),
            Self::Window(Some(window)) => write!(f, "a sliding window of {window} tokens"),
            Self::Window(None) => f.write_str("no sliding window"),
            Self::SwappedGateUp => f.write_str("w1 and w3 of the experts swapped"),
            Self::PermutedHeads => f.write_str("the rows of q and k in the other order"),
            Self::NoRenormalisation => f.write_str("mixing weights that are not renormalised"),
            Self::Renormalisation => f.write_str("renormalised mixing weights"),
            Self::NoSinks => f.write_str("no attention sinks"),
            Self::NoQkNorm => f.write_str("no norm of queries and keys"),
            Self::NoYarn => f.write_str("RoPE without YaRN"),
            Self::NoSharedExpert => f.write_str("no shared expert"),
            Self::NormEps(eps) => write!(f, "an RMSNorm epsilon of {eps}"),
            Self::TiedHead => f.write_str("the embedding in place of lm_head"),
        }
    }
}

impl Model {
    /// The same weights, in place, computed with one thing changed.
    #[must_use]
    pub fn varied(&self, variation: Variation) -> Self {
        let mut model = self.with_arch(self.arch.clone());
        match variation {
            Variation::RopeBase(base) => model.arch.rope.base = base,
            Variation::Window(window) => model.arch.dims.window = window,
            Variation::NormEps(eps) => model.arch.eps = eps,
            Variation::TiedHead => model.unembed = model.embed.clone(),
            Variation::NoRenormalisation => model.arch.moe.renormalise = false,
            Variation::Renormalisation => model.arch.moe.renormalise = true,
            Variation::NoSinks => model.scores.sinks = [].into(),
            Variation::NoQkNorm => model.layers.iter_mut().for_each(|layer| layer.qk_norm = None),
            Variation::NoYarn => model.arch.rope.yarn = None,
            Variation::NoSharedExpert => model.layers.iter_mut().for_each(Layer::remove_shared),
            Variation::SwappedGateUp => {
                for expert in model.layers.iter_mut().flat_map(Layer::all_experts_mut) {
                    std::mem::swap(&mut expert.w1, &mut expert.w3);
                }
            }
            Variation::PermutedHeads => {
                let d_head = model.arch.dims.d_head;
                for matrix in model.layers.iter_mut().flat_map(|layer| [&mut layer.q, &mut layer.k]) {
                    matrix.toggle_pairs(d_head);
                }
            }
        }
        model
    }
}
