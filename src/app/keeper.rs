//! When the session is written: now and then while it changes, without holding up the screen, and at the end.

use super::session::{SessionFile, write};
use crate::protocol::Failure;
use crate::state::Saved;
use crate::trace::Dtype;
use anyhow::Result;
use futures::FutureExt;
use std::path::Path;
use tokio::task::{JoinHandle, spawn_blocking};

/// Keeps the session.
pub struct Keeper {
    file: SessionFile,
    /// The session being written.
    saving: Option<JoinHandle<Result<()>>>,
    /// Whether something happened since the session was last looked at.
    pub is_unsaved: bool,
}

impl Keeper {
    /// Keeps it in this folder, for models that are opened with `dtype`.
    pub fn new(folder: Option<&Path>, dtype: Option<Dtype>) -> Self {
        Self { file: SessionFile::new(folder, dtype), saving: None, is_unsaved: false }
    }

    /// Starts writing the session if it has changed; why the last attempt failed, if it did.
    pub fn now_and_then(&mut self, saved: Option<Saved>) -> Option<Failure> {
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
            // To learn how it went.
            self.is_unsaved = true;
        }
        None
    }

    /// Writes the session for the last time.
    ///
    /// # Errors
    /// If it can't be written.
    pub async fn at_the_end(&mut self, saved: Option<Saved>) -> Result<()> {
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
