//! What can happen, and what is to be done outside.

use super::drawn::Geometry;
use super::input::{Gesture, Key, Spot};
use super::overlays::Choice;
use super::run::{Save, Wanted};
use crate::protocol::{Ask, Failure, RequestId};

/// What can happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(Key),
    /// Pasted text.
    Paste(String),
    /// The mouse, and what lies under it.
    Mouse(Gesture, Option<Spot>),
    /// The engine reports.
    Engine(crate::protocol::Event),
    /// A frame was drawn: the numbers that it lacked, and its sizes.
    Drawn(Wanted, Geometry),
    /// Models that were found for the picker.
    Models(Vec<Choice>),
    /// How far the files are that are being written.
    Saving(String),
    /// Files were written, and what is to be said of them; or not.
    Saved(Result<String, Failure>),
    /// Something outside the engine failed.
    Trouble(Failure),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the engine.
    Ask(RequestId, Ask),
    /// Cancel runs up to this id.
    Cancel(RequestId),
    /// Stop opening models, up to this id.
    CancelOpening(RequestId),
    /// Look for models that can be opened: known ones, and paths that begin with this text.
    FindModels(String),
    /// Keep this prompt in the history file.
    Remember(String),
    /// Keep this model among the recent ones.
    RememberModel(String),
    /// Put this text into the clipboard.
    Copy(String),
    /// Stop the program until it is brought back.
    Suspend,
    /// Clear the screen and draw it anew.
    Redraw,
    /// Write this to files.
    Save(Save),
    /// Give up the files that are being written.
    StopSaving,
    /// Leave.
    Quit,
}
