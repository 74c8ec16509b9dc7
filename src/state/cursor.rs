//! The one cursor of all views.

use super::{Phase, State};
use serde::{Deserialize, Serialize};

/// The cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Position in the run.
    pub token: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// Expert.
    pub expert: usize,
    /// Row of the candidates.
    pub candidate: usize,
    /// Whether the MLP block of the layer is meant, not its attention block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_mlp: bool,
}

impl State {
    /// Moves the cursor to the nearest token, layer, head, expert and candidate that exist.
    pub(super) fn clamp(&mut self) {
        self.cursor.token = self.cursor.token.min(self.tokens.len().saturating_sub(1));
        if let Phase::Ready(meta) = &self.phase {
            let d = meta.dims;
            self.cursor.layer = self.cursor.layer.min(d.layers - 1);
            self.cursor.head = self.cursor.head.min(d.heads - 1);
            self.cursor.expert = self.cursor.expert.min(d.experts - 1);
        }
        let candidates = self.token().map_or(0, |token| token.next.top.len());
        self.cursor.candidate = self.cursor.candidate.min(candidates.saturating_sub(1));
        self.renew_selected();
    }
}
