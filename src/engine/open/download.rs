//! Models of the Hub: downloaded, or found in the cache.

use crate::control::Control;
use crate::hub::{self, RepoId, Settings, Stage};
use crate::protocol::{Download, FileShare};
use anyhow::Result;
use std::path::PathBuf;

/// Downloads what a model of the Hub needs, or finds it in the cache; returns the directory or GGUF file.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if cancelled; whatever the download says.
pub fn fetch(
    repo: &RepoId,
    settings: &Settings,
    control: &Control,
    report: &mut dyn FnMut(&Download),
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
        report(&Download {
            files: state.files.iter().map(file).collect(),
            done: state.done,
            total: state.total,
            per_second: state.per_second,
            seconds_left: state.seconds_left,
            note: state.note.clone(),
        });
    })
}
