//! The bytes that a terminal sends, as keys, pastes and gestures.
//!
//! crossterm has a parser too, but it holds back everything after the start of a paste until the paste ends, and it never
//! reports that the terminal is gone.

mod parser;
mod sequence;

pub use parser::Parser;

use super::HitMap;
use crate::state::input::Key;
use crate::state::{Event, Gesture};

/// One input of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Pasted text.
    Paste(String),
    /// A gesture of the mouse at column and line, from 0.
    Mouse(Gesture, (u16, u16)),
}

impl Input {
    /// The event of the state, with the spots of the screen in `hits`.
    pub fn on(self, hits: &HitMap) -> Event {
        match self {
            Self::Key(key) => Event::Key(key),
            Self::Paste(text) => Event::Paste(text),
            Self::Mouse(gesture, (x, y)) => Event::Mouse(gesture, hits.at(x, y)),
        }
    }
}
