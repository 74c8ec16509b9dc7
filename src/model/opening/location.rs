//! Where a model is: in the program, in a directory, or in a GGUF file.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// The place of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The embedded demo model.
    Demo,
    /// A directory with config.json and safetensors files.
    Dir(PathBuf),
    /// A GGUF file; if the model is split, its first part.
    Gguf(PathBuf),
}

impl Location {
    /// The model at `path`.
    ///
    /// # Errors
    /// If `path` is neither a directory nor a GGUF file, or can't be read.
    pub fn at(path: &Path) -> Result<Self> {
        let name = path.display();
        if path.is_dir() {
            return Ok(Self::Dir(path.to_path_buf()));
        }
        ensure!(path.exists(), "there is no file or directory {name}");
        ensure!(path.is_file(), "{name} is neither a directory nor a regular file");
        let mut magic = [0u8; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut magic));
        let read = read.with_context(|| format!("cannot read {name}"))?;
        let is_gguf = &magic[..read] == b"GGUF" || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        if !is_gguf {
            bail!("{name} is not a GGUF file; for a safetensors model, give the directory with its config.json");
        }
        Ok(Self::Gguf(path.to_path_buf()))
    }
}
