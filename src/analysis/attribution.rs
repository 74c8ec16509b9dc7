use crate::trace::Piece;

/// Identifies one attribution: a logit, and the layer that is attributed in detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributionKey {
    /// Position in the run; its logits predict the next token.
    pub pos: usize,
    /// The token whose logit is attributed.
    pub target: u32,
    /// The decoder layer whose heads and experts are attributed one by one.
    pub layer: usize,
}

/// The contributions of the parts of the model to the logit of one token at one position.
///
/// The logit is `W_U[t] · (g ⊙ x / rms(x))` with `x` the last residual. With the scale `1 / rms(x)` frozen it is linear
/// in `x`, and `x` is the sum of the embedding, the outputs of every attention and every mixture of experts, and what edits
/// put into the stream. So each part has a share of the logit, and the shares add up. Shares are in nats, the unit of the
/// logit, and accumulated in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Position in the run.
    pub pos: usize,
    /// The token whose logit is attributed.
    pub target: u32,
    /// The tokenizer's spelling of it; untrusted text.
    pub piece: Piece,
    /// The model's own logit.
    pub logit: f32,
    /// The frozen scale of the final norm, `1 / rms(x)`.
    pub scale: f32,
    /// Share of the token embedding.
    pub embed: f64,
    /// Share of `resid_mid - resid_pre` by layer, without what edits put in.
    pub attn: Vec<f64>,
    /// Share of `resid_post - resid_mid` by layer, without what edits put in.
    pub mlp: Vec<f64>,
    /// Shares of what edits put into the stream, in the order of the pass.
    pub edits: Vec<EditShare>,
    /// `logit - sum()`: the rounding of the final norm and the unembedding.
    pub remainder: f64,
    /// The layers that were attributed in detail.
    pub details: Vec<LayerShares>,
}

impl Attribution {
    /// `embed + Σ attn + Σ mlp + Σ edits`.
    pub fn sum(&self) -> f64 {
        let edits = self.edits.iter().map(|edit| edit.share).sum::<f64>();
        self.embed + self.attn.iter().sum::<f64>() + self.mlp.iter().sum::<f64>() + edits
    }

    /// The keys of this attribution, one for each layer in detail.
    pub fn keys(&self) -> impl Iterator<Item = AttributionKey> {
        self.details.iter().map(|shares| AttributionKey { pos: self.pos, target: self.target, layer: shares.layer })
    }

    /// The heads and experts of a layer, if it was attributed in detail.
    pub fn layer(&self, layer: usize) -> Option<&LayerShares> {
        self.details.iter().find(|shares| shares.layer == layer)
    }
}

/// The contribution of what an edit put into the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct EditShare {
    /// Decoder layer.
    pub layer: usize,
    /// Whether it replaced the stream by that of another run; else a vector was added.
    pub is_patch: bool,
    /// What it did: `added: FILE`.
    pub label: String,
    /// Share in the logit.
    pub share: f64,
}

/// Shares of the heads and experts of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShares {
    /// Decoder layer.
    pub layer: usize,
    /// Share of `W_O,h z_h` by head.
    pub heads: Vec<f64>,
    /// Share of the bias of the attention's output projection; 0 without one.
    pub bias: f64,
    /// `attn[layer] - bias - Σ heads`: the rounding of the attention's output and the residual.
    pub heads_remainder: f64,
    /// The chosen experts, best first; none in a layer without a router.
    pub experts: Vec<ExpertShare>,
    /// Share of the shared expert, gate included; `None` without one.
    pub shared: Option<f64>,
    /// `mlp[layer] - Σ experts - shared`: the rounding of the mixture and the residual; 0 in a layer without a router.
    pub experts_remainder: f64,
}

/// The contribution of one chosen expert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertShare {
    /// The expert.
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

impl ExpertShare {
    /// What is left of it if `factor` is left of the block's output.
    pub fn keep(&mut self, factor: f64) {
        self.norm *= factor.abs();
        self.share *= factor;
        self.cosine = if factor == 0.0 { None } else { self.cosine };
    }
}
