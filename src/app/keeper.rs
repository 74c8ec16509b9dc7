//! Writes the session while it changes, without blocking the screen, and at the end.

use super::session::{SessionFile, write};
use crate::protocol::Failure;
use crate::state::Saved;
use crate::trace::Dtype;
use anyhow::Result;
use futures::FutureExt;
use std::path::Path;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};

/// The session is written at most this often while it changes.
pub const SAVE_EVERY: Duration = Duration::from_secs(10);

/// Writes the session.
pub struct Keeper {
    file: SessionFile,
    /// The session being written.
    saving: Option<JoinHandle<Result<()>>>,
    /// Whether something may have changed since the session was last compared.
    pub is_unsaved: bool,
}

impl Keeper {
    /// A session in this folder, of models that are opened with `dtype`.
    pub fn new(folder: Option<&Path>, dtype: Option<Dtype>) -> Self {
        Self { file: SessionFile::new(folder, dtype), saving: None, is_unsaved: false }
    }

    /// Starts writing the session if it has changed. Returns why the last attempt failed, if it did.
    pub fn save_if_changed(&mut self, saved: Option<Saved>) -> Option<Failure> {
        if self.saving.as_ref().is_some_and(|task| !task.is_finished()) {
            return None;
        }
        self.is_unsaved = false;
        let written = self.saving.take().and_then(FutureExt::now_or_never);
        if let Some(Ok(Err(error))) = written {
            self.file.failed();
            return Some(Failure::of(&error));
        }
        if let Some((path, saved)) = self.file.due(saved) {
            self.saving = Some(spawn_blocking(move || write(&path, &saved)));
            // So that the next call learns the outcome.
            self.is_unsaved = true;
        }
        None
    }

    /// Writes the session for the last time.
    ///
    /// # Errors
    /// If it can't be written.
    pub async fn save_last(&mut self, saved: Option<Saved>) -> Result<()> {
        if let Some(task) = self.saving.take()
            && !matches!(task.await, Ok(Ok(())))
        {
            self.file.failed();
        }
        match self.file.due(saved) {
            Some((path, saved)) => write(&path, &saved),
            None => Ok(()),
        }
    }
}
