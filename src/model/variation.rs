//! A model computed otherwise than its files say: to see whether it then predicts better, and to break it on purpose.

use super::experts::Expert;
use super::forward::{Layer, Mixtral};
use super::gate::Router;
use std::fmt;

/// One thing that files and programs get wrong about a Mixtral.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Variation {
    /// Another RoPE base.
    RopeBase(f64),
    /// Another sliding window, or none.
    Window(Option<usize>),
    /// w1 (gate) and w3 (up) of every expert change places.
    SwappedGateUp,
    /// Rows of q and k are read in the order that llama.cpp stores them in, or no longer so.
    PermutedHeads,
    /// The chosen experts' probabilities are not divided by their sum.
    NoRenormalisation,
    /// Another epsilon in RMSNorm.
    NormEps(f64),
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
            Self::NormEps(eps) => write!(f, "an RMSNorm epsilon of {eps}"),
        }
    }
}

/// How routing departs from Mixtral's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quirks {
    /// Mixing weights are the probabilities themselves.
    pub keeps_mass: bool,
    /// Experts that any token chose read all tokens of the pass, and weigh the same for all.
    #[cfg(debug_assertions)]
    pub whole_sequence: bool,
    /// The router's softmax is rounded to bf16.
    #[cfg(debug_assertions)]
    pub bf16_softmax: bool,
}

impl Mixtral {
    /// The same weights, in place, computed with one thing changed.
    #[must_use]
    pub fn varied(&self, variation: Variation) -> Self {
        let mut model = self.share();
        match variation {
            Variation::RopeBase(base) => model.config.rope_theta = base,
            Variation::Window(window) => model.config.dims.window = window,
            Variation::NormEps(eps) => model.config.rms_norm_eps = eps,
            Variation::NoRenormalisation => model.quirks.keeps_mass = true,
            Variation::SwappedGateUp => {
                for expert in model.layers.iter_mut().flat_map(|layer| &mut layer.experts) {
                    std::mem::swap(&mut expert.w1, &mut expert.w3);
                }
            }
            Variation::PermutedHeads => {
                let d_head = model.config.dims.d_head;
                for matrix in model.layers.iter_mut().flat_map(|layer| [&mut layer.q, &mut layer.k]) {
                    matrix.toggle_pairs(d_head);
                }
            }
        }
        model
    }

    fn share(&self) -> Self {
        let expert = |e: &Expert| Expert { w1: e.w1.clone(), w2: e.w2.clone(), w3: e.w3.clone() };
        let layer = |layer: &Layer| Layer {
            ln1: layer.ln1.clone(),
            q: layer.q.clone(),
            k: layer.k.clone(),
            v: layer.v.clone(),
            o: layer.o.clone(),
            ln2: layer.ln2.clone(),
            gate: Router::new(layer.gate.stored().clone()),
            experts: layer.experts.iter().map(expert).collect(),
        };
        Self {
            config: self.config.clone(),
            compute: self.compute,
            embed: self.embed.clone(),
            layers: self.layers.iter().map(layer).collect(),
            norm: self.norm.clone(),
            unembed: self.unembed.clone(),
            products: self.products.clone(),
            paging: super::experts::Paging::default(),
            quirks: self.quirks,
        }
    }
}
