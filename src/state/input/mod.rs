//! Keys, mouse and actions.

mod act;
mod action;
mod bindings;
pub mod editor;
mod key;
mod keymap;
mod mouse;
mod movement;
mod refusals;
mod scope;
mod spot;
mod typing;

pub use action::{Action, Extent, Move, TextEdit, Vertical};
pub use bindings::{Binding, TABLE};
pub use key::{Chord, Code, Key};
pub use keymap::{Entry, Found, Keymap};
pub use mouse::Selection;
pub use scope::Scope;
pub use spot::{Gesture, Spot};

#[cfg(test)]
mod tests;
