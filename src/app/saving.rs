//! Files written from the explorer, beside it: neither the screen nor the model waits.

use super::files::{self, RunFiles, Tell};
use crate::engine::Run;
use crate::export::{self, Look, RunInfo, Screen, Text, run_json};
use crate::state::Event;
use crate::trace::protocol::{Failure, Prompt};
use crate::trace::view::{ViewKind, ViewSpec};
use crate::trace::{Sampling, Source, replace_file};
use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Tokens of each lens cell and position, as `mixscope run` has them by default.
const LENS_K: usize = 10;

/// A branch of the run, once the engine gives it.
pub type Branch = Receiver<Box<dyn Run + Send>>;

/// Writes files one after another.
pub struct Saver {
    sender: UnboundedSender<Event>,
    receiver: UnboundedReceiver<Event>,
}

impl Saver {
    /// One with nothing to do.
    pub fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self { sender, receiver }
    }

    /// Does `work` on a thread of its own; what it says comes from [`Saver::done`].
    fn start(&self, work: impl FnOnce() -> Result<String> + Send + 'static) {
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let result = work().map_err(|error| Failure::of(&error));
            // Nobody waits for it any more when the program ends.
            let _ = sender.send(Event::Saved(result));
        });
    }

    /// Writes a view as picture and table into the working directory.
    pub fn view(&self, spec: ViewSpec, branch: Branch) {
        self.start(move || save_view(&spec, &*take(&branch)?, Path::new(".")));
    }

    /// Writes the whole run into a new folder of the working directory.
    pub fn run(&self, told: Told, branch: Branch) {
        self.start(move || save_run(&told, &*take(&branch)?, Path::new(".")));
    }

    /// Writes the screen as pictures into the working directory.
    pub fn screen(&self, screen: Screen, dark: bool) {
        self.start(move || {
            let look = Look { dark, ..Look::default() };
            let files = [("png", export::screen_png(&screen, &look)?), ("svg", export::screen_svg(&screen, &look)?)];
            write_files(Path::new("."), "mixscope-screen", &files)
        });
    }

    /// The next result.
    pub async fn done(&mut self) -> Event {
        match self.receiver.recv().await {
            Some(event) => event,
            // Never: this end keeps a sender.
            None => std::future::pending().await,
        }
    }
}

fn take(branch: &Branch) -> Result<Box<dyn Run + Send>> {
    branch.recv().context("no model is open: there is no run to write")
}

fn save_view(spec: &ViewSpec, run: &dyn Run, folder: &Path) -> Result<String> {
    let data = crate::engine::collect(run, spec, &|| false)?;
    let table = export::table(&data, spec, Text::default())?;
    write_files(folder, &stem(spec), &[("png", export::picture(&data, spec, &Look::default())?), ("csv", table)])
}

/// What run.json tells of a run beyond its tokens.
pub struct Told {
    /// The prompt as text; empty if it was given as ids.
    pub prompt: String,
    /// How tokens are chosen now.
    pub sampling: Sampling,
}

/// Writes nothing on the way.
struct Silent;

impl Tell for Silent {
    fn say(&mut self, _: &str) {}

    fn progress(&mut self, _: &str, _: usize, _: usize) {}
}

fn save_run(told: &Told, run: &dyn Run, parent: &Path) -> Result<String> {
    let (meta, tokens) = (run.meta(), run.tokens());
    let folder = free_folder(parent)?;
    let recording = meta.recording.as_ref();
    let sampling = recording.and_then(|saved| saved.sampling).unwrap_or(told.sampling);
    let prompt = match recording {
        Some(saved) => saved.prompt.clone(),
        None => (!told.prompt.is_empty()).then(|| Prompt::Text(told.prompt.clone())),
    };
    let plan = RunFiles::all(meta, LENS_K);
    plan.write(run, &files::provenance(meta, prompt.as_ref(), &sampling), &folder, &mut Silent)?;
    let prompt_len = tokens.iter().take_while(|token| token.source == Source::Prompt).count();
    let rest: Vec<u32> = tokens[prompt_len..].iter().map(|token| token.id).collect();
    let tokenizer = run.live().and_then(|session| session.loaded().tokenizer.as_ref());
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
    let bytes = run_json(&run.trace(), &info)?;
    replace_file(&folder.join("run.json"), |file| Ok(file.write_all(&bytes)?))?;
    let folder = folder.canonicalize().unwrap_or(folder);
    Ok(format!("wrote the run to {}: tables, pictures, run.json and {}", folder.display(), files::TRACE))
}

/// A new folder: `mixscope-run-1`, or the next number that is free.
fn free_folder(parent: &Path) -> Result<PathBuf> {
    for number in 1..10_000 {
        let folder = parent.join(format!("mixscope-run-{number}"));
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                return made.map(|()| folder).with_context(|| format!("cannot make a folder in {}", parent.display()));
            }
        }
    }
    bail!("ten thousand folders of this name exist already")
}

/// Writes files of one stem under names that were free.
fn write_files(folder: &Path, stem: &str, files: &[(&str, Vec<u8>)]) -> Result<String> {
    let suffixes: Vec<&str> = files.iter().map(|(suffix, _)| *suffix).collect();
    let paths = free_names(folder, stem, &suffixes)?;
    for (path, (_, bytes)) in paths.iter().zip(files) {
        write_new(path, bytes)?;
    }
    Ok(wrote(&paths))
}

/// Writes a file whole or not at all, and never over another.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut temp = tempfile::Builder::new();
        #[cfg(unix)]
        temp.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut temp = temp.tempfile_in(folder)?;
        temp.write_all(bytes)?;
        temp.flush()?;
        temp.persist_noclobber(path).map(drop).map_err(|error| error.error)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// `wrote a.png and a.csv to /home/…`
fn wrote(paths: &[PathBuf]) -> String {
    let names: Vec<String> =
        paths.iter().filter_map(|path| path.file_name()).map(|name| name.display().to_string()).collect();
    let folder = paths.first().and_then(|path| path.parent()).and_then(|folder| folder.canonicalize().ok());
    format!("wrote {} to {}", names.join(" and "), folder.unwrap_or_default().display())
}

/// `attention-L05H04`, `routing-map`, `next-t17`: what tells two exports of one run apart.
fn stem(spec: &ViewSpec) -> String {
    let (pos, layer, head) = (spec.pos, spec.layer, spec.head);
    match spec.kind {
        ViewKind::RoutingToken => format!("routing-token-t{pos}"),
        ViewKind::RoutingLayer => format!("routing-layer-L{layer:02}"),
        ViewKind::RoutingMap => "routing-map".to_owned(),
        ViewKind::RoutingLoad => "routing-load".to_owned(),
        ViewKind::RoutingPairs => format!("routing-pairs-L{layer:02}"),
        ViewKind::AttentionGrid => "attention-grid".to_owned(),
        ViewKind::AttentionHead => format!("attention-L{layer:02}H{head:02}"),
        ViewKind::LensGrid => format!("lens-{}", spec.site),
        ViewKind::LensTargets => format!("lens-targets-t{pos}"),
        ViewKind::Next => format!("next-t{pos}"),
    }
}

/// Names that do not exist yet: `stem.png`, or else `stem-2.png`, …, one number for all suffixes.
fn free_names(folder: &Path, stem: &str, suffixes: &[&str]) -> Result<Vec<PathBuf>> {
    let numbered = |number: usize| -> Vec<PathBuf> {
        let number = if number > 1 { format!("-{number}") } else { String::new() };
        suffixes.iter().map(|suffix| folder.join(format!("{stem}{number}.{suffix}"))).collect()
    };
    let free = |paths: &Vec<PathBuf>| paths.iter().all(|path| path.symlink_metadata().is_err());
    (1..10_000).map(numbered).find(free).context("ten thousand files of this name exist already")
}
