//! Mixtral's operations as plain formulas in f64, fed with a recording's values. They share no code with the program, and
//! each has a place to go wrong.

use super::numbers::{Matrix, softmax};
use mixscope::trace::{Dims, Dtype, HookKind as K, TraceFile};
use std::collections::BTreeMap;

/// One layer of a recording and of the model's weights.
pub struct Port<'a> {
    pub trace: &'a TraceFile,
    pub weights: &'a BTreeMap<String, Matrix>,
    pub dims: Dims,
    pub dtype: Dtype,
    pub layer: usize,
}

/// How RoPE is computed.
pub struct Rope {
    pub base: f64,
    pub position: fn(usize) -> f64,
    /// The components of pair `i` in a head with so many pairs.
    pub pair: fn(usize, usize) -> (usize, usize),
    /// The rounding of angles, cosines and sines.
    pub angle: fn(f64) -> f64,
}

pub const ROPE: Rope =
    Rope { base: 1e6, position: |pos| pos as f64, pair: |i, half| (i, i + half), angle: |angle| angle };

/// How attention's pattern is computed.
pub struct Attention {
    /// The factor of the scores, from `d_head`.
    pub scale: fn(f64) -> f64,
    pub window: usize,
    pub is_causal: bool,
    /// The kv head that a query head reads.
    pub kv_head: fn(usize, Dims) -> usize,
}

pub const ATTENTION: Attention = Attention {
    scale: |d_head| 1.0 / d_head.sqrt(),
    window: usize::MAX,
    is_causal: true,
    kv_head: |head, d| head / (d.heads / d.kv_heads),
};

/// How an expert is computed.
pub struct Expert {
    pub gate: &'static str,
    pub up: &'static str,
    pub activation: fn(f64) -> f64,
    /// What a product reads in place of its input.
    pub input: fn(&[f64]) -> Vec<f64>,
    /// The expert whose weights this one takes.
    pub weights_of: fn(usize) -> usize,
}

pub const EXPERT: Expert = Expert {
    gate: "w1",
    up: "w3",
    activation: |x| x / (1.0 + (-x).exp()),
    input: <[f64]>::to_vec,
    weights_of: |expert| expert,
};

impl Port<'_> {
    /// The recorded values of the layer, row-major.
    pub fn read(&self, kind: K) -> Vec<f64> {
        let values = self.trace.get(&kind.at(self.layer).to_string()).unwrap();
        values.f32().unwrap().iter().map(|x| f64::from(*x)).collect()
    }

    /// The chosen experts `[pos, k]`.
    pub fn chosen(&self) -> Vec<usize> {
        let ids = self.trace.get(&K::ExpertIndices.at(self.layer).to_string()).unwrap();
        ids.u32().unwrap().iter().map(|id| *id as usize).collect()
    }

    /// A matrix outside the layers.
    pub fn global(&self, name: &str) -> &Matrix {
        &self.weights[&format!("{name}.weight")]
    }

    /// A matrix of the layer.
    pub fn matrix(&self, name: &str) -> &Matrix {
        &self.weights[&format!("model.layers.{}.{name}.weight", self.layer)]
    }

    /// What a module gives in place of `x`.
    pub fn round(&self, x: f64) -> f64 {
        f64::from(self.dtype.round(x as f32))
    }

    /// `x Wᵀ` for every row of `x`.
    pub fn product(&self, x: &[f64], w: &Matrix) -> Vec<f64> {
        let dot = |x: &[f64], w: &[f64]| self.round(x.iter().zip(w).map(|(x, w)| x * w).sum());
        let rows = x.chunks_exact(w.cols);
        rows.flat_map(|x| w.values.chunks_exact(w.cols).map(move |w| dot(x, w))).collect()
    }

    /// RMSNorm of the recorded values `of`.
    pub fn norm(&self, of: K, gain: &[f64], eps: f64) -> Vec<f64> {
        let row = |x: &[f64]| -> Vec<f64> {
            let root = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + eps).sqrt();
            x.iter().zip(gain).map(|(x, gain)| self.round(gain * self.round(x / root))).collect()
        };
        self.read(of).chunks_exact(gain.len()).flat_map(row).collect()
    }

    /// Queries after RoPE.
    pub fn rope(&self, how: &Rope) -> Vec<f64> {
        let (mut out, d_head) = (self.read(K::Q), self.dims.d_head);
        let (half, narrow) = (d_head / 2, how.angle);
        for (row, head) in out.chunks_exact_mut(d_head).enumerate() {
            let x = head.to_vec();
            let position = narrow((how.position)(row / self.dims.heads));
            for i in 0..half {
                let angle = narrow(position * narrow(how.base.powf(-2.0 * i as f64 / d_head as f64)));
                let (cos, sin) = (self.round(narrow(angle.cos())), self.round(narrow(angle.sin())));
                let (low, high) = (how.pair)(i, half);
                head[low] = self.round(self.round(x[low] * cos) - self.round(x[high] * sin));
                head[high] = self.round(self.round(x[high] * cos) + self.round(x[low] * sin));
            }
        }
        out
    }

    /// Attention probabilities `[heads, query, key]`.
    pub fn pattern(&self, how: &Attention) -> Vec<f64> {
        let (q, k, d) = (self.read(K::RotQ), self.read(K::RotK), self.dims);
        let (tokens, scale) = (q.len() / d.heads / d.d_head, (how.scale)(d.d_head as f64));
        let mut pattern = Vec::new();
        for row in 0..d.heads * tokens {
            let (head, query) = (row / tokens, row % tokens);
            let q = &q[(query * d.heads + head) * d.d_head..][..d.d_head];
            let score = |key: usize| {
                if how.is_causal && key > query || key.saturating_add(how.window) <= query {
                    return f64::NEG_INFINITY;
                }
                let k = &k[(key * d.kv_heads + (how.kv_head)(head, d)) * d.d_head..][..d.d_head];
                self.round(scale * self.round(q.iter().zip(k).map(|(q, k)| q * k).sum()))
            };
            let scores: Vec<f64> = (0..tokens).map(score).collect();
            pattern.extend(softmax(&scores).into_iter().map(|p| self.round(p)));
        }
        pattern
    }

    /// Softmax of the router's logits; `narrow` rounds what it reads and gives.
    pub fn probabilities(&self, narrow: fn(f64) -> f64) -> Vec<f64> {
        let row = |logits: &[f64]| softmax(&logits.iter().map(|x| narrow(*x)).collect::<Vec<f64>>());
        self.read(K::RouterLogits).chunks_exact(self.dims.experts).flat_map(row).map(narrow).collect()
    }

    /// The probabilities of the chosen experts, divided by their sum or not.
    pub fn mixing_weights(&self, renormalises: bool) -> Vec<f64> {
        let (all, chosen) = (self.read(K::ExpertWeights), self.chosen());
        let rows = all.chunks_exact(self.dims.experts).zip(chosen.chunks_exact(self.dims.top_k));
        let row = |(all, chosen): (&[f64], &[usize])| -> Vec<f64> {
            let sum = if renormalises { chosen.iter().map(|e| all[*e]).sum() } else { 1.0 };
            chosen.iter().map(|e| all[*e] / sum).collect()
        };
        rows.flat_map(row).collect()
    }

    /// One expert's output for one token.
    pub fn expert(&self, expert: usize, x: &[f64], how: &Expert) -> Vec<f64> {
        let expert = (how.weights_of)(expert);
        let linear = |name: &str, x: &[f64]| {
            self.product(&(how.input)(x), self.matrix(&format!("block_sparse_moe.experts.{expert}.{name}")))
        };
        let gate = linear(how.gate, x).into_iter().map(|x| self.round((how.activation)(x)));
        let hidden: Vec<f64> = gate.zip(linear(how.up, x)).map(|(gate, up)| self.round(gate * up)).collect();
        linear("w2", &hidden)
    }

    /// The outputs of the chosen experts.
    pub fn experts(&self, how: &Expert) -> Vec<f64> {
        let (x, d) = (self.read(K::Ln2), self.dims.d_model);
        let row = |slot: usize| &x[slot / self.dims.top_k * d..][..d];
        self.chosen().iter().enumerate().flat_map(|(slot, e)| self.expert(*e, row(slot), how)).collect()
    }

    /// The recorded outputs of the experts, added up; `weight` has a token's mixing weights and the slot.
    pub fn mixture(&self, weight: fn(&[f64], usize) -> f64) -> Vec<f64> {
        let (outputs, weights) = (self.read(K::ExpertOut), self.read(K::MixingWeights));
        let (k, d) = (self.dims.top_k, self.dims.d_model);
        let token = |(outputs, weights): (&[f64], &[f64])| -> Vec<f64> {
            let sum = |i: usize| (0..k).map(|slot| weight(weights, slot) * outputs[slot * d + i]).sum();
            (0..d).map(|i| self.round(sum(i))).collect()
        };
        outputs.chunks_exact(k * d).zip(weights.chunks_exact(k)).flat_map(token).collect()
    }

    /// Every expert that a token chose reads all tokens, and counts with the weight that its last token gave it.
    pub fn whole_sequence(&self) -> Vec<f64> {
        let (x, chosen, weights) = (self.read(K::Ln2), self.chosen(), self.read(K::MixingWeights));
        let last = |expert: usize| chosen.iter().rposition(|e| *e == expert).map(|slot| (expert, weights[slot]));
        let used: Vec<(usize, f64)> = (0..self.dims.experts).filter_map(last).collect();
        let token = |x: &[f64]| -> Vec<f64> {
            let mut sum = vec![0.0; x.len()];
            for (expert, weight) in &used {
                let output = self.expert(*expert, x, &EXPERT);
                sum.iter_mut().zip(output).for_each(|(sum, output)| *sum += weight * output);
            }
            sum
        };
        x.chunks_exact(self.dims.d_model).flat_map(token).collect()
    }
}
