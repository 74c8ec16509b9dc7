//! Gestures of the mouse, and what they meet on the screen.

use super::action::Action;

/// The meaning of a cell of the screen; `None` for parts that the cell does not determine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Position in the run.
    pub token: Option<usize>,
    /// Whether that position is part of the text strip, where tokens can be selected.
    pub in_strip: bool,
    /// Decoder layer.
    pub layer: Option<usize>,
    /// Query head.
    pub head: Option<usize>,
    /// Expert.
    pub expert: Option<usize>,
    /// Row of the candidates.
    pub candidate: Option<usize>,
    /// Row of the list on top.
    pub row: Option<usize>,
    /// The action of a click.
    pub action: Option<Action>,
}

impl Spot {
    /// This spot with the parts of `over` that `over` determines.
    #[must_use]
    pub fn under(self, over: Self) -> Self {
        Self {
            token: over.token.or(self.token),
            in_strip: over.in_strip || self.in_strip,
            layer: over.layer.or(self.layer),
            head: over.head.or(self.head),
            expert: over.expert.or(self.expert),
            candidate: over.candidate.or(self.candidate),
            row: over.row.or(self.row),
            action: over.action.or(self.action),
        }
    }
}

/// A gesture of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// The left button went down.
    Press,
    /// The pointer moved with the left button down.
    Drag,
    /// The left button went up.
    Release,
    /// The wheel turned up.
    WheelUp,
    /// The wheel turned down.
    WheelDown,
}
