//! The progress of a download.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The speed is the average over this time.
const WINDOW: Duration = Duration::from_secs(5);

/// The stage of a file's download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun.
    Waiting,
    /// Bytes arrive.
    Loading,
    /// The bytes of an earlier download are hashed.
    Checking,
    /// It is in the cache.
    Done,
}

/// The progress of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProgress {
    /// Path in the repo.
    pub name: String,
    /// Bytes on disk; while [`Stage::Checking`], bytes hashed.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Its stage.
    pub stage: Stage,
}

/// The progress of a download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The files the model needs; until the index of a sharded model is read, only the index.
    pub files: Vec<FileProgress>,
    /// Sum over the files, bytes.
    pub done: u64,
    /// Sum over the files, bytes.
    pub total: u64,
    /// Bytes per second that arrived over the last seconds.
    pub per_second: f64,
    /// Seconds that the rest takes at that speed, if known.
    pub seconds_left: Option<f64>,
    /// Something unusual that the user should know; often empty.
    pub note: String,
}

#[derive(Default)]
struct State {
    files: Vec<FileProgress>,
    received: u64,
    note: String,
    noted_by: Option<usize>,
}

/// The progress that the downloading threads report.
#[derive(Default)]
pub(super) struct Status(Mutex<State>);

impl Status {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the files by name and size in bytes.
    pub(super) fn set_files(&self, files: impl IntoIterator<Item = (String, u64)>) {
        let new = |(name, total)| FileProgress { name, done: 0, total, stage: Stage::Waiting };
        self.state().files = files.into_iter().map(new).collect();
    }

    /// Sets the stage of the file `slot` and how many bytes of it are there.
    pub(super) fn set(&self, slot: usize, stage: Stage, done: u64, total: u64) {
        if let Some(file) = self.state().files.get_mut(slot) {
            (file.stage, file.done, file.total) = (stage, done, total);
        }
    }

    /// Counts bytes of the file `slot` that arrived, and drops its note.
    pub(super) fn receive(&self, slot: usize, bytes: u64) {
        let mut state = self.state();
        state.received += bytes;
        if let Some(file) = state.files.get_mut(slot) {
            (file.stage, file.done) = (Stage::Loading, file.done + bytes);
        }
        drop(state);
        self.clear_note(slot);
    }

    /// Sets the note; `slot` is the file that it is about, if any.
    pub(super) fn note(&self, slot: Option<usize>, note: String) {
        let mut state = self.state();
        (state.note, state.noted_by) = (note, slot);
    }

    /// Drops the note about the file `slot`.
    pub(super) fn clear_note(&self, slot: usize) {
        let mut state = self.state();
        if state.noted_by.take_if(|by| *by == slot).is_some() {
            state.note.clear();
        }
    }
}

/// Measures the speed.
#[derive(Default)]
pub(super) struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    /// The progress now.
    pub(super) fn read(&mut self, status: &Status) -> Progress {
        let state = status.state();
        let (files, received, note) = (state.files.clone(), state.received, state.note.clone());
        drop(state);
        let now = Instant::now();
        self.0.push_back((now, received));
        while self.0.len() > 2 && self.0.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().copied().unwrap_or((now, received));
        let seconds = (now - since).as_secs_f64();
        let per_second = if seconds > 0.0 { (received - before) as f64 / seconds } else { 0.0 };
        let [done, total] = [|file: &FileProgress| file.done, |file: &FileProgress| file.total]
            .map(|of| files.iter().map(of).sum::<u64>());
        let seconds_left = (per_second > 0.0).then(|| total.saturating_sub(done) as f64 / per_second);
        Progress { files, done, total, per_second, seconds_left, note }
    }
}
