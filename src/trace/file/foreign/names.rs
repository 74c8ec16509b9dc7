//! Names of tensors.

use crate::trace::{Dims, Hook, HookKind as K};

/// The name of the token ids.
pub const TOKENS: &str = "tokens";

/// Names of TransformerLens, and of modules of transformers, for the values of a hook that has another name here, without the
/// layer.
const ALIASES: [(&str, K); 18] = [
    ("embed.hook_out", K::Embed),
    ("logits", K::Logits),
    ("hook_in", K::ResidPre),
    ("attn.q.hook_out", K::Q),
    ("attn.k.hook_out", K::K),
    ("attn.v.hook_out", K::V),
    ("attn.o.hook_in", K::Z),
    ("attn.hook_out", K::AttnOut),
    ("ln2.hook_in", K::ResidMid),
    ("mlp.gate.hook_out", K::RouterLogits),
    ("mlp.gate.hook_expert_weights", K::ExpertWeights),
    ("mlp.gate.hook_expert_indices", K::ExpertIndices),
    ("mlp.hook_out", K::MlpOut),
    ("hook_out", K::ResidPost),
    ("attn.q_norm.out", K::QNorm),
    ("attn.k_norm.out", K::KNorm),
    ("mlp.shared_expert.out", K::SharedOut),
    ("mlp.shared_expert_gate.out", K::SharedGate),
];

/// Last words of hooks that TransformerLens has and no view or comparison needs.
const UNUSED: [&str; 24] = [
    "hook_in",
    "hook_out",
    "hook_pre",
    "hook_post",
    "hook_gate",
    "hook_pre_linear",
    "hook_normalized",
    "hook_scale",
    "hook_attn_scores",
    "hook_result",
    "hook_attn_in",
    "hook_q_input",
    "hook_k_input",
    "hook_v_input",
    "hook_mlp_in",
    "hook_hidden_states",
    "hook_router_scores",
    "hook_q_normed",
    "hook_k_normed",
    "hook_pos_embed",
    "hook_tokens",
    "hook_unembed",
    "hook_cos",
    "hook_sin",
];

/// First words of names in TransformerLens.
const PARTS: [&str; 6] = ["blocks", "embed", "pos_embed", "rotary_emb", "ln_final", "unembed"];

/// The hook of exactly this name. A layer that is spelled otherwise, such as `blocks.01.`, is none.
pub fn hook(name: &str) -> Option<Hook> {
    name.parse::<Hook>().ok().filter(|hook| hook.to_string() == name)
}

/// The hook that TransformerLens calls `name`.
pub fn alias(name: &str) -> Option<Hook> {
    let of = |suffix: &str, is_global: bool| {
        ALIASES
            .into_iter()
            .find(|(alias, kind)| *alias == suffix && kind.is_global() == is_global)
            .map(|(_, kind)| kind)
    };
    match name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
        Some((layer, suffix)) => {
            let number: u32 = layer.parse().ok()?;
            Some(of(suffix, false)?.at(number as usize)).filter(|_| number.to_string() == layer)
        }
        None => Some(of(name, true)?.at(0)),
    }
}

/// A name without the layer.
pub fn suffix(name: &str) -> &str {
    let layered = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    layered.map_or(name, |(_, suffix)| suffix)
}

/// Whether TransformerLens has a hook of this name, or mixscope a table.
pub fn is_known(name: &str) -> bool {
    let (first, last) = (name.split('.').next(), name.rsplit('.').next());
    let is_part = first.is_some_and(|first| PARTS.contains(&first)) || first == last;
    name.starts_with("mixscope.") || alias(name).is_some() || is_part && last.is_some_and(|last| UNUSED.contains(&last))
}

/// The number of axes of a hook's tensor.
pub fn rank(kind: K) -> usize {
    kind.shape(Dims::default(), 0).len()
}

/// The first of some names, and how many more there are.
pub fn few(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [first, rest @ ..] => format!("`{first}` and {} more", rest.len()),
    }
}
