//! The names that families give the tensors of a layer's experts. All other tensors have one name in all families.

/// Names of tensors in safetensors files, after `model.layers.N.`, and what differs in GGUF files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// The block that holds router and experts.
    pub block: &'static str,
    /// The same where all experts of a layer are in two tensors.
    pub fused_block: &'static str,
    /// The router in the block.
    pub router: &'static str,
    /// Gate, down and up of one expert.
    pub expert: [&'static str; 3],
    /// Gate and up of all experts, and down of all experts, in the block.
    pub fused: [&'static str; 2],
    /// How gate and up are arranged in the fused tensor.
    pub gate_up: GateUp,
    /// The norm between attention and experts in a GGUF file.
    pub gguf_ln2: &'static str,
    /// Whether a GGUF file stores the rows of each head of q and k as adjacent pairs.
    pub gguf_pairs: bool,
}

/// How gate and up of an expert are arranged in one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateUp {
    /// All rows of gate, then all of up: `[experts, 2 · d_ff, d_model]`.
    Halves,
    /// A column of gate and a column of up in turn: `[experts, d_model, 2 · d_ff]`; `down` is `[experts, d_ff, d_model]`.
    Columns,
}

impl Names {
    /// Mixtral's.
    pub const MIXTRAL: Self = Self {
        block: "block_sparse_moe",
        fused_block: "mlp",
        router: "gate",
        expert: ["w1", "w2", "w3"],
        fused: ["experts.gate_up_proj", "experts.down_proj"],
        gate_up: GateUp::Halves,
        gguf_ln2: "ffn_norm",
        gguf_pairs: true,
    };
    /// Those of OLMoE and Qwen.
    pub const MLP: Self =
        Self { block: "mlp", expert: ["gate_proj", "down_proj", "up_proj"], gguf_pairs: false, ..Self::MIXTRAL };
    /// Granite's.
    pub const GRANITE: Self = Self {
        fused_block: "block_sparse_moe",
        router: "router.layer",
        expert: ["gate_proj", "down_proj", "up_proj"],
        fused: ["input_linear.weight", "output_linear.weight"],
        ..Self::MIXTRAL
    };
    /// Those of gpt-oss.
    pub const GPT_OSS: Self =
        Self { router: "router", gate_up: GateUp::Columns, gguf_ln2: "post_attention_norm", ..Self::MLP };
}
