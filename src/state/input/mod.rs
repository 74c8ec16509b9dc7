//! Keys, mouse and actions.

mod act;
mod action;
mod address;
mod arrangement;
mod bindings;
pub mod editor;
mod jumps;
mod key;
mod keymap;
mod mouse;
mod movement;
mod refusals;
mod scope;
mod selection;
mod spot;
mod typing;

pub use action::{Action, Extent, Move, TextEdit, Vertical};
pub use address::Address;
pub use bindings::{Binding, bindings};
pub(in crate::state) use jumps::Jumps;
pub use key::{Chord, Code, Key};
pub use keymap::{Entry, Found, Keymap};
pub use scope::{Scope, Task};
pub use selection::{SelectedUsage, Selection, Unit};
pub use spot::{Gesture, Spot};

#[cfg(test)]
mod tests;
