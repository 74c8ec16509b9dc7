//! Writes files for the explorer in the background: neither the screen nor the model waits.

mod names;
mod shown;
#[cfg(test)]
mod tests;

use super::files::{self, Reporter, RunFiles};
use crate::analysis::tables::TokenText;
use crate::analysis::view::FileFormat;
use crate::control::{Control, Stopped};
use crate::engine::{Branch, Run, failure_of};
use crate::export::{self, Look, RunInfo, Screen, run_json};
use crate::protocol::Failure;
use crate::state::{Event, ViewFiles};
use crate::trace::Prompt;
use crate::trace::{Source, TempFolder, replace_file};
use anyhow::{Context, Result};
use names::{keep_folder, write_files};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tokens of each lens cell and position, as `mixscope run` has them by default.
const LENS_K: usize = 10;
/// Progress is reported at most this often.
const REPORT_EVERY: Duration = Duration::from_millis(100);

pub use shown::Shown;

/// Receives a branch of the run from the engine.
pub type BranchReceiver = Receiver<Branch>;

/// Writes files one after another.
pub struct Saver {
    folder: PathBuf,
    sender: UnboundedSender<Event>,
    receiver: UnboundedReceiver<Event>,
    cancelled: Arc<AtomicBool>,
}

impl Saver {
    /// A saver that writes into `folder`.
    pub fn new(folder: PathBuf) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { folder, sender, receiver, cancelled: Arc::default() }
    }

    /// Does `work` on a thread of its own; its events come from [`Saver::next`].
    fn start(&self, work: impl FnOnce(&Control, &ToScreen) -> Result<String> + Send + 'static) {
        self.cancelled.store(false, Ordering::Relaxed);
        let (sender, cancelled) = (self.sender.clone(), self.cancelled.clone());
        let reporter = ToScreen::new(sender.clone());
        tokio::task::spawn_blocking(move || {
            let is_cancelled = || cancelled.load(Ordering::Relaxed);
            let control = Control::cancelled_by(&is_cancelled);
            let result = match catch_unwind(AssertUnwindSafe(|| work(&control, &reporter))) {
                Ok(Ok(said)) => Ok(said),
                Ok(Err(error)) if error.is::<Stopped>() => Ok("writing was stopped; no file was kept".to_owned()),
                Ok(Err(error)) => Err(Failure::of(&error)),
                Err(panic) => Err(failure_of(&*panic)),
            };
            // Sending fails when the program ends.
            let _ = sender.send(Event::Saved(result));
        });
    }

    /// Cancels the writing.
    pub fn stop(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Writes the files of a view.
    pub fn view(&self, files: ViewFiles, shown: Shown, branch: BranchReceiver) {
        let folder = self.folder.clone();
        self.start(move |control, _| save_view(&files, shown, &take(&branch)?.run, &folder, control));
    }

    /// Writes the whole run into a new folder.
    pub fn run(&self, branch: BranchReceiver) {
        let folder = self.folder.clone();
        self.start(move |control, reporter| save_run(&take(&branch)?, &folder, control, reporter));
    }

    /// Writes the screen as pictures.
    pub fn screen(&self, screen: Screen, dark: bool) {
        let folder = self.folder.clone();
        self.start(move |_, _| {
            let look = Look { dark, ..Look::default() };
            let files = [
                ("png", export::screen_png(&screen, &look)?),
                ("svg", export::screen_svg(&screen, &look)?),
                ("ans", export::screen_ansi(&screen)),
            ];
            write_files(&folder, "mixscope-screen", &files)
        });
    }

    /// The next event: the progress of the writing, or its end.
    pub async fn next(&mut self) -> Event {
        match self.receiver.recv().await {
            Some(event) => event,
            // Never: `self` keeps a sender.
            None => std::future::pending().await,
        }
    }
}

/// Reports the progress of the writing on the screen.
struct ToScreen {
    sender: UnboundedSender<Event>,
    last: Mutex<Instant>,
}

impl ToScreen {
    fn new(sender: UnboundedSender<Event>) -> Self {
        Self { sender, last: Mutex::new(Instant::now()) }
    }
}

impl Reporter for ToScreen {
    fn say(&self, _: &str) {}

    fn progress(&self, what: &str, done: usize, total: usize) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= REPORT_EVERY {
            *last = Instant::now();
            let _ = self.sender.send(Event::Saving(format!("{what} {done}/{total}")));
        }
    }
}

fn take(branch: &BranchReceiver) -> Result<Branch> {
    branch.recv().context("no model is open: there is no run to write")
}

fn save_view(files: &ViewFiles, shown: Shown, run: &Run, folder: &Path, control: &Control) -> Result<String> {
    let ViewFiles { spec, formats, look } = files;
    let mut data = crate::engine::collect(run, spec, control)?;
    shown.add_to(&mut data, spec);
    let file =
        |format: &FileFormat| Ok((format.suffix(), export::file(&data, spec, *format, look, TokenText::default())?));
    let all = formats.iter().map(file).collect::<Result<Vec<_>>>()?;
    write_files(folder, &spec.stem(), &all)
}

fn save_run(branch: &Branch, parent: &Path, control: &Control, reporter: &ToScreen) -> Result<String> {
    let run = &branch.run;
    let (meta, tokens) = (run.meta(), run.tokens());
    // The folder gets its name when it is complete.
    let temp = TempFolder::new_in(parent).with_context(|| format!("cannot make a folder in {}", parent.display()))?;
    let recording = meta.recording.as_ref();
    let sampling = recording.and_then(|saved| saved.sampling).or(branch.sampling).unwrap_or_default();
    let prompt = recording.map_or(&branch.prompt, |saved| &saved.prompt);
    let provenance = files::provenance(meta, prompt.as_ref(), &sampling);
    let written = RunFiles::all(meta, LENS_K).write(run, &provenance, temp.path(), control, reporter)?;
    let prompt_len = tokens.iter().take_while(|token| token.source == Source::Prompt).count();
    let rest: Vec<u32> = tokens[prompt_len..].iter().map(|token| token.id).collect();
    let tokenizer = run.live().and_then(|live| live.loaded().tokenizer.as_ref());
    let generated = tokenizer.map_or(Ok(String::new()), |tokenizer| tokenizer.decode(&rest))?;
    let info = RunInfo {
        prompt: prompt.as_ref().and_then(|prompt| match prompt {
            Prompt::Text(text) | Prompt::Chat(text) => Some(text.as_str()),
            Prompt::Ids(_) => None,
        }),
        prompt_len,
        generated: &generated,
        sampling: &sampling,
        ended: "explorer",
        timings: &[],
    };
    let bytes = run_json(&run.records(), &info)?;
    replace_file(&temp.path().join("run.json"), |file| Ok(file.write_all(&bytes)?))?;
    let folder = keep_folder(temp, parent)?;
    let folder = folder.canonicalize().unwrap_or(folder);
    let notes: String = written.notes.iter().map(|note| format!("; {note}")).collect();
    Ok(format!("wrote the run to {}: tables, pictures, run.json and {}{notes}", folder.display(), files::TRACE))
}
