//! The folder that a command writes its files to.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// Makes the folder of `--out` if it does not exist, and refuses before the work what could not be written after it:
/// unless `force`, one of `files` that is there already; `more` looks for further ones. Returns those that are there.
///
/// # Errors
/// If the folder can't be made or written to, or holds such files.
pub fn prepare(
    out: &Path,
    files: &[String],
    more: impl FnOnce(&Path) -> Result<Vec<String>>,
    force: bool,
) -> Result<Vec<String>> {
    let folder = out.display();
    std::fs::create_dir_all(out).with_context(|| format!("--out: cannot make the folder {folder}"))?;
    let mut there: Vec<String> = files.iter().filter(|file| out.join(file).exists()).cloned().collect();
    there.extend(more(out)?);
    if !force && !there.is_empty() {
        bail!("{folder} already holds {}; give another --out, or --force to overwrite", there.join(", "));
    }
    // Found out now and not after the work.
    tempfile::tempfile_in(out).with_context(|| format!("--out: cannot write to the folder {folder}"))?;
    Ok(there)
}
