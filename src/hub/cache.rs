//! The cache on disk: `models--owner--name/{blobs,refs,snapshots}`.

use super::id::{MAIN, RepoId, is_commit, is_word};
use super::select::{CONFIG, INDEX, Needed, gguf_sets, needed};
use super::settings::Settings;
use anyhow::{Context, Result, bail, ensure};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a repo in the cache.
pub(super) struct Folder {
    path: PathBuf,
    locks: PathBuf,
    layout: CacheRepo,
    repo: RepoId,
}

impl Folder {
    pub(super) fn new(repo: &RepoId, settings: &Settings) -> Self {
        let hub = Repo::with_revision(repo.name.clone(), RepoType::Model, repo.revision.clone());
        let name = hub.folder_name();
        let (path, locks) = (settings.cache.join(&name), settings.cache.join(".locks").join(name));
        Self { path, locks, layout: Cache::new(settings.cache.clone()).repo(hub), repo: repo.clone() }
    }

    /// The file with the complete content.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.path.join("blobs").join(etag)
    }

    /// The file with content that is incomplete or wrong.
    pub(super) fn blob_with(&self, etag: &str, suffix: &str) -> PathBuf {
        self.path.join("blobs").join(format!("{etag}.{suffix}"))
    }

    /// The file that a process locks while it downloads the blob.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// The directory of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// Whether the file of the commit exists and has `size` bytes.
    pub(super) fn has(&self, commit: &str, name: &str, size: u64) -> bool {
        is_file_of(&self.snapshot(commit).join(name), size)
    }

    /// Makes the directory that will hold `path`.
    ///
    /// # Errors
    /// If it can't be made.
    pub(super) fn make_room(&self, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).with_context(|| format!("cannot write to the cache folder {}", folder.display()))
    }

    /// Links the blob as a file of the commit.
    ///
    /// # Errors
    /// If the folder can't be written to.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<()> {
        let (path, blob) = (self.snapshot(commit).join(name), self.blob(etag));
        if let (Ok(linked), Ok(blob)) = (fs::canonicalize(&path), fs::canonicalize(&blob))
            && linked == blob
        {
            return Ok(());
        }
        self.make_room(&path)?;
        let up = "../".repeat(name.split('/').count() + 1);
        let linked = remove(&path).and_then(|()| {
            symlink(Path::new(&format!("{up}blobs/{etag}")), &path)
                .or_else(|_| fs::hard_link(&blob, &path))
                .or_else(|_| fs::rename(&blob, &path))
        });
        // Another process may have been quicker.
        linked
            .or_else(|error| if path.exists() { Ok(()) } else { Err(error) })
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Records the commit of the revision.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn set_ref(&self, commit: &str) -> Result<()> {
        if self.repo.revision == commit || self.ref_commit().as_deref() == Some(commit) {
            return Ok(());
        }
        self.layout.create_ref(commit).with_context(|| format!("cannot write to {}", self.path.join("refs").display()))
    }

    fn ref_commit(&self) -> Option<String> {
        let text = fs::read_to_string(self.path.join("refs").join(&self.repo.revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_word(commit))
    }

    /// The directory or .gguf file, if all files that it needs are in the cache.
    ///
    /// # Errors
    /// If a file is missing; the message names it.
    pub(super) fn complete(&self) -> Result<PathBuf> {
        let commit = self.ref_commit().or_else(|| is_word(&self.repo.revision).then(|| self.repo.revision.clone()));
        let dir = commit.map(|commit| self.snapshot(&commit)).filter(|dir| dir.is_dir());
        let Some(dir) = dir else { bail!("nothing of {} is in the cache {}", self.repo, self.path.display()) };
        let needed = read(&self.repo, &dir).with_context(|| format!("the cache {} is not complete", dir.display()))?;
        Ok(entry(&dir, &needed))
    }

    /// As [`Folder::complete`], for a revision that can't change, so that no request to the Hub is needed.
    pub(super) fn settled(&self) -> Option<PathBuf> {
        let path = self.complete().ok().filter(|_| is_commit(&self.repo.revision))?;
        // A missing tokenizer may not exist, or may not have been downloaded yet.
        let has = |name: &str| path.join(name).exists();
        (path.is_file() || has("tokenizer.json") || has("tokenizer.model")).then_some(path)
    }
}

/// The path to open.
pub(super) fn entry(dir: &Path, needed: &Needed) -> PathBuf {
    needed.gguf.as_ref().map_or_else(|| dir.to_owned(), |file| dir.join(file))
}

fn read(repo: &RepoId, dir: &Path) -> Result<Needed> {
    needed(repo, &names(dir), || Ok(fs::read(dir.join(INDEX))?))
}

fn is_file_of(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == size)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The paths of the files below `dir` that have content.
fn names(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder)).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(name);
            } else if fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()) {
                found.insert(name);
            }
        }
    }
    found
}

/// The directory or .gguf file of `repo` in the cache; `None` if a file is missing.
#[must_use]
pub fn cached(repo: &RepoId, settings: &Settings) -> Option<PathBuf> {
    Folder::new(repo, settings).complete().ok()
}

/// A model in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRepo {
    /// The name, as [`RepoId::parse`] reads it.
    pub id: String,
    /// Directory or .gguf file.
    pub path: PathBuf,
    /// Size of its files.
    pub bytes: u64,
}

/// The complete models of the cache, sorted by name: Mixtral models of safetensors, and .gguf files.
#[must_use]
pub fn list_cached(settings: &Settings) -> Vec<CachedRepo> {
    let mut found = Vec::new();
    for folder in fs::read_dir(&settings.cache).into_iter().flatten().flatten() {
        let name = folder.file_name().into_string().ok();
        let name = name.and_then(|name| Some(name.strip_prefix("models--")?.replace("--", "/")));
        let Some(repo) = name.and_then(|name| RepoId::parse(&name).ok()) else { continue };
        for revision in revisions(&folder.path()) {
            let text = if revision == MAIN { repo.name.clone() } else { format!("{}@{revision}", repo.name) };
            let dir = RepoId::parse(&text).map(|repo| (dir_of(&repo, settings), repo));
            if let Ok((Some(dir), repo)) = dir {
                found.extend(models(&repo, &dir));
            }
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

fn dir_of(repo: &RepoId, settings: &Settings) -> Option<PathBuf> {
    let folder = Folder::new(repo, settings);
    let commit = folder.ref_commit().unwrap_or_else(|| repo.revision.clone());
    Some(folder.snapshot(&commit)).filter(|dir| dir.is_dir())
}

/// The refs of a repo's folder, and the commits without a ref.
fn revisions(folder: &Path) -> BTreeSet<String> {
    let refs = folder.join("refs");
    let mut found = names(&refs);
    let commits: BTreeSet<String> =
        found.iter().filter_map(|name| Some(fs::read_to_string(refs.join(name)).ok()?.trim().to_owned())).collect();
    let snapshots = fs::read_dir(folder.join("snapshots")).into_iter().flatten().flatten();
    let snapshots = snapshots.filter_map(|entry| entry.file_name().into_string().ok());
    found.extend(snapshots.filter(|commit| is_commit(commit) && !commits.contains(commit)));
    found
}

fn models(repo: &RepoId, dir: &Path) -> Vec<CachedRepo> {
    let files = gguf_sets(&names(dir)).into_iter().map(|file| RepoId { file: Some(file), ..repo.clone() });
    let whole = is_mixtral(dir).is_ok().then(|| repo.clone());
    let one = |repo: RepoId| {
        let needed = read(&repo, dir).ok().filter(|needed| needed.gguf.is_some() == repo.file.is_some())?;
        let bytes =
            needed.files.iter().filter_map(|name| fs::metadata(dir.join(name)).ok()).map(|meta| meta.len()).sum();
        Some(CachedRepo { id: repo.to_string(), path: entry(dir, &needed), bytes })
    };
    whole.into_iter().chain(files).filter_map(one).collect()
}

fn is_mixtral(dir: &Path) -> Result<()> {
    let config: serde_json::Value = serde_json::from_slice(&fs::read(dir.join(CONFIG))?)?;
    ensure!(config.get("model_type").is_some_and(|kind| kind == "mixtral"), "another kind of model");
    Ok(())
}
