//! What a command writes to stderr while it works.

use super::harmless;
use crate::app::files::Reporter;
use crate::protocol::Download;
use crate::trace::{Level, Report, duration, size};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Lines about a download that can't be overwritten are at least this far apart, seconds.
const SPARSE: u64 = 10;

/// Writes messages and progress to stderr, unless it is quiet. A terminal has one line of progress that is overwritten;
/// elsewhere progress is left out or rare.
pub struct Stderr {
    quiet: bool,
    terminal: bool,
    written: Mutex<Written>,
}

/// What is on stderr so far.
#[derive(Default)]
struct Written {
    /// When the line of progress was written; `None` if there is none.
    progress: Option<Instant>,
    /// Files of a download that were reported as done.
    files: BTreeSet<String>,
    /// The last note of a download.
    note: String,
}

impl Reporter for Stderr {
    fn say(&self, text: &str) {
        self.line(&mut self.written(), text);
    }

    fn progress(&self, what: &str, done: usize, total: usize) {
        self.overwrite(&mut self.written(), || format!("{what} {done}/{total}"));
    }
}

impl Stderr {
    /// The stderr of this process; `quiet` leaves out everything but errors.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: std::io::stderr().is_terminal(), written: Mutex::default() }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the warnings and notes of a report, or all of it.
    pub fn report(&self, report: &Report, all: bool) {
        for finding in &report.findings {
            match finding.level {
                Level::Ok if all => self.say(&finding.to_string()),
                Level::Ok => {}
                Level::Note => self.say(&format!("note: {finding}")),
                Level::Warn | Level::Refuse => self.say(&format!("warning: {finding}")),
            }
        }
    }

    /// Shows a line of progress.
    pub fn progress_line(&self, text: &str) {
        self.overwrite(&mut self.written(), || text.to_owned());
    }

    /// Removes the line of progress.
    pub fn clear(&self) {
        self.clear_line(&mut self.written());
    }

    fn clear_line(&self, written: &mut Written) {
        if written.progress.take().is_some() && self.terminal {
            write_out("\r\x1b[K");
        }
    }

    fn line(&self, written: &mut Written, text: &str) {
        if self.quiet {
            return;
        }
        self.clear_line(written);
        write_out(&format!("{}\n", harmless(text)));
    }

    fn overwrite(&self, written: &mut Written, text: impl FnOnce() -> String) {
        let is_recent = written.progress.is_some_and(|last| last.elapsed().as_millis() < 100);
        if self.quiet || !self.terminal || is_recent {
            return;
        }
        written.progress = Some(Instant::now());
        write_out(&format!("\r\x1b[K{}", harmless(&text())));
    }

    /// Reports a download: in total, and its files.
    pub fn download(&self, state: &Download) {
        let mut written = self.written();
        if written.note != state.note {
            written.note.clone_from(&state.note);
            if !state.note.is_empty() {
                self.line(&mut written, &state.note);
            }
        }
        for file in state.files.iter().filter(|file| file.doing == "done") {
            if written.files.insert(file.name.clone()) {
                self.line(&mut written, &format!("{} {}", file.name, size(file.total)));
            }
        }
        if state.total == 0 {
            return;
        }
        if self.terminal {
            return self.overwrite(&mut written, || line(state, 100));
        }
        if written.progress.is_none_or(|last| last.elapsed().as_secs() >= SPARSE) {
            self.line(&mut written, &line(state, usize::MAX));
            written.progress = Some(Instant::now());
        }
    }

    /// Reports how many bytes of the weights were checked.
    pub fn scanned(&self, done: usize, total: usize) {
        let text = || format!("looking for NaN and infinity: {} of {}", size(done as u64), size(total as u64));
        // Several threads report. A report is skipped while another thread writes.
        if let Ok(mut written) = self.written.try_lock() {
            self.overwrite(&mut written, text);
        }
    }
}

/// Writes to stderr. Writing fails if the terminal is gone; then nobody reads it.
pub fn write_out(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `43 %, 11.2 GB of 26.4 GB, 118 MB/s, 2 min 09 s left · a.safetensors 71 %`
fn line(state: &Download, room: usize) -> String {
    let percent = |done: u64, total: u64| done.min(total) as u128 * 100 / u128::from(total.max(1));
    let mut text = format!("{} %, {} of {}", percent(state.done, state.total), size(state.done), size(state.total));
    if state.per_second > 0.0 {
        text += &format!(", {}/s", size(state.per_second as u64));
    }
    if let Some(left) = state.seconds_left {
        text += &format!(", {} left", duration(left));
    }
    for file in state.files.iter().filter(|file| matches!(file.doing, "loading" | "checking")) {
        let more = format!(" · {} {} %", file.name, percent(file.done, file.total));
        if text.len() + more.len() > room {
            break;
        }
        text += &more;
    }
    text
}
