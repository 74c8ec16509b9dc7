//! What is shown and kept while a sweep runs.

use super::files;
use crate::analysis::sweep::{Cursor, Sweep};
use crate::cli::stderr::Stderr;
use crate::engine::{SweepProgress, SweepWatch};
use crate::trace::{duration, size};
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a crash or a kill may lose.
const EVERY: Duration = Duration::from_secs(30);

/// Shows progress, and keeps what is counted so far.
pub struct Watch<'a> {
    partial: &'a Path,
    stderr: &'a Stderr,
    started: Instant,
    /// When the counts were kept last.
    kept: Instant,
    cursor: Option<Cursor>,
    /// Bytes that were read when the sweep began or continued.
    skipped: Option<u64>,
}

impl<'a> Watch<'a> {
    /// Begins or continues a sweep, whose counts are kept in the file `partial`.
    pub fn new(partial: &'a Path, stderr: &'a Stderr, cursor: Option<Cursor>) -> Self {
        let now = Instant::now();
        Self { partial, stderr, started: now, kept: now, cursor, skipped: None }
    }

    /// Keeps the counts up to the last cursor; returns whether there are any.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(&mut self, sweep: &Sweep) -> Result<bool> {
        let Some(cursor) = &self.cursor else { return Ok(false) };
        self.kept = Instant::now();
        files::save(self.partial, sweep, Some(cursor))?;
        Ok(true)
    }
}

impl SweepWatch for Watch<'_> {
    fn progress(&mut self, progress: SweepProgress) {
        let seconds = self.started.elapsed().as_secs_f64();
        let (done, total) = progress.bytes;
        let rate = format!("{:.0} tok/s", progress.tokens as f64 / seconds.max(1e-9));
        // The first batch of a continued sweep comes after what was read before.
        let skipped = *self.skipped.get_or_insert(if self.cursor.is_some() { done } else { 0 });
        let text = match total {
            Some(total) => {
                let percent = done.min(total) as u128 * 100 / u128::from(total.max(1));
                let speed = done.saturating_sub(skipped) as f64 / seconds.max(1e-9);
                let left = if speed > 0.0 { total.saturating_sub(done) as f64 / speed } else { 0.0 };
                let left = if left > 0.0 { format!(", {} left", duration(left)) } else { String::new() };
                format!("{percent} %, {} of {}, {rate}{left}", size(done), size(total))
            }
            None => format!("{}, {} tokens, {rate}", size(done), progress.tokens),
        };
        self.stderr.progress_line(&text);
    }

    fn counted(&mut self, sweep: &Sweep, cursor: &Cursor) -> Result<()> {
        self.cursor = Some(cursor.clone());
        if self.kept.elapsed() >= EVERY {
            self.save(sweep)?;
        }
        Ok(())
    }
}
