//! What the text strip shows of each token, in words.

use crate::analysis::view::Tab;
use crate::state::State;
use crate::state::views::attention::Side;
use serde::{Deserialize, Serialize};

/// What colours the text strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StripColour {
    /// First expert of the layer at the cursor.
    Expert,
    /// Loss of the token.
    Loss,
    /// Entropy of the distribution that predicted it.
    Entropy,
    /// How much the head at the cursor looks at it from the token at the cursor, or from it to that token.
    Attention,
    /// Nothing.
    Plain,
}

/// Losses and entropies from here on have the strongest colour, nats.
pub const FULL_NATS: f32 = 8.0;

impl State {
    /// What colours the text now: in the Attention view, where the head at the cursor looks.
    pub fn strip_colour(&self) -> StripColour {
        match (self.tab(), self.colour) {
            (Tab::Attention, StripColour::Expert) => StripColour::Attention,
            (_, colour) => colour,
        }
    }

    /// What is shown of each token, by colour or otherwise.
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
