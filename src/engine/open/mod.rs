//! Opens a model or a saved run by its name.

#[cfg(feature = "hub")]
mod download;
mod openings;
#[cfg(feature = "hub")]
mod remote;
mod target;

#[cfg(feature = "hub")]
pub use download::fetch;
pub(super) use openings::Openings;
#[cfg(feature = "hub")]
pub use remote::{Remote, look_up};
pub use target::{Target, is_trace, trace_path};

use super::run::{Capture, Live, Replay, Run};
use crate::control::Control;
use crate::hub::RepoId;
use crate::model::{Loaded, Location, open};
use crate::protocol::Download;
use crate::trace::{Device, Dtype, Policy};
#[cfg(feature = "hub")]
use anyhow::Context;
use anyhow::{Result, bail};
use std::path::Path;
use std::sync::Arc;

/// Next-token candidates kept for the screen at every position.
const CANDIDATES: usize = 64;

/// How a model or a saved run is opened by its name; reports downloads.
pub type Opener = dyn Fn(&str, OpenOptions, &Control, &mut dyn FnMut(&Download)) -> Result<Opened> + Send + Sync;

/// What was opened by a name.
pub enum Opened {
    /// A model.
    Model(Arc<Loaded>),
    /// A saved run, without a model.
    Replay(Replay),
}

impl Opened {
    /// An empty run of the model that keeps what the views need, or the saved run.
    pub fn into_run(self) -> Run {
        match self {
            Self::Model(loaded) => {
                let capture = Capture::for_views(loaded.meta.dims.layers);
                Run::Live(Live::new(loaded, capture, CANDIDATES))
            }
            Self::Replay(replay) => Run::Replay(replay),
        }
    }
}

/// How a model is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// The precision policy.
    pub policy: Policy,
    /// The dtype to round to, if not the weights' own.
    pub dtype: Option<Dtype>,
    /// Whether a broken tokenizer is only a warning, because prompts are ids.
    pub ids_only: bool,
    /// What computes the matrix products.
    pub device: Device,
}

impl Default for OpenOptions {
    /// The default policy in the weights' own dtype, on the CPU.
    fn default() -> Self {
        Self { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu }
    }
}

/// Opens what `name` names, after downloading it if it is on the Hub; `report` receives the progress of the download.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if cancelled; if the download, the model or the trace fails.
pub fn open_target(
    name: &str,
    options: OpenOptions,
    control: &Control,
    report: &mut dyn FnMut(&Download),
) -> Result<Opened> {
    match Target::parse(name)? {
        Target::Trace(path) => Ok(Opened::Replay(Replay::open(&path)?)),
        _ => Ok(Opened::Model(Arc::new(open_model(name, options, control, report)?))),
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
    report: &mut dyn FnMut(&Download),
) -> Result<Loaded> {
    let location = match Target::parse(name)? {
        Target::Local(location) => location,
        Target::Hub(repo) => downloaded(name, &repo, control, report)?,
        Target::Trace(_) => bail!(
            "{name} is not a model: for a safetensors model, give the directory with its config.json; \
             a saved run is shown by `mixscope open`"
        ),
    };
    control.check()?;
    let mut loaded = open(&location, options.policy, options.dtype, options.ids_only)?.on(options.device)?;
    if location != Location::Demo && !Path::new(name).exists() {
        // The requested name means more to the user than a folder of the cache.
        let meta = Arc::make_mut(&mut loaded.meta);
        name.clone_into(&mut meta.name);
        name.clone_into(&mut meta.title);
    }
    Ok(loaded)
}

/// Where a model of the Hub is on this machine, after downloading what is missing.
#[cfg(feature = "hub")]
fn downloaded(name: &str, repo: &RepoId, control: &Control, report: &mut dyn FnMut(&Download)) -> Result<Location> {
    let mut is_listed = false;
    let fetched = fetch(repo, &crate::hub::Settings::from_env()?, control, &mut |state| {
        is_listed |= !state.files.is_empty();
        report(state);
    });
    // Once files are listed, the repo exists, and the name was meant.
    let path = fetched.map_err(|error| if is_listed { error } else { target::or_path(name, error) })?;
    Location::at(&path).with_context(|| format!("{repo} was downloaded, but can't be opened"))
}

/// Refuses models of the Hub in a build without downloads.
#[cfg(not(feature = "hub"))]
fn downloaded(name: &str, repo: &RepoId, _: &Control, _: &mut dyn FnMut(&Download)) -> Result<Location> {
    bail!(
        "there is no file or folder {name} here, and this build can't download {repo} from the Hub: build with the feature \
         `hub`, or give a path"
    )
}
