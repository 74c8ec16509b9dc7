//! What can be written to files.

use crate::analysis::view::ViewSpec;

/// The content of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Save {
    /// The view, as picture and table.
    View(ViewSpec),
    /// The whole run, as `mixscope run` writes it.
    Run,
    /// The screen, as picture.
    Screen,
}
