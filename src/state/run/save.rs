//! What can be written to files.

use crate::analysis::view::{FileFormat, Look, ViewSpec};

/// The files of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewFiles {
    /// What is shown.
    pub spec: ViewSpec,
    /// A file for each.
    pub formats: Vec<FileFormat>,
    /// The look of the pictures.
    pub look: Look,
}

/// The content of the files.
#[derive(Clone, Debug, PartialEq)]
pub enum Save {
    /// A view, in each of these formats.
    View(Box<ViewFiles>),
    /// The whole run, as `mixscope run` writes it.
    Run,
    /// The screen, as picture.
    Screen,
}
