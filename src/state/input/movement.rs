//! Movement: of the cursor, through the tabs, through the colours of the text.

use super::action::{Move, Vertical};
use crate::analysis::view::Tab;
use crate::state::{State, StripColour};
use crate::trace::Direction;

impl State {
    /// Shows the next or the previous tab.
    pub(in crate::state) fn turn_tab(&mut self, direction: Direction) {
        let count = Tab::ALL.len();
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab()).unwrap_or(0);
        let by = if direction == Direction::Forward { 1 } else { count - 1 };
        self.pane_mut().show_tab(Tab::ALL[(at + by) % count]);
    }

    /// Shows the next colours of the text.
    pub(in crate::state) fn cycle_colour(&mut self) {
        self.colour = match self.colour {
            StripColour::Expert => StripColour::Loss,
            StripColour::Loss => StripColour::Entropy,
            StripColour::Entropy => StripColour::Attention,
            StripColour::Attention => StripColour::Plain,
            StripColour::Plain => StripColour::Expert,
        };
        if self.geometry.strip_is_untitled {
            self.say(format!("text: {}", self.strip_caption()));
        }
    }

    /// Moves the token cursor.
    pub(in crate::state) fn move_token(&mut self, to: Move) {
        let last = self.tokens.len().saturating_sub(1);
        let at = self.cursor.token;
        let pos = match to {
            Move::Left => at.saturating_sub(1),
            Move::Right => at + 1,
            Move::FarLeft => at.saturating_sub(10),
            Move::FarRight => at + 10,
            Move::First => 0,
            Move::Last => last,
        };
        self.go_to(pos.min(last));
    }

    /// Puts the cursor on a token, where it stays when the run ends.
    pub(in crate::state) fn go_to(&mut self, pos: usize) {
        self.catch_up = false;
        if self.cursor.token != pos {
            self.cursor.token = pos;
            self.cursor.candidate = 0;
        }
    }

    /// Moves the layer cursor. The last layer is drawn on top.
    pub(in crate::state) fn move_layer(&mut self, to: Vertical) {
        let layer = self.cursor.layer;
        self.cursor.layer = if to == Vertical::Up { layer + 1 } else { layer.saturating_sub(1) };
    }
}
