use super::protocol::Prompt;
use super::{Device, HookKind, LensSite, Report};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Storage or compute type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16: 8 exponent and 7 mantissa bits.
    Bf16,
}

impl Dtype {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// The one of the two with fewer mantissa bits.
    pub fn coarser(self, other: Self) -> Self {
        if self.mantissa_bits() < other.mantissa_bits() { self } else { other }
    }

    /// The value of this type that is nearest to `x`, ties to even.
    pub fn round(self, x: f32) -> f32 {
        match self {
            Self::F32 => x,
            Self::F16 => f16::from_f32(x).to_f32(),
            Self::Bf16 => bf16::from_f32(x).to_f32(),
        }
    }

    /// Stored bits of the mantissa.
    fn mantissa_bits(self) -> i32 {
        match self {
            Self::F32 => 23,
            Self::F16 => 10,
            Self::Bf16 => 7,
        }
    }

    /// The distance between neighbouring values of this type around `x`: one unit in the last place.
    pub fn step(self, x: f32) -> f32 {
        let exponent = ((x.to_bits() >> 23) as i32 & 0xff).max(1) - 127;
        2f32.powi(exponent - self.mantissa_bits())
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name.to_ascii_lowercase().as_str() {
            "f32" | "fp32" | "float32" | "float" => Ok(Self::F32),
            "f16" | "fp16" | "float16" | "half" => Ok(Self::F16),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            _ => anyhow::bail!("`{name}` is not one of f32, f16, bf16"),
        }
    }
}

/// The named precision policies: those to work with, then those of the precision lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Round where Hugging Face transformers rounds, in the weights' dtype.
    Hf,
    /// Round nowhere: everything in f32.
    F32,
    /// As `hf`, with the router's matrix product kept in f32.
    F32Router,
    /// As `hf` would round a model of bf16 weights, whatever the weights are.
    Bf16,
    /// As `hf`, with the router's softmax, choice and renormalisation in bf16.
    RouterSoftmaxBf16,
    /// As `hf`, with the frequencies and angles of RoPE in bf16.
    RopeBf16,
    /// As `hf`, with the router's weights as a Q8_0 file would hold them.
    RouterQ8,
    /// As `hf`, with the router's weights as a Q4_0 file would hold them.
    RouterQ4,
    /// As `hf`, with the experts' outputs added one by one in the weights' dtype (transformers 5,
    /// `experts_implementation="eager"`).
    EagerExperts,
    /// As `eager-experts`, with the mixing weights rounded first (transformers 4).
    Hf4,
}

const POLICIES: [(Policy, &str); 10] = [
    (Policy::Hf, "hf"),
    (Policy::F32, "f32"),
    (Policy::F32Router, "f32-router"),
    (Policy::Bf16, "bf16"),
    (Policy::RouterSoftmaxBf16, "router-softmax-bf16"),
    (Policy::RopeBf16, "rope-bf16"),
    (Policy::RouterQ8, "router-q8"),
    (Policy::RouterQ4, "router-q4"),
    (Policy::EagerExperts, "eager-experts"),
    (Policy::Hf4, "hf4"),
];

impl Policy {
    /// All of them; those to work with first.
    pub fn all() -> impl Iterator<Item = Policy> {
        POLICIES.into_iter().map(|(policy, _)| policy)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        POLICIES.iter().find(|(policy, _)| *policy == self).map_or("", |(_, name)| name)
    }

    /// What it rounds, in a clause.
    pub fn about(self) -> &'static str {
        match self {
            Self::Hf => "rounded where transformers rounds, in the weights' dtype",
            Self::F32 => "rounded nowhere",
            Self::F32Router => "as hf, the router's matrix product in f32",
            Self::Bf16 => "as hf on bf16 weights, whatever the weights are",
            Self::RouterSoftmaxBf16 => "as hf, the router's softmax, choice and renormalisation in bf16",
            Self::RopeBf16 => "as hf, RoPE's frequencies and angles in bf16",
            Self::RouterQ8 => "as hf, the router's weights as Q8_0",
            Self::RouterQ4 => "as hf, the router's weights as Q4_0",
            Self::EagerExperts => {
                "as hf, the experts' outputs added one by one, each sum rounded (transformers 5, eager)"
            }
            Self::Hf4 => "as eager-experts, the mixing weights rounded first (transformers 4)",
        }
    }

    /// Whether the router's logits stay f32 although activations are rounded.
    pub fn keeps_router_f32(self) -> bool {
        self == Self::F32Router
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Policy {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        POLICIES.iter().find(|(_, n)| *n == name).map(|(policy, _)| *policy).ok_or_else(|| {
            let all: Vec<&str> = POLICIES.iter().map(|(_, name)| *name).collect();
            anyhow::anyhow!("`{name}` is not one of {}", all.join(", "))
        })
    }
}

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dims {
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of an expert's hidden layer.
    pub d_ff: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; query head `i` reads kv head `i / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of a head.
    pub d_head: usize,
    /// Experts of a layer.
    pub experts: usize,
    /// Experts chosen for a token.
    pub top_k: usize,
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// Keys a query may see, itself included; `None` = all before it.
    pub window: Option<usize>,
}

impl Dims {
    /// Bytes of one token's keys and values in all layers, f32.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.layers * self.kv_heads * self.d_head * 2 * size_of::<f32>()
    }

    /// Bytes that the views keep of one token, f32, KV cache not included.
    pub fn kept_bytes_per_token(&self) -> usize {
        let width = |kind: HookKind| match kind {
            HookKind::RotQ => self.heads * self.d_head,
            HookKind::RotK => self.kv_heads * self.d_head,
            HookKind::RouterLogits | HookKind::ExpertWeights => self.experts,
            HookKind::ExpertIndices | HookKind::MixingWeights => self.top_k,
            _ => self.d_model,
        };
        self.layers * HookKind::FOR_VIEWS.into_iter().map(width).sum::<usize>() * size_of::<f32>()
    }
}

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 = greedy.
    pub temperature: f64,
    /// Keep only the k most probable tokens.
    pub top_k: Option<usize>,
    /// Keep the smallest set of tokens whose probabilities reach p.
    pub top_p: Option<f64>,
    /// With the position it seeds the choice, so a step repeated after stepping back gives the same token.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: None, seed: 0 }
    }
}

/// What is known of a run that was read from a trace file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// The program that made it; untrusted text.
    pub made_by: String,
    /// How it was made, as the trace says; untrusted.
    pub provenance: serde_json::Value,
    /// The model's name when it was made; untrusted text.
    pub model: String,
    /// Its prompt, if the trace tells.
    pub prompt: Option<Prompt>,
    /// How its tokens were chosen, if the trace tells.
    pub sampling: Option<Sampling>,
    /// Whether the attention patterns of each layer are there or can be derived `[layers]`.
    pub attention: Vec<bool>,
    /// Whether the lens of each layer is there, of resid_mid and of resid_post `[layers]`.
    pub lens: Vec<[bool; 2]>,
}

/// A model and how it is run.
#[derive(Clone, Debug)]
pub struct Meta {
    /// The name it was opened by.
    pub name: String,
    /// What to call it in one line, e.g. that it is a small model trained for this project.
    pub title: String,
    /// Its sizes.
    pub dims: Dims,
    /// How the weights are stored: bf16, or the name of a mixture such as Q4_K_M.
    pub weights_dtype: String,
    /// Bytes of every storage type in the files, most first.
    pub stored: Vec<(String, u64)>,
    /// Dtype in which the `hf` policies round.
    pub compute_dtype: Dtype,
    /// The active precision policy.
    pub policy: Policy,
    /// What multiplies by the weights; of a saved run [`Meta::computed_on`] tells.
    pub device: Device,
    /// All parameters, and those that one token uses (embedding table included).
    pub params: (u64, u64),
    /// Bytes of the weights in the file.
    pub weight_bytes: u64,
    /// Bytes of the weights that one token reads.
    pub touched_bytes: u64,
    /// Whether prompts can be put into a chat template.
    pub has_chat: bool,
    /// config.json as found, or what a GGUF's metadata say in its place.
    pub config: serde_json::Value,
    /// What loading validated.
    pub report: Report,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
    /// Where the run comes from if it was saved and there is no model.
    pub recording: Option<Recording>,
}

impl Meta {
    /// The model's name: of a saved run, that of the model that made it.
    pub fn model_name(&self) -> &str {
        let recorded = self.recording.as_ref().map(|saved| saved.model.as_str());
        recorded.filter(|name| !name.is_empty()).unwrap_or(&self.name)
    }

    /// What multiplied by the weights: of a saved run what it says itself, if it says anything.
    pub fn computed_on(&self) -> Option<String> {
        match &self.recording {
            Some(saved) => saved.provenance.get("device")?.as_str().map(str::to_owned),
            None => Some(self.device.to_string()),
        }
    }

    /// Whether the attention patterns of a layer can be had.
    pub fn has_attention(&self, layer: usize) -> bool {
        self.recording.as_ref().is_none_or(|saved| saved.attention.get(layer) == Some(&true))
    }

    /// Whether the lens of a layer can be had.
    pub fn has_lens(&self, layer: usize, site: LensSite) -> bool {
        self.recording.as_ref().is_none_or(|saved| saved.lens.get(layer).is_some_and(|sites| sites[site as usize]))
    }

    /// Whether the unembedding is the embedding.
    pub fn is_tied(&self) -> bool {
        self.config.get("tie_word_embeddings").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// The dtype whose rounding decides near-ties between router logits: the one the router rounds in under
    /// the `hf` policy.
    pub fn router_dtype(&self) -> Dtype {
        self.compute_dtype
    }

    /// The dtype in which activations are exact under the active policy.
    pub fn activation_dtype(&self) -> Dtype {
        match self.policy {
            Policy::F32 => Dtype::F32,
            Policy::Bf16 => Dtype::Bf16,
            _ => self.compute_dtype,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_dtypes_units_in_the_last_place() {
        assert_eq!(Dtype::Bf16.step(1.0), 1.0 / 128.0);
        assert_eq!(Dtype::Bf16.step(-3.5), 2.0 / 128.0);
        assert_eq!(Dtype::F32.step(1.0), f32::EPSILON);
        assert_eq!(Dtype::F16.step(0.75), 0.5 / 1024.0);
    }
}
