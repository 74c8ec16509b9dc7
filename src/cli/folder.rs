//! The folder that a command writes its files to.

use crate::trace::{Access, TempFile};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of `--out`. No other mixscope writes there while this lives.
pub struct Folder {
    /// The requested files that exist.
    pub replaced: Vec<String>,
    path: PathBuf,
    is_new: bool,
    /// `None` where folders can't be locked.
    _lock: Option<File>,
}

impl Folder {
    /// Creates the folder if it does not exist, locks it, and checks that files can be written there, so that a long
    /// computation is not lost. `more` finds existing files apart from `files`.
    ///
    /// # Errors
    /// If the folder can't be created or written to, if another mixscope writes there, or if such files exist and
    /// `force` is false.
    pub fn prepare(
        out: &Path,
        files: &[String],
        more: impl FnOnce(&Path) -> Result<Vec<String>>,
        force: bool,
    ) -> Result<Self> {
        let shown = out.display();
        let is_new = create(out).with_context(|| format!("--out: cannot create the folder {shown}"))?;
        let lock = match File::open(out).map(|folder| (folder.try_lock(), folder)) {
            Ok((Err(TryLockError::WouldBlock), _)) => bail!(
                "--out: another mixscope is writing to the folder {shown}; wait until it is done, or give another --out"
            ),
            Ok((Ok(()), folder)) => Some(folder),
            // Where folders can't be opened or locked, the files are written without a lock.
            Ok((Err(TryLockError::Error(_)), _)) | Err(_) => None,
        };
        let mut folder = Self { replaced: Vec::new(), path: out.to_owned(), is_new, _lock: lock };
        folder.replaced.extend(files.iter().filter(|file| out.join(file).exists()).cloned());
        folder.replaced.extend(more(out)?);
        let held = folder.replaced.join(", ");
        ensure!(force || held.is_empty(), "{shown} already holds {held}; give another --out, or --force to overwrite");
        // Fails before the work instead of after it.
        TempFile::new_in(out, Access::Usual).with_context(|| format!("--out: cannot write to the folder {shown}"))?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_new {
            // Removes the folder only if it is empty: computed files stay.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Creates the folder and those above it; returns whether it is new.
fn create(out: &Path) -> std::io::Result<bool> {
    if out.is_dir() {
        return Ok(false);
    }
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::create_dir(out) {
        // Another program was quicker.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && out.is_dir() => Ok(false),
        made => made.map(|()| true),
    }
}
