//! Router and experts.

use super::Definition;
use crate::analysis::routing::top_k;
use crate::engine::compare::operations::suspect::Suspect as S;
use crate::engine::formulas::{exact_or, glu, r, sigmoid, softmax};
use crate::model::weights::{Part, Which};
use crate::model::{Gate, GateBlock, Glu, Precision, Rounding};
use crate::trace::HookKind as K;
use anyhow::Result;

impl Definition<'_> {
    pub(super) fn router_logits(&mut self, pos: usize) -> Result<Vec<f64>> {
        let x = self.normed(K::Ln2, K::ResidMid, pos)?;
        if self.has(&S::RouterInQ8) {
            let router = self.loaded.model.router(self.layer, Gate::Quantised(GateBlock::Q8_0))?;
            let logits = self.product(&x, router, Rounding::None);
            return Ok(logits.into_iter().map(|x| r(self.precision.router, x)).collect());
        }
        let router = self.loaded.model.router(self.layer, self.precision.gate)?;
        let narrow = self.find(|s| if let S::RouterIn(dtype) = s { Some(Rounding::to(*dtype)) } else { None });
        let Some(narrow) = narrow else { return Ok(self.product(&x, router, self.precision.router)) };
        let x: Vec<f64> = x.iter().map(|x| r(narrow, *x)).collect();
        Ok(self.product(&x, router, narrow))
    }

    /// Scores of all experts.
    pub(super) fn probabilities(&mut self, pos: usize) -> Result<Vec<f64>> {
        let mut scores = self.row(K::RouterLogits, pos)?.to_vec();
        let narrow = self.find(|s| if let S::RouterSoftmaxIn(dtype) = s { Some(Rounding::to(*dtype)) } else { None });
        if let Some(narrow) = narrow {
            scores.iter_mut().for_each(|x| *x = r(narrow, *x));
            softmax(&mut scores, None, Rounding::None);
            return Ok(scores.into_iter().map(|p| r(narrow, p)).collect());
        }
        if self.has(&S::RouterSigmoid) {
            scores.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp()));
        } else {
            softmax(&mut scores, None, Rounding::None);
        }
        Ok(scores.into_iter().map(|p| r(self.precision.choice, p)).collect())
    }

    /// The best experts, best first.
    pub(super) fn choice(&mut self, pos: usize) -> Result<Vec<f64>> {
        let scores: Vec<f32> = self.row(K::ExpertWeights, pos)?.iter().map(|x| *x as f32).collect();
        Ok(top_k(&scores, self.loaded.config.arch.dims.top_k).into_iter().map(f64::from).collect())
    }

    fn chosen(&mut self, pos: usize) -> Result<Vec<usize>> {
        Ok(self.row(K::ExpertIndices, pos)?.iter().map(|e| *e as usize).collect())
    }

    /// Weights of the chosen experts.
    pub(super) fn mixing_weights(&mut self, pos: usize) -> Result<Vec<f64>> {
        let Precision { choice, weights, .. } = self.precision;
        let (scores, chosen) = (self.row(K::ExpertWeights, pos)?, self.chosen(pos)?);
        let of: Vec<f64> = chosen.iter().map(|e| scores.get(*e).copied().unwrap_or(f64::NAN)).collect();
        let renormalise = self.loaded.config.arch.moe.renormalise != self.has(&S::NoRenormalisation);
        let sum = if renormalise { r(choice, of.iter().sum()) } else { 1.0 };
        let mut all: Vec<f64> = of.into_iter().map(|p| r(weights, p / sum)).collect();
        if self.has(&S::WeightsReversed) {
            all.reverse();
        }
        Ok(all)
    }

    /// Each chosen expert's output before weighting `[k, d_model]`.
    pub(super) fn expert_outputs(&mut self, pos: usize) -> Result<Vec<f64>> {
        let x = self.normed(K::Ln2, K::ResidMid, pos)?;
        let mut out = Vec::new();
        for expert in self.chosen(pos)? {
            out.extend(self.expert(expert, &x)?);
        }
        Ok(out)
    }

    /// `w2(silu(w1 x) * (w3 x))`, each step rounded, or with the family's own activation.
    pub fn expert(&self, expert: usize, x: &[f64]) -> Result<Vec<f64>> {
        let other = self.find(|s| match s {
            S::OtherExpert(map) => map.iter().find(|(of, _)| *of == expert).map(|(_, with)| *with),
            _ => None,
        });
        let expert = other.unwrap_or(expert);
        self.mlp(x, self.loaded.config.arch.moe.activation, |which| Part::Expert(self.layer, expert, which))
    }

    /// The MLP of a layer without a router.
    pub(super) fn dense(&mut self, pos: usize) -> Result<Vec<f64>> {
        let x = self.normed(K::Ln2, K::ResidMid, pos)?;
        self.mlp(&x, Glu::Silu, |which| Part::Dense(self.layer, which))
    }

    /// The shared expert, before its gate.
    pub(super) fn shared_output(&mut self, pos: usize) -> Result<Vec<f64>> {
        let x = self.normed(K::Ln2, K::ResidMid, pos)?;
        self.mlp(&x, Glu::Silu, |which| Part::Shared(self.layer, which))
    }

    fn mlp(&self, x: &[f64], own: Glu, part: impl Fn(Which) -> Part) -> Result<Vec<f64>> {
        let round = self.round();
        let part = |which: Which| self.matrix(part(which));
        let (gate, up) = if self.has(&S::SwappedGateUp) { (Which::W3, Which::W1) } else { (Which::W1, Which::W3) };
        let gate = self.product(x, &part(gate)?, round);
        let other = self.find(|s| if let S::Activation(other) = s { Some(*other) } else { None });
        if let (Glu::Clamped { .. }, None, false) = (own, other, self.has(&S::ExpertsWithoutUp)) {
            let up = self.product(x, &part(up)?, round);
            let hidden: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| glu(own, *gate, up, round)).collect();
            return Ok(self.product(&hidden, &part(Which::W2)?, round));
        }
        let activated = |x: f64| other.map_or_else(|| x / (1.0 + (-x).exp()), |other| other.of(x));
        let mut hidden: Vec<f64> = gate.into_iter().map(|x| r(round, activated(x))).collect();
        if !self.has(&S::ExpertsWithoutUp) {
            let up = self.product(x, &part(up)?, round);
            hidden.iter_mut().zip(up).for_each(|(h, up)| *h = r(round, *h * up));
        }
        Ok(self.product(&hidden, &part(Which::W2)?, round))
    }

    /// The experts' outputs, weighted and added up.
    pub(super) fn mixture(&mut self, pos: usize) -> Result<Vec<f64>> {
        if self.has(&S::WholeSequence) {
            return self.whole_sequence(pos);
        }
        let Precision { module, mixture, .. } = self.precision;
        let chosen = self.chosen(pos)?;
        let outputs = self.row(K::ExpertOut, pos)?;
        let mut weights = match self.has(&S::NoRenormalisation) {
            true => self.mixing_weights(pos)?,
            false => self.row(K::MixingWeights, pos)?.to_vec(),
        };
        if self.has(&S::WeightsReversed) {
            weights.reverse();
        }
        if self.has(&S::Unweighted) {
            weights.fill(1.0);
        }
        let width = outputs.len() / weights.len().max(1);
        let mut slots: Vec<usize> = (0..weights.len()).collect();
        if self.has(&S::FirstExpertOnly) {
            slots.truncate(1);
        }
        if mixture.sum.is_some() {
            slots.sort_by_key(|slot| chosen[*slot]);
        }
        // Mixing weights that a policy rounds may be recorded before they are rounded.
        let weights: Vec<f64> = weights.into_iter().map(|w| exact_or(self.precision.weights, w)).collect();
        let mut sum = vec![0.0; width];
        for slot in slots {
            for (sum, value) in sum.iter_mut().zip(&outputs[slot * width..][..width]) {
                let product = exact_or(mixture.product, weights[slot] * value);
                *sum = mixture.sum.map_or(*sum + product, |round| r(round, *sum + product));
            }
        }
        let sum: Vec<f64> = sum.into_iter().map(|x| r(module, x)).collect();
        if self.dims().d_shared == 0 || self.has(&S::NoSharedExpert) {
            return Ok(sum);
        }
        let open = match self.has(&S::SharedNotGated) {
            true => 1.0,
            false => r(module, sigmoid(self.row(K::SharedGate, pos)?[0])),
        };
        let shared = self.row(K::SharedOut, pos)?;
        Ok(sum.iter().zip(&*shared).map(|(sum, shared)| r(module, sum + r(module, open * shared))).collect())
    }

    /// The dispatch of TransformerLens 1.17 to 2.0 (its issue #570).
    fn whole_sequence(&mut self, pos: usize) -> Result<Vec<f64>> {
        let x = self.row(K::Ln2, pos)?;
        let mut sum = vec![0.0; x.len()];
        for expert in 0..self.loaded.config.arch.dims.experts {
            let mut last = None;
            for other in (0..self.held.tokens.len()).rev() {
                let slot = self.chosen(other)?.iter().position(|e| *e == expert);
                if let Some(slot) = slot {
                    last = Some(self.row(K::MixingWeights, other)?[slot]);
                    break;
                }
            }
            let Some(weight) = last else { continue };
            let out = self.expert(expert, &x)?;
            sum.iter_mut().zip(out).for_each(|(sum, out)| *sum += weight * out);
        }
        Ok(sum.into_iter().map(|x| r(self.round(), x)).collect())
    }
}
