//! Events, which change the state, and effects, which the state requests from the rest of the program.

use super::geometry::Geometry;
use super::input::{Gesture, Key, Spot};
use super::overlays::Choice;
use super::run::{Save, Wanted};
use crate::protocol::{Ask, Failure, RequestId};
use crate::trace::Edit;

/// An event.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(Key),
    /// Pasted text.
    Paste(String),
    /// A gesture of the mouse, and the spot under it.
    Mouse(Gesture, Option<Spot>),
    /// An event of the engine.
    Engine(crate::protocol::Event),
    /// A frame was drawn, with its missing numbers and its sizes.
    Drawn(Box<Wanted>, Geometry),
    /// Models that were found for the picker.
    Models(Vec<Choice>),
    /// The progress of the files that are being written.
    Saving(String),
    /// Files were written, with a message about them, or could not be written.
    Saved(Result<String, Failure>),
    /// Edits were read from a file, or could not be read.
    Edits(Result<Vec<Edit>, Failure>),
    /// Something outside the engine failed.
    Trouble(Failure),
}

/// An effect outside the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a request to the engine.
    Ask(RequestId, Ask),
    /// Cancel runs up to this id.
    Cancel(RequestId),
    /// Stop opening models up to this id.
    CancelOpening(RequestId),
    /// Find models for the picker: known ones, and paths that begin with this text.
    FindModels(String),
    /// Add this prompt to the history file.
    Remember(String),
    /// Add this model to the recent ones.
    RememberModel(String),
    /// Copy this text to the clipboard.
    Copy(String),
    /// Stop the program until the shell continues it.
    Suspend,
    /// Clear the screen and draw it again.
    Redraw,
    /// Write this to files.
    Save(Save),
    /// Stop writing files.
    StopSaving,
    /// Write the edits to a file that does not exist.
    SaveEdits {
        /// The path as it was typed.
        path: String,
        /// The edits, one a line.
        text: String,
    },
    /// Read edits from a file.
    LoadEdits(String),
    /// Leave.
    Quit,
}
