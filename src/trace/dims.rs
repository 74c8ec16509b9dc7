use serde::Serialize;

/// The sizes of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// Positions that the model was trained for.
    pub context: usize,
    /// Keys that a query can see, itself included; `None` = all keys before it.
    pub window: Option<usize>,
}

impl Dims {
    /// Bytes of one token's keys and values in all layers, f32.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.layers * self.kv_heads * self.d_head * 2 * size_of::<f32>()
    }
}
