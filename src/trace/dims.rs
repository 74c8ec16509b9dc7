use super::LayerSet;
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
    /// Layers in which queries see all keys in spite of the window.
    #[serde(skip_serializing_if = "LayerSet::none")]
    pub unwindowed: LayerSet,
    /// Layers without a router: one MLP reads every token.
    #[serde(skip_serializing_if = "LayerSet::none")]
    pub dense: LayerSet,
    /// Width of the hidden layer of the MLP in layers without a router; 0 if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub d_dense: usize,
    /// Width of the hidden layer of the shared expert; 0 if there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub d_shared: usize,
    /// Whether queries and keys are normed before RoPE.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub qk_norm: bool,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Dims {
    /// Whether `layer` has a router and experts.
    pub fn has_router(&self, layer: usize) -> bool {
        !self.dense.has(layer)
    }

    /// The layers with a router, ascending.
    pub fn routed(self) -> impl Iterator<Item = usize> + Clone {
        (0..self.layers).filter(move |layer| self.has_router(*layer))
    }

    /// Keys that a query can see in `layer`, itself included; `None` = all keys before it.
    pub fn window_at(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| !self.unwindowed.has(layer))
    }

    /// Bytes of one token's keys and values in all layers, f32.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.layers * self.kv_heads * self.d_head * 2 * size_of::<f32>()
    }
}
