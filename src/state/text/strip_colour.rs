//! The colours of the text strip.

use crate::analysis::view::Tab;
use crate::state::State;
use crate::state::views::attention::Side;
use serde::{Deserialize, Serialize};

/// The quantity that colours the text strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StripColour {
    /// First expert in the layer of the cursor.
    Expert,
    /// Loss of each token.
    Loss,
    /// Entropy of the distribution that predicted each token.
    Entropy,
    /// Attention between the token at the cursor and each token.
    Attention,
    /// Nothing.
    Plain,
}

/// Losses and entropies from this value on have the strongest colour, nats.
pub const FULL_NATS: f32 = 8.0;

impl State {
    /// The quantity that colours the text now: in Attention, that is attention instead of experts.
    pub fn strip_colour(&self) -> StripColour {
        match (self.tab(), self.colour) {
            (Tab::Attention, StripColour::Expert) => StripColour::Attention,
            (_, colour) => colour,
        }
    }

    /// The quantity in words.
    pub fn strip_caption(&self) -> String {
        let cursor = self.cursor;
        match self.strip_colour() {
            StripColour::Expert => format!("first expert of layer {}", cursor.layer),
            StripColour::Loss => format!("loss, 0 to {FULL_NATS} nats"),
            StripColour::Entropy => format!("entropy before the token, 0 to {FULL_NATS} nats"),
            StripColour::Attention => {
                let heads = self.heads();
                let side = if heads.side == Side::Row { "from the cursor (row)" } else { "to the cursor (column)" };
                let scale = if heads.log { "log, 1e-4 to 1" } else { "0 to 1" };
                format!("attention {side}, {scale}, layer {} {}", cursor.layer, heads.pick(cursor.head))
            }
            StripColour::Plain => "no colour".to_owned(),
        }
    }
}
