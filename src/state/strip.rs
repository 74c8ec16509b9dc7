//! What the text strip shows of each token, in words.

use super::{Side, State, StripColour};

/// Losses and entropies from here on have the strongest colour, nats.
pub const FULL_NATS: f32 = 8.0;

impl State {
    /// What is shown of each token, by colour or otherwise.
    pub fn strip_caption(&self) -> String {
        let cursor = self.cursor;
        match self.strip_colour() {
            StripColour::Expert => format!("first expert of layer {}", cursor.layer),
            StripColour::Loss => format!("loss, 0 to {FULL_NATS} nats"),
            StripColour::Entropy => format!("entropy before the token, 0 to {FULL_NATS} nats"),
            StripColour::Attention => {
                let side =
                    if self.heads.side == Side::Row { "from the cursor (row)" } else { "to the cursor (column)" };
                let scale = if self.heads.log { "log, 1e-4 to 1" } else { "0 to 1" };
                format!("attention {side}, {scale}, layer {} {}", cursor.layer, self.pick())
            }
            StripColour::Plain => "no colour".to_owned(),
        }
    }
}
