use super::temporary::{Access, TempFile};
use anyhow::{Context, Result, anyhow};
use std::fs::File;
use std::path::Path;

/// Writes a file whole or not at all: `fill` writes a temporary file in the same folder, which is then renamed to `path`.
///
/// # Errors
/// If the folder can't be written to, the disk is full, or `fill` fails. `path` is then unchanged.
pub fn replace_file(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    filled(path, fill)?.replace(path).with_context(|| failed(path))
}

/// [`replace_file`] for a file that must not exist.
///
/// # Errors
/// As [`replace_file`]; with [`std::io::ErrorKind::AlreadyExists`] if `path` exists.
pub fn write_new_file(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    filled(path, fill)?.name(path).with_context(|| failed(path))
}

fn filled(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<TempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp = TempFile::new_in(folder, Access::Usual).map_err(|error| {
        let why = match folder.is_dir() {
            true => anyhow!(error).context(format!("cannot write to the folder {}", folder.display())),
            false => anyhow!("there is no folder {}; create it first", folder.display()),
        };
        why.context(failed(path))
    })?;
    fill(temp.file()).with_context(|| failed(path))?;
    Ok(temp)
}

fn failed(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
