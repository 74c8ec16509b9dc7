//! Where a model is: in the program, in a directory, or in a GGUF file.

use crate::model::stand_in::stand_in;
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
    /// The model at `path`: a file, a directory, or a repo's folder in the cache of the Hub, whose snapshot is opened.
    ///
    /// # Errors
    /// If `path` is none of them, or can't be read; the message says what it is.
    pub fn at(path: &Path) -> Result<Self> {
        let name = path.display();
        if path.is_dir() {
            return Ok(Self::Dir(snapshot(path)?.unwrap_or_else(|| path.to_path_buf())));
        }
        if let Ok(to) = std::fs::read_link(path)
            && !path.exists()
        {
            bail!("{name} is a link to {}, which does not exist; download it again", to.display());
        }
        ensure!(path.exists(), "there is no file or directory {name}");
        ensure!(path.is_file(), "{name} is neither a directory nor a regular file");
        if let Some(parts) = pieces(path) {
            let whole = parts.whole;
            bail!(
                "{name} is a piece of a file that was cut: join the pieces in their order (cat {} > {whole}) and open {whole}",
                parts.names.join(" ")
            );
        }
        let mut start = vec![0u8; 4096];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
        start.truncate(read.with_context(|| format!("cannot read {name}"))?);
        let is_gguf = start.starts_with(b"GGUF") || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        if is_gguf {
            return Ok(Self::Gguf(path.to_path_buf()));
        }
        if let Some(other) = stand_in(&start) {
            bail!("{name}: {other}");
        }
        let folder = path.parent().filter(|folder| folder.join("config.json").exists());
        match folder {
            Some(folder) if folder.as_os_str().is_empty() => {
                bail!("{name} is a file of a model; give its directory: .")
            }
            Some(folder) => bail!("{name} is a file of a model; give its directory: {}", folder.display()),
            None => {
                bail!("{name} is not a GGUF file; for a safetensors model, give the directory with its config.json")
            }
        }
    }
}

/// The snapshot to open, if `dir` is a repo's folder in the cache of the Hub (`models--owner--name`).
fn snapshot(dir: &Path) -> Result<Option<PathBuf>> {
    let all = dir.join("snapshots");
    if dir.join("config.json").exists() || !all.is_dir() {
        return Ok(None);
    }
    let commit = std::fs::read_to_string(dir.join("refs").join("main")).unwrap_or_default();
    let commit = commit.trim();
    let is_name = !commit.is_empty() && commit.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_name && all.join(commit).is_dir() {
        return Ok(Some(all.join(commit)));
    }
    let read = std::fs::read_dir(&all).with_context(|| format!("cannot read {}", all.display()))?;
    let mut found: Vec<PathBuf> =
        read.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    found.sort();
    match &found[..] {
        [one] => Ok(Some(one.clone())),
        [] => bail!("{} is a folder of the Hub's cache without a snapshot; download the model again", dir.display()),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            bail!("{} holds several snapshots; open one of them:\n{}", dir.display(), names.join("\n"))
        }
    }
}

/// A file that was cut for an upload.
struct Pieces {
    whole: String,
    names: Vec<String>,
}

/// The pieces of the file that `path` is a piece of: `x.gguf.part1of2`, `x.gguf-split-a`, `x.gguf.part-a`, `x.gguf.00`.
fn pieces(path: &Path) -> Option<Pieces> {
    let name = path.file_name()?.to_str()?;
    let whole = whole_of(name)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|other| whole_of(other) == Some(whole)).collect();
    // part2 before part10.
    names.sort_by_key(|name| (name.len(), name.clone()));
    Some(Pieces { whole: whole.to_owned(), names })
}

/// The file that a piece of this name belongs to. What ends with `.gguf` is no piece, but a file or a part with a header of
/// its own (`x.gguf-split-00001-of-00002.gguf`).
fn whole_of(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    let at = lower.find(".gguf").filter(|_| !lower.ends_with(".gguf"))? + ".gguf".len();
    let (whole, rest) = name.split_at(at);
    let rest = rest.to_ascii_lowercase();
    let rest = rest.strip_prefix(['.', '-', '_'])?;
    let is_piece = rest.starts_with("part") || rest.starts_with("split") || rest.starts_with("chunk");
    let is_number = !rest.is_empty() && rest.len() <= 4 && rest.bytes().all(|b| b.is_ascii_digit());
    (is_piece || is_number).then_some(whole)
}
