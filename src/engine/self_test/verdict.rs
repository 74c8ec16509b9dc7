//! The outcome in words.

use super::{Otherwise, SelfTest};
use crate::model::Variation;
use crate::trace::Meta;

/// Loss on plain prose, nats a token, from which a model does not count as a working language model. With a small
/// vocabulary, which is easier to guess from, the limit is this share of a blind guess. Code repeats itself, so its
/// limit is this share of that for prose.
const HOPELESS: (f64, f64) = (4.0, 0.6);
const CODE: f64 = 0.6;
/// A loss above this share of the limit is too high for a model that works well.
const WEAK: f64 = 0.65;
/// How far the loss has to fall with one thing changed before that thing is called wrong: nats a token, and standard
/// errors. [`PERHAPS`] standard errors are enough for a warning.
const BETTER: (f64, f64) = (0.03, 3.0);
const PERHAPS: f64 = 2.5;
/// The usual reasons for a loss that is too high.
const USUAL: &str = "most often the RoPE base, the roles of w1 and w3, permuted rows of q and k, another number of heads, \
                     missing renormalisation, or weights and tokenizer of different models";

/// What is wrong, the most conclusive finding first.
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
    // If an operation is wrong or tokens influence each other, a change that lowers the loss proves nothing.
    let limit = hopeless(meta);
    if failures.is_empty()
        && let Some(best) = better(found, limit, BETTER.1)
    {
        failures.push(format!("{}: {}", falls(found, best), blame(best.variation)));
    }
    if exceeds(found, limit) {
        let loss = first.loss;
        failures.push(format!("loss {loss:.1} nats on plain {name}: this is not a working language model; {USUAL}"));
    }
    failures
}

/// What may be wrong.
pub fn warnings(found: &SelfTest, meta: &Meta) -> Vec<String> {
    let weak = found.ok && found.trained && exceeds(found, WEAK * hopeless(meta));
    let loss = found.texts.first().map_or(f64::NAN, |first| first.loss);
    let text = || {
        format!("loss {loss:.1} nats on plain English is high for a language model; if it should know English, {USUAL}")
    };
    let perhaps = better(found, hopeless(meta), PERHAPS).filter(|_| found.ok);
    let perhaps = perhaps.map(|best| format!("{}: perhaps {}", falls(found, best), blame(best.variation)));
    weak.then(text).into_iter().chain(perhaps).collect()
}

fn falls(found: &SelfTest, best: &Otherwise) -> String {
    let (name, loss) = found.texts.first().map_or(("text", f64::NAN), |first| (first.name, first.loss));
    let (with, after, [mean, error]) = (&best.with, best.loss, best.falls);
    let falls = format!("with {with} the loss falls by {mean:.2} ± {error:.2} nats a token");
    // The fall is the mean of all texts: the first may rise.
    if after < loss { format!("{falls}, on plain {name} from {loss:.2} to {after:.2}") } else { falls }
}

fn hopeless(meta: &Meta) -> f64 {
    HOPELESS.0.min(HOPELESS.1 * (meta.dims.vocab as f64).ln())
}

/// Whether the losses of all texts are above their limits.
fn exceeds(found: &SelfTest, limit: f64) -> bool {
    found.texts.iter().all(|text| text.loss > if text.name == "code" { CODE * limit } else { limit })
}

/// The change with which the model predicts clearly better, and well. Predicting better is not enough: of two wrong
/// ways, one is always better.
fn better(found: &SelfTest, limit: f64, errors: f64) -> Option<&Otherwise> {
    let is_better = |other: &&Otherwise| {
        let [falls, error] = other.falls;
        other.loss < limit && falls > BETTER.0 && falls > errors * error
    };
    found.otherwise.iter().filter(is_better).max_by(|a, b| a.falls[0].total_cmp(&b.falls[0]))
}

fn blame(variation: Variation) -> &'static str {
    match variation {
        Variation::RopeBase(_) => "the RoPE base (rope_theta) is wrong",
        Variation::Window(_) => "the model was not trained with this sliding_window",
        Variation::SwappedGateUp => "w1 (gate) and w3 (up) are swapped",
        Variation::PermutedHeads => "the rows of q and k are permuted (pairs and halves mixed up in a conversion)",
        Variation::Renormalisation => "the model was trained with renormalised mixing weights (norm_topk_prob)",
        Variation::NoSinks => "the attention sinks are not this model's",
        Variation::NoQkNorm => "the norms of queries and keys are not this model's",
        Variation::NoYarn => "the model was trained without YaRN (rope_parameters)",
        Variation::NoSharedExpert => "the shared expert is not this model's",
        Variation::NoRenormalisation => "the model was trained without renormalised mixing weights",
        Variation::NormEps(_) => "rms_norm_eps is wrong",
        Variation::TiedHead => {
            "the model was trained with tied embeddings (tie_word_embeddings), and lm_head is another's"
        }
    }
}

/// The outcome in one sentence.
pub fn sentence(found: &SelfTest, family: &str) -> String {
    if let Some(first) = found.failures.first() {
        return first.clone();
    }
    let losses: Vec<String> = found.texts.iter().map(|text| format!("{} {:.2}", text.name, text.loss)).collect();
    let losses = losses.join(", ");
    let article = if family.starts_with(['O', 'A', 'E', 'I', 'U']) { "an" } else { "a" };
    match found.trained {
        true if !found.warnings.is_empty() => {
            format!("computes what {article} {family} is, but may predict better than it does (loss in nats: {losses})")
        }
        true => format!("computes what {article} {family} is, and predicts plain text (loss in nats: {losses})"),
        false => {
            format!(
                "computes what {article} {family} is; its weights look random, so its loss says nothing (in nats: {losses})"
            )
        }
    }
}
