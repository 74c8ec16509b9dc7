use super::comparison::Comparison;
use super::config::ConfigDiff;
use super::hook::HookDiff;
use crate::trace::{Hook, HookKind as K};
use serde::Serialize;

/// The first hook that is wrong although everything before it in its layer agrees.
#[derive(Clone, Debug, Serialize)]
pub struct Guilt {
    /// The hook.
    pub hook: Hook,
    /// The decoder layer; `None` for hooks that occur once per pass.
    pub layer: Option<u32>,
    /// The first position at which it is wrong.
    pub position: usize,
    /// The finding, in one sentence.
    pub sentence: String,
    /// The part of the model that the pattern of differences points to.
    pub cause: Option<String>,
}

/// The first hook at fault in a comparison in which each layer was run alone. `configs` holds the differences of the
/// configs.
pub fn guilt(alone: &Comparison, configs: &[ConfigDiff]) -> Option<Guilt> {
    let Some(diff) = alone.hooks.iter().find(|diff| diff.ok == Some(false)) else { return flip_guilt(alone) };
    let position = diff.first_beyond.or(diff.first_unequal).unwrap_or(0);
    let (cause, key) = cause(alone, diff, position);
    let cause = with_config(cause, key, configs);
    let place = diff.layer.map_or_else(|| "outside the layers".to_owned(), |layer| format!("in layer {layer}"));
    let before = match alone.hooks.iter().position(|other| other.hook == diff.hook) {
        Some(0) | None => String::new(),
        Some(_) if position > 0 => "; what comes before it agrees, and so do the positions before".to_owned(),
        Some(_) => "; what comes before it agrees".to_owned(),
    };
    let likely = cause.as_ref().map_or_else(String::new, |cause| format!("; likely {cause}"));
    let sentence = format!("the fault is {place}, {}{before}{likely}", diff.words());
    Some(Guilt { hook: diff.hook, layer: diff.layer, position, sentence, cause })
}

/// The fault if no hook is wrong but a flip is not within rounding.
fn flip_guilt(alone: &Comparison) -> Option<Guilt> {
    if alone.ok {
        return None;
    }
    let flip = alone.routing.iter().flat_map(|layer| &layer.at).find(|flip| !flip.is_within_rounding())?;
    let hook = K::ExpertIndices.at(flip.layer as usize);
    let cause = "the router's top-k, or its softmax".to_owned();
    let sentence = format!(
        "the fault is in layer {}, `{hook}`: at position {} A chose the experts {:?}, B {:?}; likely {cause}",
        flip.layer, flip.position, flip.experts[0], flip.experts[1]
    );
    Some(Guilt { hook, layer: hook.decoder_layer(), position: flip.position, sentence, cause: Some(cause) })
}

const WINDOW: &str = "sliding_window";
const ROPE: &str = "rope_theta";

/// The likely cause, and the key of the config that it depends on.
fn cause(alone: &Comparison, diff: &HookDiff, from: usize) -> (String, &'static str) {
    let layer = diff.layer.unwrap_or(0) as usize;
    let agrees = |kind: K| alone.hook(kind.at(layer)).is_some_and(|diff| diff.ok != Some(false));
    let plain = |text: &str| (text.to_owned(), "");
    match diff.hook.kind {
        K::Embed | K::ResidPre => plain("the token embedding: other weights, a scale, or their dtype"),
        K::Ln1Scale | K::Ln2Scale | K::LnFinalScale => ("RMSNorm: its eps".to_owned(), "rms_norm_eps"),
        K::Ln1 | K::Ln2 | K::LnFinal => ("RMSNorm: its eps, or its gain".to_owned(), "rms_norm_eps"),
        K::Q | K::K if diff.reordered => {
            plain("the rows of q_proj and k_proj in another order (GGUF stores adjacent pairs, transformers halves)")
        }
        K::Q | K::K | K::V => plain("the projection's weights or their precision"),
        K::RotQ | K::RotK if from == 0 => {
            plain("RoPE: positions that do not begin at 0, or components paired otherwise (position 0 is not rotated)")
        }
        K::RotQ | K::RotK => {
            ("the RoPE base, or how components are paired: position 0 is not rotated, and it agrees".to_owned(), ROPE)
        }
        K::Pattern | K::Z | K::AttnOut => attention(diff.hook.kind, from, agrees),
        K::ResidMid | K::ResidPost => plain("the addition to the residual stream, or where it is rounded"),
        K::RouterLogits => plain("the router's weights, or the dtype of its matrix product"),
        K::ExpertWeights => plain("the router's softmax: over all experts, in f32"),
        K::ChoiceScores => plain("the scores from which experts are chosen"),
        K::ExpertIndices => ("the router's top-k".to_owned(), "num_experts_per_tok"),
        K::MixingWeights => plain(mixing(diff)),
        K::ExpertOut => plain(experts(from)),
        K::MlpOut if agrees(K::ExpertOut) && agrees(K::MixingWeights) => {
            plain("the weighted sum of the experts' outputs, or where it is rounded")
        }
        K::MlpOut if agrees(K::ExpertOut) => plain("mixing weights that are not renormalised over the chosen experts"),
        K::MlpOut => plain(experts(from)),
        K::Logits => {
            ("the unembedding: lm_head, or the embedding where they are tied".to_owned(), "tie_word_embeddings")
        }
    }
}

fn experts(from: usize) -> &'static str {
    if from > 0 {
        "the dispatch of tokens to experts: right for the first token, wrong in longer sequences"
    } else {
        "the experts: w1 and w3 swapped, another activation, or the precision of their weights"
    }
}

fn mixing(diff: &HookDiff) -> &'static str {
    const OFF: f64 = 1e-2;
    match diff.sums_off {
        Some([a, b]) if b > OFF && a <= OFF => "B does not renormalise the weights of the chosen experts to sum 1",
        Some([a, b]) if a > OFF && b <= OFF => "A does not renormalise the weights of the chosen experts to sum 1",
        _ => "the renormalisation of the chosen experts' weights, or its dtype",
    }
}

fn attention(kind: K, from: usize, agrees: impl Fn(K) -> bool) -> (String, &'static str) {
    let plain = |text: &str| (text.to_owned(), "");
    let rotated = agrees(K::RotQ) && agrees(K::RotK);
    if agrees(K::Z) && kind == K::AttnOut {
        return plain("o_proj");
    }
    if from == 0 {
        return plain(
            "which kv head a query head reads, v_proj, or o_proj: at position 0 attention is the value alone",
        );
    }
    if agrees(K::Pattern) && kind != K::Pattern {
        return plain("which kv head a query head reads");
    }
    // A window of W tokens changes nothing before position W; a rotation shows at once.
    match (rotated, from) {
        (true, 1) => plain("the scale of the scores (1/√head_dim), or which kv head a query head reads"),
        (false, 1 | 2) => {
            ("the RoPE base, or the order of the components of q and k: position 0 agrees".to_owned(), ROPE)
        }
        (_, from) => (format!("a sliding window of {from} tokens: the positions before {from} agree"), WINDOW),
    }
}

/// The cause with the differences of the configs: the one it depends on, or else all.
fn with_config(cause: String, key: &str, configs: &[ConfigDiff]) -> Option<String> {
    match configs.iter().find(|diff| diff.key == key) {
        Some(diff) => Some(format!("{cause} ({diff})")),
        None if configs.is_empty() => Some(cause),
        None => Some(format!("{cause} ({})", configs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))),
    }
}
