use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes a file whole or not at all: `fill` writes a temporary file in the same folder, which is then renamed to `path`.
///
/// # Errors
/// If the folder can't be written to, the disk is full, or `fill` fails. `path` is then unchanged.
pub fn replace_file(path: &Path, fill: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temp = builder.tempfile_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    fill(&mut temp).with_context(|| format!("cannot write {}", path.display()))?;
    temp.flush().with_context(|| format!("cannot write {}", path.display()))?;
    temp.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
