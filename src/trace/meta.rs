use super::{Device, Dims, Dtype, Edit, EditNote, LensSite, Policy, Prompt, Report, Sampling};
use std::sync::Arc;

/// Bytes of weights from which a model is large.
const LARGE: u64 = 2_000_000_000;

/// The origin of a run that was read from a trace file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// The program that made the trace; untrusted text.
    pub made_by: String,
    /// How the run was made, as the trace says; untrusted.
    pub provenance: serde_json::Value,
    /// The name of the model when the run was made; untrusted text.
    pub model: String,
    /// The prompt, if the trace names it.
    pub prompt: Option<Prompt>,
    /// How the tokens were chosen, if the trace names it.
    pub sampling: Option<Sampling>,
    /// The edits of the run, with the number of their sites.
    pub edits: Vec<EditNote>,
    /// Whether the trace holds the attention patterns of each layer, or they can be derived `[layers]`.
    pub attention: Vec<bool>,
    /// Whether the trace holds the lens of each layer, for resid_mid and for resid_post `[layers]`.
    pub lens: Vec<[bool; 2]>,
}

/// How attention scores become weights, as far as sizes don't say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// The factor of the dot product of query and key; `None`: `1 / sqrt(d_head)`.
    pub scale: Option<f32>,
    /// A score of each head that joins the softmax and has no value, by layer `[layers][heads]`; empty without sinks.
    pub sinks: Arc<[Vec<f32>]>,
}

/// A model and how it is run.
#[derive(Clone, Debug)]
pub struct Meta {
    /// The name that it was opened by.
    pub name: String,
    /// A description in one line, e.g. that it is a small model trained for this project.
    pub title: String,
    /// Its sizes.
    pub dims: Dims,
    /// How attention scores become weights.
    pub scores: Scores,
    /// The storage type of the weights: bf16, or the name of a mixture such as Q4_K_M.
    pub weights_dtype: String,
    /// Bytes of every storage type in the files, most first.
    pub stored: Vec<(String, u64)>,
    /// Dtype in which the `hf` policies round.
    pub compute_dtype: Dtype,
    /// The active precision policy.
    pub policy: Policy,
    /// The edits of the pass, in their order.
    pub edits: Arc<[Edit]>,
    /// The device that computes the matrix products; for saved runs see [`Meta::computed_on`].
    pub device: Device,
    /// All parameters, and those that one token uses (embedding table included).
    pub params: (u64, u64),
    /// Bytes of the weights in the file.
    pub weight_bytes: u64,
    /// Bytes of the weights that one token reads.
    pub touched_bytes: u64,
    /// Whether prompts can be put into a chat template.
    pub has_chat: bool,
    /// config.json as found, or the equivalent from a GGUF's metadata.
    pub config: serde_json::Value,
    /// The report of opening the model.
    pub report: Report,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
    /// The origin of a saved run without a model.
    pub recording: Option<Recording>,
}

impl Meta {
    /// The model's name; for a saved run the name of the model that made it.
    pub fn model_name(&self) -> &str {
        let recorded = self.recording.as_ref().map(|saved| saved.model.as_str());
        recorded.filter(|name| !name.is_empty()).unwrap_or(&self.name)
    }

    /// The device that computed the matrix products; for a saved run the one that the trace names, if any.
    pub fn computed_on(&self) -> Option<String> {
        match &self.recording {
            Some(saved) => saved.provenance.get("device")?.as_str().map(str::to_owned),
            None => Some(self.device.to_string()),
        }
    }

    /// Whether the attention patterns of a layer are available.
    pub fn has_attention(&self, layer: usize) -> bool {
        self.recording.as_ref().is_none_or(|saved| saved.attention.get(layer) == Some(&true))
    }

    /// Whether the lens of a layer is available.
    pub fn has_lens(&self, layer: usize, site: LensSite) -> bool {
        self.recording.as_ref().is_none_or(|saved| saved.lens.get(layer).is_some_and(|sites| sites[site as usize]))
    }

    /// Whether weights are in blocks of a GGUF file.
    pub fn is_quantised(&self) -> bool {
        self.stored.iter().any(|(name, _)| ["Q", "IQ", "MXFP"].iter().any(|kind| name.starts_with(kind)))
    }

    /// What the policy `ggml` would change, in a sentence, if this is a large model whose exact products need several
    /// integer products for each weight. Most of its weights have to be in such a format.
    pub fn ggml_advice(&self) -> Option<&'static str> {
        let is_large = self.weight_bytes >= LARGE;
        let in_steps = self.stored.first().is_some_and(|(name, _)| ["Q8_0", "Q4_K", "Q6_K"].contains(&name.as_str()));
        let is_for = self.policy != Policy::Ggml && self.device == Device::Cpu && in_steps;
        (is_large && is_for).then_some(
            "--precision ggml would need fewer products per weight; its rounding is llama.cpp's, activations in 8 bits",
        )
    }

    /// Whether the unembedding shares the weights of the embedding.
    pub fn is_tied(&self) -> bool {
        self.config.get("tie_word_embeddings").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// The dtype whose ulp decides near-ties between router logits: the one in which the router rounds under the `hf`
    /// policy.
    pub fn router_dtype(&self) -> Dtype {
        self.compute_dtype
    }

    /// The dtype in which activations are exact under the active policy.
    pub fn activation_dtype(&self) -> Dtype {
        match self.policy {
            policy if policy.keeps_f32() => Dtype::F32,
            Policy::Bf16 => Dtype::Bf16,
            _ => self.compute_dtype,
        }
    }
}
