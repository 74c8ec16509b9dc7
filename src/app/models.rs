//! Models that can be opened: recent ones, those in the Hub's cache, and paths that begin with the typed text.

use crate::engine;
use crate::hub::{Settings, list_cached};
use crate::state::{Choice, Origin};
use crate::trace::size;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The most entries of a folder that are read.
const MOST: usize = 4000;
/// The most paths in an answer.
const OFFERED: usize = 200;

/// Looks for models in the background, because folders may be slow.
pub struct Finder {
    /// Newest first.
    recent: Vec<String>,
    hub: Option<Settings>,
    /// The models in the Hub's cache, listed each time the picker is opened.
    cached: Arc<Mutex<Vec<(String, u64)>>>,
    newest: Arc<AtomicU64>,
    sender: UnboundedSender<(u64, Vec<Choice>)>,
    receiver: UnboundedReceiver<(u64, Vec<Choice>)>,
}

impl Finder {
    /// Finds `recent` models (oldest first) and those in the cache of `hub`.
    pub fn new(mut recent: Vec<String>, hub: Option<Settings>) -> Self {
        recent.reverse();
        let (sender, receiver) = unbounded_channel();
        Self { recent, hub, cached: Arc::default(), newest: Arc::default(), sender, receiver }
    }

    /// Looks for models that fit `text`; the answer to the last call comes from [`Finder::found`].
    pub fn find(&mut self, text: String) {
        let asked = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let (newest, cached) = (self.newest.clone(), self.cached.clone());
        let (sender, recent, hub) = (self.sender.clone(), self.recent.clone(), self.hub.clone());
        tokio::task::spawn_blocking(move || {
            if newest.load(Ordering::Relaxed) != asked {
                return;
            }
            let cached = in_cache(&cached, hub.filter(|_| text.is_empty()));
            // Sending fails when the program ends.
            let _ = sender.send((asked, look(&text, &recent, cached)));
        });
    }

    /// The next answer that is not outdated.
    pub async fn found(&mut self) -> Vec<Choice> {
        loop {
            match self.receiver.recv().await {
                Some((asked, found)) if asked == self.newest.load(Ordering::Relaxed) => return found,
                Some(_) => {}
                // Never: `self` keeps a sender.
                None => std::future::pending().await,
            }
        }
    }

    /// Adds a model to the recent ones. Returns its name, as an absolute path if it is one, unless it was the last model
    /// already.
    pub fn remember(&mut self, name: String) -> Option<String> {
        if name == "demo" {
            return None;
        }
        let name = fs::canonicalize(&name).map_or(name, |path| path.display().to_string());
        if self.recent.first() == Some(&name) {
            return None;
        }
        self.recent.retain(|old| *old != name);
        self.recent.insert(0, name.clone());
        Some(name)
    }
}

/// Names and sizes of the models in the Hub's cache; listed again if `hub` is given.
fn in_cache(known: &Mutex<Vec<(String, u64)>>, hub: Option<Settings>) -> Vec<(String, u64)> {
    // A list is valid even if a thread panicked while it held the lock.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(settings) = hub {
        *known = list_cached(&settings).into_iter().map(|repo| (repo.id, repo.bytes)).collect();
    }
    known.clone()
}

fn look(text: &str, recent: &[String], cached: Vec<(String, u64)>) -> Vec<Choice> {
    let choice = |name: &str, origin, note: String| Choice { name: name.to_owned(), origin, note };
    let mut found = vec![choice("demo", Origin::Demo, String::new())];
    found.extend(recent.iter().map(|name| choice(name, Origin::Recent, String::new())));
    let cached = cached.into_iter().filter(|(id, _)| !recent.contains(id));
    found.extend(cached.map(|(id, bytes)| choice(&id, Origin::Cached, size(bytes))));
    if !text.is_empty() {
        found.extend(paths(text));
    }
    found
}

/// Folders, models, GGUF files and saved runs whose path begins with `text`.
fn paths(text: &str) -> Vec<Choice> {
    let (folder, start) = text.rsplit_once('/').map_or(("", text), |(folder, start)| (&text[..=folder.len()], start));
    let place = match (folder, folder.strip_prefix("~/"), std::env::var_os("HOME")) {
        ("", ..) => PathBuf::from("."),
        (_, Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(folder),
    };
    let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.take(MOST).flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let hidden = name.starts_with('.') && !start.starts_with('.');
        if !name.starts_with(start) || hidden {
            continue;
        }
        found.extend(describe(&entry.path(), &format!("{folder}{name}")));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.truncate(OFFERED);
    found
}

fn describe(path: &Path, name: &str) -> Option<Choice> {
    let about = fs::metadata(path).ok()?;
    if about.is_dir() {
        let is_model = path.join("config.json").is_file();
        let choice = |name: String, origin, note: &str| Choice { name, origin, note: note.to_owned() };
        return Some(match is_model {
            true => choice(name.to_owned(), Origin::Path, "model directory"),
            false => choice(format!("{name}/"), Origin::Folder, ""),
        });
    }
    if engine::is_trace(path) {
        return Some(Choice { name: name.to_owned(), origin: Origin::Path, note: "saved run".to_owned() });
    }
    let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    is_gguf.then(|| Choice { name: name.to_owned(), origin: Origin::Path, note: size(about.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_models_gguf_files_and_saved_runs_are_offered_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("mix-model")).unwrap();
        fs::write(at("mix-model/config.json"), "{}").unwrap();
        fs::create_dir_all(at("mixed")).unwrap();
        fs::create_dir_all(at(".mixhidden")).unwrap();
        fs::write(at("mix.gguf"), "GGUF").unwrap();
        fs::write(at("mix.txt"), "").unwrap();
        fs::write(at("mix.safetensors"), "").unwrap();
        let header = br#"{"__metadata__":{"format":"mixscope-trace"}}"#;
        let trace = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        fs::write(at("mix1.safetensors"), trace).unwrap();
        let start = format!("{}/mix", root.path().display());
        let found: Vec<_> = paths(&start).into_iter().map(|c| (c.name[start.len()..].to_owned(), c.origin)).collect();
        let want = [
            ("-model", Origin::Path),
            (".gguf", Origin::Path),
            ("1.safetensors", Origin::Path),
            ("ed/", Origin::Folder),
        ];
        assert_eq!(found, want.map(|(name, origin)| (name.to_owned(), origin)));
        assert!(paths("/no/such/folder/x").is_empty());
    }

    #[test]
    fn recent_models_are_kept_once_newest_first() {
        let mut finder = Finder::new(vec!["a/old".to_owned(), "b/new".to_owned()], None);
        assert_eq!(finder.remember("demo".to_owned()), None);
        assert_eq!(finder.remember("b/new".to_owned()), None);
        assert_eq!(finder.remember("a/old".to_owned()), Some("a/old".to_owned()));
        assert_eq!(finder.recent, ["a/old", "b/new"]);
    }
}
