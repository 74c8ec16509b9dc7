//! Wrong models and ports: one operation of a recording is replaced by what a faulty formula gives from the recording's own
//! inputs, and the check has to name that operation and that fault.

mod numbers;
mod port;
mod table;

use crate::support::recordings::{edited, floats, reference};
use crate::support::{fixture, load};
use mixscope::control::Control;
use mixscope::engine::{Fidelity, Verdict, check_against};
use mixscope::model::Loaded;
use mixscope::trace::{Dtype, Hook, HookKind as K, Policy, TraceFile, TraceReader};
use numbers::{Matrix, relative_l2, weights};
use port::{ATTENTION, EXPERT, Port, ROPE};
use std::collections::BTreeMap;
use std::path::PathBuf;
use table::{Expected, Fault, Parts, faults};

/// A model and its recording.
struct Fixture {
    loaded: Loaded,
    path: PathBuf,
    trace: TraceFile,
    weights: BTreeMap<String, Matrix>,
    dtype: Dtype,
}

impl Fixture {
    fn open(case: &str, dtype: Dtype) -> Self {
        let path = reference(case, "reference");
        Self {
            loaded: load(case, Policy::Hf),
            trace: TraceFile::read(&path).unwrap(),
            weights: weights(&fixture(case).join("model/model.safetensors")),
            path,
            dtype,
        }
    }

    fn port(&self, layer: usize) -> Port<'_> {
        let dims = self.loaded.meta.dims;
        Port { trace: &self.trace, weights: &self.weights, dims, dtype: self.dtype, layer }
    }

    /// The smallest effect that is more than rounding, as a relative L2.
    fn least_effect(&self) -> f64 {
        if self.dtype == Dtype::F32 { 1e-4 } else { 6e-4 }
    }

    /// What the check says of the recording with other values at `hook`. A kind of rounding ends the recording there: the
    /// recorded values that follow belong to the right ones.
    fn check(&self, hook: Hook, values: &[f64], ends: bool) -> Fidelity {
        let (_folder, path) = edited(&self.path, "t.safetensors", |trace| {
            *floats(trace, &hook.to_string()) = values.iter().map(|x| *x as f32).collect();
            let is_kept = |name: &str| name.parse::<Hook>().is_ok_and(|other| other.order() <= hook.order());
            trace.tensors.retain(|name, _| !ends || name == "tokens" || is_kept(name));
        });
        check_against(&self.loaded, &TraceReader::open(&path).unwrap(), None, None, &Control::none()).unwrap()
    }
}

/// The fault's output in one layer, rounded as it is recorded, and the heads or experts that are wrong.
fn wrong(fault: &Fault, port: &Port<'_>) -> (Vec<f64>, Vec<usize>) {
    let (right, d) = (port.read(fault.kind), port.dims);
    let head = (3 * port.layer + 1) % d.heads;
    let chosen = port.chosen();
    let expert = (0..d.experts).max_by_key(|expert| chosen.iter().filter(|e| *e == expert).count()).unwrap();
    let mut values = (fault.wrong)(port);
    assert_eq!(values.len(), right.len(), "{}", fault.name);
    if fault.kind != K::ExpertWeights && fault.kind != K::MixingWeights {
        values.iter_mut().for_each(|x| *x = port.round(*x));
    }
    let mut only = |is_wrong: &dyn Fn(usize) -> bool| {
        let kept = values.iter_mut().zip(&right).enumerate().filter(|(i, _)| !is_wrong(*i));
        kept.for_each(|(_, (x, right))| *x = *right);
    };
    let parts = match fault.parts {
        Parts::All => Vec::new(),
        Parts::These(parts) => parts.to_vec(),
        Parts::OneHead => {
            only(&|i| i / d.d_head % d.heads == head);
            vec![head]
        }
        Parts::OneExpert => {
            only(&|i| chosen[i / d.d_model] == expert);
            vec![expert]
        }
    };
    (values, parts)
}

/// Whether the check says what is expected; otherwise what it says.
fn judge(fault: &Fault, hook: Hook, parts: &[usize], found: &Fidelity) -> Result<(), String> {
    let kinds: Vec<&str> = found.kinds.iter().map(|fit| &*fit.cause).collect();
    let guilty = found.guilty.as_ref();
    let cause = guilty.and_then(|guilty| guilty.cause.as_deref());
    let is_there = guilty.is_some_and(|g| g.hook == hook && g.layer == hook.decoder_layer() && g.parts == parts);
    let differs = found.verdict == Verdict::Differs && is_there && kinds.is_empty();
    let is_right = match fault.expected {
        Expected::Cause(words) => differs && cause.is_some_and(|cause| cause.contains(words)),
        Expected::Exactly(words) => differs && cause == Some(&about(words, parts)),
        Expected::NoCause => differs && cause.is_none(),
        Expected::Rounding(words) => {
            let is_kind = kinds.len() == 1 && kinds[0].contains(words);
            found.verdict == Verdict::AgreesUpToRounding && guilty.is_none() && is_kind
        }
    };
    let place = guilty.map(|guilty| format!("{} parts {:?}, {}", guilty.hook, guilty.parts, guilty.sentence));
    let said = || format!("{:?}, kinds {kinds:?}, cause {cause:?}, guilty {place:?}; parts {parts:?}", found.verdict);
    if is_right { Ok(()) } else { Err(said()) }
}

/// The words with the wrong expert in place of `{expert}`, and the one after it in place of `{next}`.
fn about(words: &str, parts: &[usize]) -> String {
    let expert = parts.first().copied().unwrap_or(0);
    words.replace("{expert}", &expert.to_string()).replace("{next}", &((expert + 1) % 4).to_string())
}

/// Every fault in every layer. Where its effect is no more than rounding, the layer is skipped.
fn every_fault_is_named(case: &str, dtype: Dtype, most_skipped: usize) {
    let fixture = Fixture::open(case, dtype);
    let layers = fixture.loaded.meta.dims.layers;
    let (mut tested, mut failures, mut skipped) = (0, Vec::new(), Vec::new());
    for fault in faults().iter().filter(|fault| dtype == Dtype::F32 || !fault.f32_only) {
        let places = if fault.kind.is_global() { layers - 1..layers } else { 0..layers };
        let before = tested;
        for layer in places {
            let port = fixture.port(layer);
            let (values, parts) = wrong(fault, &port);
            let effect = relative_l2(&port.read(fault.kind), &values);
            let place = format!("{}, {dtype}, layer {layer}, effect {effect:.1e}", fault.name);
            if effect <= fixture.least_effect() {
                skipped.push(place);
                continue;
            }
            tested += 1;
            let hook = fault.kind.at(layer);
            let found = fixture.check(hook, &values, matches!(fault.expected, Expected::Rounding(_)));
            if let Err(said) = judge(fault, hook, &parts, &found) {
                failures.push(format!("{place}: {said}"));
            }
        }
        if tested == before {
            failures.push(format!("{}, {dtype}: no layer shows it", fault.name));
        }
    }
    let skips = format!("{} of {} layers skipped:\n{}", skipped.len(), skipped.len() + tested, skipped.join("\n"));
    assert!(failures.is_empty(), "{} wrong verdicts:\n{}\n{skips}", failures.len(), failures.join("\n"));
    assert!(skipped.len() <= most_skipped, "{skips}");
}

#[test]
fn every_fault_in_f32_is_named() {
    every_fault_is_named("tiny-f32", Dtype::F32, 2);
}

#[test]
fn every_fault_in_bf16_is_named() {
    every_fault_is_named("tiny-bf16", Dtype::Bf16, 1);
}

#[test]
fn the_recordings_themselves_agree() {
    for (case, dtype) in [("tiny-f32", Dtype::F32), ("tiny-bf16", Dtype::Bf16)] {
        let fixture = Fixture::open(case, dtype);
        let hook = K::ResidPost.at(2);
        let found = fixture.check(hook, &fixture.port(2).read(hook.kind), false);
        assert_eq!(found.verdict, Verdict::Agrees, "{case}: {:?}", found.guilty);
        assert!(found.kinds.is_empty() && found.guilty.is_none());
    }
}

/// The formulas of the faults, without a fault.
#[test]
fn the_right_formulas_give_the_recorded_values() {
    type Formula = fn(&Port<'_>) -> Vec<f64>;
    let formulas: [(K, Formula); 8] = [
        (K::Ln1, |p| p.norm(K::ResidPre, &p.matrix("input_layernorm").values, 1e-5)),
        (K::Q, |p| p.product(&p.read(K::Ln1), p.matrix("self_attn.q_proj"))),
        (K::RotQ, |p| p.rope(&ROPE)),
        (K::Pattern, |p| p.pattern(&ATTENTION)),
        (K::ExpertWeights, |p| p.probabilities(|x| x)),
        (K::MixingWeights, |p| p.mixing_weights(true)),
        (K::ExpertOut, |p| p.experts(&EXPERT)),
        (K::MlpOut, |p| p.mixture(|weights, slot| weights[slot])),
    ];
    for (case, dtype) in [("tiny-f32", Dtype::F32), ("tiny-bf16", Dtype::Bf16)] {
        let fixture = Fixture::open(case, dtype);
        for (layer, (kind, right)) in (0..3).flat_map(|layer| formulas.map(|formula| (layer, formula))) {
            let port = fixture.port(layer);
            let gap = relative_l2(&port.read(kind), &right(&port));
            assert!(gap < 0.5 * fixture.least_effect(), "{case}, {}: {gap:e}", kind.at(layer));
        }
    }
}
