use anyhow::{Context, Result, anyhow};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a file whole or not at all: `fill` writes a temporary file in the same folder, which is then renamed to `path`.
///
/// # Errors
/// If the folder can't be written to, the disk is full, or `fill` fails. `path` is then unchanged.
pub fn replace_file(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temp = builder.tempfile_in(folder).map_err(|error| {
        let why = match folder.is_dir() {
            true => anyhow!("cannot write to the folder {}: {}", folder.display(), without_name(error)),
            false => anyhow!("there is no folder {}; create it first", folder.display()),
        };
        why.context(format!("cannot write {}", path.display()))
    })?;
    fill(temp.as_file_mut()).with_context(|| format!("cannot write {}", path.display()))?;
    temp.flush().with_context(|| format!("cannot write {}", path.display()))?;
    temp.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// The error of making a temporary file, without the name of that file, which the user never chose.
pub fn without_name(error: std::io::Error) -> std::io::Error {
    let cause = error.get_ref().and_then(|inner| inner.source()).and_then(|cause| cause.downcast_ref());
    match cause.and_then(std::io::Error::raw_os_error) {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => error,
    }
}
