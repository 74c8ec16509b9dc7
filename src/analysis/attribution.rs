use std::sync::Arc;

/// Names one attribution: what a position's logit of `target` is made of, and the layer looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributionKey {
    /// Position in the run; its logits predict the token behind it.
    pub pos: usize,
    /// Token whose logit is taken apart.
    pub target: u32,
    /// Decoder layer whose heads and experts are told apart.
    pub layer: usize,
}

/// Shares in the logit of one token at one position.
///
/// The logit is `W_U[t] · (g ⊙ x / rms(x))` with `x` the last residual. With the scale `1 / rms(x)` frozen it is linear
/// in `x`, and `x` is the embedding plus what every attention and every mixture of experts added: each part has a share,
/// and the shares add up. Shares are in the logit's own unit (nats) and accumulated in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Position in the run.
    pub pos: usize,
    /// Token whose logit it is.
    pub target: u32,
    /// The tokenizer's spelling of it; untrusted text.
    pub piece: Arc<str>,
    /// The model's own logit.
    pub logit: f32,
    /// The frozen scale of the final norm, `1 / rms(x)`.
    pub scale: f32,
    /// Share of the token embedding.
    pub embed: f64,
    /// Share of `resid_mid - resid_pre` by layer.
    pub attn: Vec<f64>,
    /// Share of `resid_post - resid_mid` by layer.
    pub mlp: Vec<f64>,
    /// `logit - sum()`: what the final norm and the unembedding rounded.
    pub remainder: f64,
    /// The layers that were looked into.
    pub details: Vec<LayerShares>,
}

impl Attribution {
    /// `embed + Σ attn + Σ mlp`.
    pub fn sum(&self) -> f64 {
        self.embed + self.attn.iter().sum::<f64>() + self.mlp.iter().sum::<f64>()
    }

    /// Its names, one a layer that was looked into.
    pub fn keys(&self) -> impl Iterator<Item = AttributionKey> {
        self.details.iter().map(|shares| AttributionKey { pos: self.pos, target: self.target, layer: shares.layer })
    }

    /// The heads and experts of a layer, if it was looked into.
    pub fn layer(&self, layer: usize) -> Option<&LayerShares> {
        self.details.iter().find(|shares| shares.layer == layer)
    }
}

/// Shares of the heads and experts of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShares {
    /// Decoder layer.
    pub layer: usize,
    /// Share of `W_O,h z_h` by head.
    pub heads: Vec<f64>,
    /// `attn[layer] - Σ heads`: what the attention's output and the residual rounded.
    pub heads_remainder: f64,
    /// The chosen experts, best first.
    pub experts: Vec<ExpertShare>,
    /// `mlp[layer] - Σ experts`: what the mixture and the residual rounded.
    pub experts_remainder: f64,
}

/// What one chosen expert adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertShare {
    /// Which expert.
    pub expert: u32,
    /// Its mixing weight.
    pub weight: f32,
    /// `‖weight · output‖₂`, in the units of the residual stream.
    pub norm: f64,
    /// Cosine of its output with the layer's whole MLP output; `None` if one of them is zero.
    pub cosine: Option<f64>,
    /// Share of `weight · output` in the logit.
    pub share: f64,
}
