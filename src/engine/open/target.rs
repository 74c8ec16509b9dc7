//! What a MODEL argument names.

#[cfg(feature = "hub")]
use crate::control::Stopped;
use crate::hub::RepoId;
use crate::model::Location;
use crate::trace::{FORMAT, LARGEST_HEADER, nearest};
#[cfg(feature = "hub")]
use anyhow::{Error, anyhow};
use anyhow::{Result, bail, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};

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
        if let Some(trace) = trace_within(&path).filter(|_| !path.join("config.json").exists()) {
            return Ok(Self::Trace(trace));
        }
        if path.symlink_metadata().is_ok() {
            return Ok(Self::Local(Location::at(&path)?));
        }
        if RepoId::looks_like(model) {
            return Ok(Self::Hub(RepoId::parse(model)?));
        }
        bail!(
            "there is no file or directory {model}{}; MODEL is `demo`, a directory with config.json and safetensors files, \
             a .gguf file, a saved run (.safetensors), or a name on the Hub: owner/name, owner/name@revision, \
             owner/name:file.gguf",
            similar(&path)
        )
    }
}

/// The error for a repo that the Hub did not give: `name` may have been meant as a path, of which nothing is here either.
#[cfg(feature = "hub")]
pub(super) fn or_path(name: &str, error: Error) -> Error {
    if error.is::<Stopped>() || RepoId::is_address(name) {
        return error;
    }
    anyhow!("{error:#}; there is no file or folder {name} here either{}", similar(&expand_home(name)))
}

/// Names in a folder that are compared with a missing one.
const COMPARED: usize = 4096;

/// `; did you mean …?` with the name in the same folder that `path` is most likely a misspelling of; empty if there is none.
fn similar(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(COMPARED);
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let missing = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let near = nearest(missing, names.iter().map(String::as_str));
    near.map(|near| format!("; did you mean {}?", path.with_file_name(near).display())).unwrap_or_default()
}

/// The trace in the folder of a run.
const RUN_TRACE: &str = "trace.safetensors";

/// The trace in the folder of a run, if `path` is one.
fn trace_within(path: &Path) -> Option<PathBuf> {
    let trace = path.join(RUN_TRACE);
    (path.is_dir() && is_trace(&trace)).then_some(trace)
}

/// The saved run that `text` names: a file, or the folder of a run.
///
/// # Errors
/// If there is none.
pub fn trace_path(text: &str) -> Result<PathBuf> {
    let path = expand_home(text);
    ensure!(path.exists(), "there is no file {text}");
    if let Some(trace) = trace_within(&path) {
        return Ok(trace);
    }
    ensure!(
        !path.is_dir(),
        "the folder {text} is not a saved run: it has no {RUN_TRACE}, which `mixscope run` writes into --out"
    );
    ensure!(is_trace(&path), "{text} is not a saved run: {}", why_not(&path));
    Ok(path)
}

/// Why a file is not a trace, and what can be done about that.
fn why_not(path: &Path) -> String {
    let expected = format!("expected a .safetensors file whose metadata say `format` = `{FORMAT}`");
    if !path.is_file() {
        return format!("it is no file; {expected}");
    }
    match std::fs::metadata(path).map(|about| about.len()) {
        Ok(0) => return format!("it is empty; {expected}"),
        Err(error) => return format!("it can't be read ({error})"),
        Ok(_) => {}
    }
    let is_named = path.extension().is_some_and(|extension| extension == "safetensors");
    match header(path) {
        Ok(header) if header.starts_with(b"{") && is_named => format!(
            "its metadata don't say `format` = `{FORMAT}`; a cache of another program is read once it is saved with \
             save_file(cache, path, metadata={{\"format\": \"{FORMAT}\", \"version\": \"1\"}}) and holds `tokens`"
        ),
        Ok(header) if header.starts_with(b"{") => format!("its name does not end in .safetensors; {expected}"),
        _ => format!("it is not in the format of safetensors; {expected}"),
    }
}

/// The start of a safetensors file.
fn header(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let mut len = [0; size_of::<u64>()];
    file.read_exact(&mut len)?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(len).min(LARGEST_HEADER)).read_to_end(&mut header)?;
    Ok(header)
}

/// Whether a file claims to be a trace. Only the start of the file is read, so it may still be damaged.
pub fn is_trace(path: &Path) -> bool {
    let says = |header: &[u8]| header.starts_with(b"{") && header.windows(FORMAT.len()).any(|w| w == FORMAT.as_bytes());
    let is_named = path.extension().is_some_and(|extension| extension == "safetensors");
    is_named && path.is_file() && header(path).is_ok_and(|header| says(&header))
}

/// `~/…` as the shell would have written it.
fn expand_home(text: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    match text.strip_prefix("~/").zip(home()) {
        Some((rest, home)) => home.join(rest),
        None => PathBuf::from(text),
    }
}
