use super::Dims;
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A kind of hook point. Names are those of TransformerLens where they exist. Shapes are those of one forward pass over
/// `pos` positions, without a batch axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// Token embeddings `[pos, d_model]`.
    Embed,
    /// What the last RMSNorm divides by, f32 `[pos, 1]`: `sqrt(mean(x²) + eps)` of each row. An edit changes the norm.
    LnFinalScale,
    /// After the last RMSNorm, gain applied `[pos, d_model]`.
    LnFinal,
    /// Logits `[pos, vocab]`.
    Logits,
    /// Input of the decoder layer `[pos, d_model]`.
    ResidPre,
    /// What the attention RMSNorm divides by, f32 `[pos, 1]`.
    Ln1Scale,
    /// After the attention RMSNorm, gain applied `[pos, d_model]`.
    Ln1,
    /// Query projection before RoPE `[pos, heads, d_head]`.
    Q,
    /// Key projection before RoPE `[pos, kv_heads, d_head]`.
    K,
    /// Value projection `[pos, kv_heads, d_head]`.
    V,
    /// Query after its RMSNorm, gain applied `[pos, heads, d_head]`; only in models that norm queries and keys.
    QNorm,
    /// Key after its RMSNorm, gain applied `[pos, kv_heads, d_head]`; only in models that norm queries and keys.
    KNorm,
    /// Query after RoPE `[pos, heads, d_head]`.
    RotQ,
    /// Key after RoPE `[pos, kv_heads, d_head]`.
    RotK,
    /// Attention probabilities `[heads, query, key]`.
    Pattern,
    /// Per-head output before `o_proj` `[pos, heads, d_head]`.
    Z,
    /// Attention output `[pos, d_model]`.
    AttnOut,
    /// `resid_pre + attn_out` `[pos, d_model]`.
    ResidMid,
    /// What the MLP's RMSNorm divides by, f32 `[pos, 1]`.
    Ln2Scale,
    /// After the MLP's RMSNorm, gain applied: the input of router and experts `[pos, d_model]`.
    Ln2,
    /// Router logits `[pos, experts]`.
    RouterLogits,
    /// Softmax of the router logits over all experts, f32 `[pos, experts]`.
    ExpertWeights,
    /// What top-k is taken from, f32 `[pos, experts]`: the expert weights, unless an edit changed them here. An edit
    /// changes which experts are chosen, and the mixing weights still come from the expert weights.
    ChoiceScores,
    /// Chosen experts, best first, integers `[pos, k]`.
    ExpertIndices,
    /// Renormalised weights of the chosen experts, f32, same order `[pos, k]`.
    MixingWeights,
    /// Output of each chosen expert before weighting `[pos, k, d_model]`.
    ExpertOut,
    /// Output of the shared expert before its gate `[pos, d_model]`; only in models with one.
    SharedOut,
    /// Gate of the shared expert before the sigmoid `[pos, 1]`; only in models with one.
    SharedGate,
    /// Weighted sum of the experts, the shared one included `[pos, d_model]`; the output of the MLP in layers without a router.
    MlpOut,
    /// `resid_mid + mlp_out` `[pos, d_model]`.
    ResidPost,
}

use HookKind as K;

/// Fills the slots of expert indices where a token goes through fewer experts than another of the same layer; -1 in files.
pub const NO_EXPERT: u32 = u32::MAX;

/// Hook points that occur once per forward pass, with their full names.
const GLOBAL: [(HookKind, &str); 4] = [
    (K::Embed, "hook_embed"),
    (K::LnFinalScale, "ln_final.hook_scale"),
    (K::LnFinal, "ln_final.hook_out"),
    (K::Logits, "unembed.hook_out"),
];

/// Hook points that occur once per layer, in the order of the forward pass, with the part of the name after
/// `blocks.{l}.`.
const LAYERED: [(HookKind, &str); 26] = [
    (K::ResidPre, "hook_resid_pre"),
    (K::Ln1Scale, "ln1.hook_scale"),
    (K::Ln1, "ln1.hook_out"),
    (K::Q, "attn.hook_q"),
    (K::K, "attn.hook_k"),
    (K::V, "attn.hook_v"),
    (K::QNorm, "attn.q_norm.hook_out"),
    (K::KNorm, "attn.k_norm.hook_out"),
    (K::RotQ, "attn.hook_rot_q"),
    (K::RotK, "attn.hook_rot_k"),
    (K::Pattern, "attn.hook_pattern"),
    (K::Z, "attn.hook_z"),
    (K::AttnOut, "hook_attn_out"),
    (K::ResidMid, "hook_resid_mid"),
    (K::Ln2Scale, "ln2.hook_scale"),
    (K::Ln2, "ln2.hook_out"),
    (K::RouterLogits, "mlp.hook_router_logits"),
    (K::ExpertWeights, "mlp.hook_expert_weights"),
    (K::ChoiceScores, "mlp.hook_choice_scores"),
    (K::ExpertIndices, "mlp.hook_expert_indices"),
    (K::MixingWeights, "mlp.hook_mixing_weights"),
    (K::ExpertOut, "mlp.hook_expert_out"),
    (K::SharedOut, "mlp.hook_shared_out"),
    (K::SharedGate, "mlp.hook_shared_gate"),
    (K::MlpOut, "hook_mlp_out"),
    (K::ResidPost, "hook_resid_post"),
];

impl HookKind {
    /// The hooks that all views are drawn or derived from: their size is linear in tokens, so no patterns.
    pub const FOR_VIEWS: [HookKind; 8] = [
        K::RouterLogits,
        K::ExpertWeights,
        K::ExpertIndices,
        K::MixingWeights,
        K::RotQ,
        K::RotK,
        K::ResidMid,
        K::ResidPost,
    ];

    /// Every kind: the global ones, then those of a layer in the order of the forward pass.
    pub fn all() -> impl Iterator<Item = HookKind> {
        GLOBAL.into_iter().chain(LAYERED).map(|(kind, _)| kind)
    }

    /// Every kind that a complete trace holds: all but the choice scores, which repeat the expert weights.
    pub fn recorded() -> impl Iterator<Item = HookKind> {
        Self::all().filter(|kind| *kind != K::ChoiceScores)
    }

    /// Whether a model of these sizes has it in `layer`.
    pub fn is_in(self, d: Dims, layer: usize) -> bool {
        match self {
            K::QNorm | K::KNorm => d.qk_norm,
            K::SharedOut | K::SharedGate => d.d_shared > 0 && d.has_router(layer),
            kind => !kind.is_of_router() || d.has_router(layer),
        }
    }

    /// Whether only layers with a router have it.
    pub fn is_of_router(self) -> bool {
        matches!(self, K::RouterLogits | K::ExpertWeights | K::ChoiceScores) || self.is_by_expert()
    }

    /// The hook point in layer `layer`. Kinds that occur once per pass ignore the layer.
    pub fn at(self, layer: usize) -> Hook {
        Hook { kind: self, layer: if self.is_global() { 0 } else { layer as u32 } }
    }

    /// Whether it occurs once per forward pass and not once per layer.
    pub fn is_global(self) -> bool {
        self <= K::Logits
    }

    /// The name without a layer: `hook_embed`, `attn.hook_q`, …
    pub fn suffix(self) -> &'static str {
        let all = GLOBAL.iter().chain(&LAYERED);
        all.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The last word of its name without `hook_`: `attn_out`, `router_logits`, …; for norms the word before it; for the scales
    /// of norms the whole name, because they have one last word.
    pub fn short_name(self) -> &'static str {
        let suffix = self.suffix();
        if self.is_scale() {
            return suffix;
        }
        suffix.strip_suffix(".hook_out").unwrap_or_else(|| suffix.rsplit("hook_").next().unwrap_or(suffix))
    }

    /// The shape of the tensor in a trace of `pos` tokens, row-major.
    pub fn shape(self, d: Dims, pos: usize) -> Vec<usize> {
        self.shape_at(d, 0..pos)
    }

    /// The shape of its value in a pass that reads `positions` after those in the cache, row-major.
    pub fn shape_at(self, d: Dims, positions: Range<usize>) -> Vec<usize> {
        let pos = positions.len();
        match self {
            K::Logits => vec![pos, d.vocab],
            K::Ln1Scale | K::Ln2Scale | K::LnFinalScale | K::SharedGate => vec![pos, 1],
            K::Q | K::QNorm | K::RotQ | K::Z => vec![pos, d.heads, d.d_head],
            K::K | K::V | K::KNorm | K::RotK => vec![pos, d.kv_heads, d.d_head],
            K::Pattern => vec![d.heads, pos, positions.end],
            K::RouterLogits | K::ExpertWeights | K::ChoiceScores => vec![pos, d.experts],
            K::ExpertIndices | K::MixingWeights => vec![pos, d.top_k],
            K::ExpertOut => vec![pos, d.top_k, d.d_model],
            K::Embed | K::LnFinal | K::ResidPre | K::Ln1 | K::AttnOut => vec![pos, d.d_model],
            K::ResidMid | K::Ln2 | K::SharedOut | K::MlpOut | K::ResidPost => vec![pos, d.d_model],
        }
    }

    /// Whether the values are f32 under every precision policy: router softmax, mixing weights and the scales of norms.
    pub fn always_f32(self) -> bool {
        matches!(self, K::ExpertWeights | K::ChoiceScores | K::MixingWeights) || self.is_scale()
    }

    /// Whether each row has a slot for every expert that the token chose.
    pub fn is_by_expert(self) -> bool {
        matches!(self, K::ExpertIndices | K::MixingWeights | K::ExpertOut)
    }

    /// As [`HookKind::shape_at`], for a value of `len` numbers: edits change how many experts a token goes through.
    pub fn shape_of(self, d: Dims, positions: Range<usize>, len: usize) -> Vec<usize> {
        let width = if self == K::ExpertOut { d.d_model } else { 1 };
        let top_k = if self.is_by_expert() { len / (positions.len() * width).max(1) } else { d.top_k };
        self.shape_at(Dims { top_k, ..d }, positions)
    }

    /// Whether it has a row of values for each position and layer, which an edit can replace.
    pub fn can_be_patched(self) -> bool {
        !self.is_global() && !matches!(self, K::Pattern | K::ExpertIndices)
    }

    /// Whether it is what a norm divides by. Recordings of transformers lack these.
    pub fn is_scale(self) -> bool {
        matches!(self, K::Ln1Scale | K::Ln2Scale | K::LnFinalScale)
    }
}

impl Dims {
    /// Bytes of the hooks that the views keep of one token, f32, without the KV cache.
    pub fn kept_bytes_per_token(&self) -> usize {
        let width = |kind: HookKind| kind.shape(*self, 1).into_iter().product::<usize>();
        let sum = |has_router: bool| -> usize {
            HookKind::FOR_VIEWS.into_iter().filter(|kind| has_router || !kind.is_of_router()).map(width).sum()
        };
        // A config may claim more layers than can be counted one by one.
        let dense = self.dense.layers().filter(|layer| *layer < self.layers).count();
        (dense * sum(false) + (self.layers - dense) * sum(true)) * size_of::<f32>()
    }
}

/// One hook point of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hook {
    /// Its kind.
    pub kind: HookKind,
    /// The decoder layer, from 0; 0 for global hooks.
    pub layer: u32,
}

impl Hook {
    /// Every hook point of a model of these sizes.
    pub fn all(d: Dims) -> impl Iterator<Item = Hook> {
        let global = GLOBAL.into_iter().map(|(kind, _)| kind.at(0));
        let of_layer = |l: usize| LAYERED.into_iter().map(move |(kind, _)| kind.at(l));
        global.chain((0..d.layers).flat_map(of_layer)).filter(move |hook| hook.is_in(d))
    }

    /// Every hook point that a complete trace holds, see [`HookKind::recorded`].
    pub fn recorded(d: Dims) -> impl Iterator<Item = Hook> {
        Self::all(d).filter(|hook| hook.kind != K::ChoiceScores)
    }

    /// Whether a model of these sizes has it.
    pub fn is_in(self, d: Dims) -> bool {
        self.kind.is_in(d, self.layer as usize)
    }

    /// A dense index: the global hooks first, then layer by layer.
    pub fn index(self) -> usize {
        if self.kind.is_global() {
            return self.kind as usize;
        }
        GLOBAL.len() + self.layer as usize * LAYERED.len() + (self.kind as usize - GLOBAL.len())
    }

    /// A key that sorts hooks in the order of the forward pass: embedding, layer by layer, final norm, logits.
    pub fn order(self) -> (u64, HookKind) {
        let place = match self.kind {
            K::Embed => 0,
            K::LnFinalScale | K::LnFinal | K::Logits => u64::MAX,
            _ => 1 + u64::from(self.layer),
        };
        (place, self.kind)
    }

    /// The decoder layer; `None` for hooks that occur once per pass.
    pub fn decoder_layer(self) -> Option<u32> {
        (!self.kind.is_global()).then_some(self.layer)
    }

    /// One more than the largest [`Hook::index`] in a model with `layers` layers.
    pub fn count(layers: usize) -> usize {
        GLOBAL.len() + layers * LAYERED.len()
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_global() {
            f.write_str(self.kind.suffix())
        } else {
            write!(f, "blocks.{}.{}", self.layer, self.kind.suffix())
        }
    }
}

/// As the hook's name in a trace.
impl Serialize for Hook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Hook {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        if let Some((kind, _)) = GLOBAL.iter().find(|(_, n)| *n == name) {
            return Ok(kind.at(0));
        }
        let parsed = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).and_then(|(l, suffix)| {
            let kind = LAYERED.iter().find(|(_, n)| *n == suffix)?.0;
            Some(Hook { kind, layer: l.parse().ok()? })
        });
        parsed.ok_or_else(|| anyhow::anyhow!("`{name}` is not a hook point of the trace format"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_its_own_index_and_survives_its_name() {
        let dims = Dims { layers: 3, d_shared: 8, qk_norm: true, ..Dims::default() };
        for (i, hook) in Hook::all(dims).enumerate() {
            assert_eq!(hook.index(), i);
            assert_eq!(hook.to_string().parse::<Hook>().unwrap(), hook);
        }
        assert_eq!(Hook::all(dims).count(), Hook::count(3));
        let dense = Dims { dense: [1].into_iter().collect(), ..dims };
        assert_eq!(Hook::all(dims).count() - Hook::all(dense).count(), 8);
        assert!("blocks.x.hook_resid_pre".parse::<Hook>().is_err());
    }
}
