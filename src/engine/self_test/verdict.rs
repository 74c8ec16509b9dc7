//! The outcome in words.

use super::{Otherwise, SelfTest};
use crate::model::Variation;
use crate::trace::Meta;

/// Loss on plain text, nats a token, from which a model is no working language model; a small vocabulary, which is easier
/// to guess from, counts by this share of a blind guess.
const HOPELESS: (f64, f64) = (4.0, 0.6);
/// With one thing changed the loss has to fall by this, in nats and as a share, before that thing is called wrong.
const BETTER: (f64, f64) = (0.1, 0.1);
/// The usual reasons for a loss that is too high.
const USUAL: &str = "most often the RoPE base, the roles of w1 and w3, permuted rows of q and k, missing renormalisation, or \
                     weights and tokenizer of different models";

/// What is wrong, most telling first.
pub fn failures(found: &SelfTest, meta: &Meta) -> Vec<String> {
    let mut failures = Vec::new();
    for operation in found.definition.iter().filter(|operation| !operation.ok()) {
        let (beyond, values, name) = (operation.beyond, operation.values, operation.name);
        let place = operation.first.as_ref();
        let place = place.map_or_else(String::new, |(hook, pos)| format!(", first in `{hook}` at position {pos}"));
        failures.push(format!(
            "{name}: {beyond} of {values} values are not what their inputs give{place}: {}",
            operation.cause
        ));
    }
    for way in found.agreement.iter().filter(|way| !way.is_exact()) {
        let [equal, all] = way.equal;
        let place = way.first.map_or_else(String::new, |(text, pos)| format!(", first in {text} at position {pos}"));
        let cause = "a token's values depend on the tokens that are read with it: dispatch, mask or cache";
        failures.push(format!("{}: {} of {all} logits are not the prefill's{place}: {cause}", way.way, all - equal));
    }
    let Some(first) = found.texts.first() else { return failures };
    if found.texts.iter().any(|text| !text.loss.is_finite()) {
        failures.push("the loss is not a number: weights or activations are NaN or infinite".to_owned());
    }
    if !found.trained {
        return failures;
    }
    let name = first.name;
    // Where tokens disturb each other, what helps says nothing.
    let steady = found.agreement.iter().all(super::Agreement::is_exact);
    if let Some(best) = better(found, first.loss).filter(|_| steady) {
        failures.push(format!(
            "with {} the loss on plain {name} falls from {:.2} to {:.2} nats: {}",
            best.with,
            first.loss,
            best.loss,
            blame(best.variation)
        ));
    }
    let limit = HOPELESS.0.min(HOPELESS.1 * (meta.dims.vocab as f64).ln());
    if found.texts.iter().all(|text| text.loss > limit) {
        let loss = first.loss;
        failures.push(format!("loss {loss:.1} nats on plain {name}: this is not a working language model; {USUAL}"));
    }
    failures
}

/// The change with which the model predicts clearly better.
fn better(found: &SelfTest, loss: f64) -> Option<&Otherwise> {
    let best = found.otherwise.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
    (best.loss < loss - BETTER.0.max(BETTER.1 * loss)).then_some(best)
}

fn blame(variation: Variation) -> &'static str {
    match variation {
        Variation::RopeBase(_) => "the RoPE base (rope_theta) is wrong",
        Variation::Window(_) => "the model was not trained with this sliding_window",
        Variation::SwappedGateUp => "w1 (gate) and w3 (up) are swapped",
        Variation::PermutedHeads => "the rows of q and k are permuted (pairs and halves mixed up in a conversion)",
        Variation::NoRenormalisation => "the model was trained without renormalised mixing weights",
        Variation::NormEps(_) => "rms_norm_eps is wrong",
    }
}

/// The outcome in one sentence.
pub fn sentence(found: &SelfTest) -> String {
    if let Some(first) = found.failures.first() {
        return first.clone();
    }
    let losses: Vec<String> = found.texts.iter().map(|text| format!("{} {:.2}", text.name, text.loss)).collect();
    let losses = losses.join(", ");
    match found.trained {
        true => format!("computes what a Mixtral is, and predicts plain text (loss in nats: {losses})"),
        false => {
            format!("computes what a Mixtral is; its weights look random, so its loss says nothing (in nats: {losses})")
        }
    }
}
