use super::{Device, Dims, Dtype, LensSite, Policy, Prompt, Report, Sampling};

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
