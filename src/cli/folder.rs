//! The folder that a command writes its files to.

use crate::trace::without_name;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Creates the folder of `--out` if it does not exist, and checks that files can be written there, so that a long
/// computation is not lost. Returns those of `files` that exist; `more` finds further existing files.
///
/// # Errors
/// If the folder can't be created or written to, or if such files exist and `force` is false.
pub fn prepare(
    out: &Path,
    files: &[String],
    more: impl FnOnce(&Path) -> Result<Vec<String>>,
    force: bool,
) -> Result<Vec<String>> {
    let folder = out.display();
    std::fs::create_dir_all(out).with_context(|| format!("--out: cannot create the folder {folder}"))?;
    let mut there: Vec<String> = files.iter().filter(|file| out.join(file).exists()).cloned().collect();
    there.extend(more(out)?);
    let held = there.join(", ");
    ensure!(force || held.is_empty(), "{folder} already holds {held}; give another --out, or --force to overwrite");
    // Fails before the work instead of after it.
    tempfile::tempfile_in(out)
        .map_err(without_name)
        .with_context(|| format!("--out: cannot write to the folder {folder}"))?;
    Ok(there)
}
