//! `mixscope sweep --merge`: one sweep from its shards.

use super::files::{self, Files, STATE};
use crate::analysis::sweep::Sweep;
use crate::app::files::Reporter as _;
use crate::cli::folder::Folder;
use crate::cli::stderr::Stderr;
use crate::cli::{harmless, print};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Writes the sum of the shards.
///
/// # Errors
/// If a shard can't be read, or they don't belong together.
pub fn merge(shards: &[PathBuf], files: &Files, force: bool, quiet: bool) -> Result<()> {
    let (names, stderr) = (files.names(None), Stderr::new(quiet));
    let _folder = Folder::prepare(&files.out, &names, |_| Ok(Vec::new()), force)?;
    // One after the other, so that no more than two are in memory.
    let read = |path: &PathBuf| Ok((path.display().to_string(), files::read(&state_of(path))?));
    let whole = Sweep::merged(shards.iter().map(read))?;
    files.write(&whole, &stderr)?;
    stderr.say(&format!("wrote {} to {}", names.join(", "), files.out.display()));
    print(&harmless(&files::summary(&whole)))
}

/// The counts of a shard that is named by its folder, or by the file itself.
fn state_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(STATE) } else { path.to_owned() }
}
