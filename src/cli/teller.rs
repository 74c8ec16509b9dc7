//! What is told on stderr while work goes on.

use super::harmless;
use crate::app::files::Tell;
use crate::protocol::Download;
use crate::trace::{Level, Report, duration, size};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Instant;

/// Lines about a download that can't be overwritten are at least this far apart, seconds.
const SPARSE: u64 = 10;

/// Tells, unless asked to be quiet; lines of progress are overwritten on a terminal and left out or rare elsewhere.
pub struct Teller {
    quiet: bool,
    terminal: bool,
    last: Option<Instant>,
    /// Files of a download that were told to be done.
    done: BTreeSet<String>,
    note: String,
}

impl Tell for Teller {
    fn say(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        self.clear();
        eprintln!("{}", harmless(text));
    }

    fn progress(&mut self, what: &str, done: usize, total: usize) {
        self.overwrite(|| format!("{what} {done}/{total}"));
    }
}

impl Teller {
    /// One for this process.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { quiet, terminal, last: None, done: BTreeSet::new(), note: String::new() }
    }

    /// Warnings of a report, or all of it.
    pub fn report(&mut self, report: &Report, all: bool) {
        for finding in &report.findings {
            let is_warning = finding.level >= Level::Warn;
            if all || is_warning {
                self.say(&format!("{}{finding}", if is_warning { "warning: " } else { "" }));
            }
        }
    }

    /// Takes back the line that would be overwritten.
    pub fn clear(&mut self) {
        if self.last.take().is_some() && self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    fn overwrite(&mut self, text: impl FnOnce() -> String) {
        let recent = self.last.is_some_and(|last| last.elapsed().as_millis() < 100);
        if self.quiet || !self.terminal || recent {
            return;
        }
        self.last = Some(Instant::now());
        eprint!("\r\x1b[K{}", harmless(&text()));
    }

    /// How far a download is: in total, and the files under way.
    pub fn download(&mut self, state: &Download) {
        if self.note != state.note {
            self.note.clone_from(&state.note);
            if !state.note.is_empty() {
                self.say(&state.note);
            }
        }
        for file in state.files.iter().filter(|file| file.doing == "done") {
            if self.done.insert(file.name.clone()) {
                self.say(&format!("{} {}", file.name, size(file.total)));
            }
        }
        if state.total == 0 {
            return;
        }
        if self.terminal {
            return self.overwrite(|| line(state, 100));
        }
        if self.last.is_none_or(|last| last.elapsed().as_secs() >= SPARSE) {
            self.say(&line(state, usize::MAX));
            self.last = Some(Instant::now());
        }
    }

    /// How much of the weights was looked at.
    pub fn scanned(&mut self, done: u64, total: u64) {
        self.overwrite(|| format!("looking for NaN and infinity: {} of {}", size(done), size(total)));
    }
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
