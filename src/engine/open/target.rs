//! What the user named, and how it becomes an opened model.

use super::saved::Saved;
use crate::control::Control;
use crate::hub::{self, RepoId, Settings, Stage};
use crate::model::{Loaded, Location, open};
use crate::protocol::{Download, FileShare};
use crate::trace::{Device, Dtype, FORMAT, Policy};
use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most of a safetensors header that is looked at, bytes.
const LARGEST_HEADER: u64 = 100 << 20;

/// What the MODEL argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The demo, or something on this machine.
    Local(Location),
    /// A repo of the Hub.
    Hub(RepoId),
    /// A saved run.
    Trace(PathBuf),
}

/// What a name turned out to be.
pub enum Opened {
    /// A model.
    Model(Arc<Loaded>),
    /// A run that was saved, without a model.
    Run(Box<Saved>),
}

impl Target {
    /// Understands the MODEL argument; what exists on this machine comes before a name on the Hub.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn parse(model: &str) -> Result<Self> {
        if model == "demo" {
            return Ok(Self::Local(Location::Demo));
        }
        let path = expand_home(model);
        if is_trace(&path) {
            return Ok(Self::Trace(path));
        }
        if path.symlink_metadata().is_ok() {
            return Ok(Self::Local(Location::at(&path)?));
        }
        if RepoId::looks_like(model) {
            return Ok(Self::Hub(RepoId::parse(model)?));
        }
        bail!(
            "there is no file or directory {model}; MODEL is `demo`, a directory with config.json and safetensors files, \
             a .gguf file, a saved run (.safetensors), or a name on the Hub: owner/name, owner/name@revision, \
             owner/name:file.gguf"
        )
    }
}

/// The saved run that `text` names.
///
/// # Errors
/// If there is none.
pub fn trace_path(text: &str) -> Result<PathBuf> {
    let path = expand_home(text);
    ensure!(path.exists(), "there is no file {text}");
    ensure!(
        is_trace(&path),
        "{text} is not a saved run: expected a .safetensors file whose metadata say `format` = `{FORMAT}`"
    );
    Ok(path)
}

/// Whether a file is a safetensors file that says it is a trace, as far as can be told of one that may be damaged.
pub fn is_trace(path: &Path) -> bool {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let mut len = [0; size_of::<u64>()];
        file.read_exact(&mut len)?;
        let mut header = Vec::new();
        file.take(u64::from_le_bytes(len).min(LARGEST_HEADER)).read_to_end(&mut header)?;
        Ok(header)
    };
    let says = |header: &[u8]| header.starts_with(b"{") && header.windows(FORMAT.len()).any(|w| w == FORMAT.as_bytes());
    let is_named = path.extension().is_some_and(|extension| extension == "safetensors");
    is_named && path.is_file() && read().is_ok_and(|header| says(&header))
}

/// `~/…` as the shell would have written it.
fn expand_home(text: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    match text.strip_prefix("~/").zip(home()) {
        Some((rest, home)) => home.join(rest),
        None => PathBuf::from(text),
    }
}

/// How a model is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// The precision policy.
    pub policy: Policy,
    /// The dtype to round to, if not the weights' own.
    pub dtype: Option<Dtype>,
    /// Whether a broken tokenizer is only worth a warning.
    pub ids_only: bool,
    /// What multiplies by the weights.
    pub device: Device,
}

/// Opens what `name` names, after downloading it if it is on the Hub; `progress` is told how that goes.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if cancelled; if the download, the model or the trace fails.
pub fn open_target(
    name: &str,
    options: OpenOptions,
    control: &Control,
    progress: &mut dyn FnMut(&Download),
) -> Result<Opened> {
    match Target::parse(name)? {
        Target::Trace(path) => Ok(Opened::Run(Box::new(Saved::open(&path)?))),
        _ => Ok(Opened::Model(Arc::new(open_model(name, options, control, progress)?))),
    }
}

/// Opens the model that `name` names, as [`open_target`].
///
/// # Errors
/// As [`open_target`], and if it is a saved run.
pub fn open_model(
    name: &str,
    options: OpenOptions,
    control: &Control,
    progress: &mut dyn FnMut(&Download),
) -> Result<Loaded> {
    let location = match Target::parse(name)? {
        Target::Local(location) => location,
        Target::Hub(repo) => {
            let path = fetch(&repo, &Settings::from_env()?, control, progress)?;
            Location::at(&path).with_context(|| format!("{repo} was downloaded, but can't be opened"))?
        }
        Target::Trace(_) => bail!(
            "{name} is not a model: of a safetensors model give the directory that holds config.json; \
             a saved run is shown by `mixscope open`"
        ),
    };
    control.check()?;
    let mut loaded = open(&location, options.policy, options.dtype, options.ids_only)?.on(options.device)?;
    if location != Location::Demo && !Path::new(name).exists() {
        // The name that was asked for says more than a folder of the cache.
        let meta = Arc::make_mut(&mut loaded.meta);
        name.clone_into(&mut meta.name);
        name.clone_into(&mut meta.title);
    }
    Ok(loaded)
}

/// Downloads what a model of the Hub needs, or finds it in the cache; returns the directory or GGUF file.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if cancelled; whatever the download says.
pub fn fetch(
    repo: &RepoId,
    settings: &Settings,
    control: &Control,
    progress: &mut dyn FnMut(&Download),
) -> Result<PathBuf> {
    hub::fetch(repo, settings, control, &mut |state| {
        let file = |file: &hub::FileProgress| FileShare {
            name: file.name.clone(),
            done: file.done,
            total: file.total,
            doing: match file.stage {
                Stage::Waiting => "waiting",
                Stage::Loading => "loading",
                Stage::Checking => "checking",
                Stage::Done => "done",
            },
        };
        progress(&Download {
            files: state.files.iter().map(file).collect(),
            done: state.done,
            total: state.total,
            per_second: state.per_second,
            seconds_left: state.seconds_left,
            note: state.note.clone(),
        });
    })
}
