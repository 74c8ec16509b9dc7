//! The download of a whole model to a directory of the cache.

use super::cache::{Folder, entry};
use super::client::Client;
use super::download::Job;
use super::fault::Fault;
use super::id::RepoId;
use super::message::{Requested, explain};
use super::progress::{Meter, Progress, Status};
use super::select::{self, CONFIG, INDEX};
use super::settings::Settings;
use super::survey::{Listing, RemoteFile};
use crate::control::{Control, Stopped};
use anyhow::{Context, Error, Result, anyhow};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Files downloaded at a time.
const WORKERS: usize = 4;
/// How often cancellation is checked.
const TICK: Duration = Duration::from_millis(50);

/// A fetch, shared by its threads.
struct Shared {
    client: Client,
    folder: Folder,
    repo: RepoId,
    status: Status,
}

/// Downloads all files of a model that are not in the cache. Returns their directory, or the .gguf file.
/// `control` is checked every 50 ms; `report` is called every 100 ms and at the end, from this thread.
///
/// # Errors
/// [`Stopped`] if `control` is cancelled; else if the Hub can't be reached or refuses, or files are missing, wrong, or
/// can't be written. The message says what to do. The bytes that arrived are kept, and the next fetch continues.
pub fn fetch(
    repo: &RepoId,
    settings: &Settings,
    control: &Control,
    report: &mut dyn FnMut(&Progress),
) -> Result<PathBuf> {
    let folder = Folder::new(repo, settings);
    if settings.offline {
        return folder.complete().context(
            "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set, so nothing is downloaded; unset it to get \
             what is missing",
        );
    }
    if let Some(path) = folder.settled() {
        return Ok(path);
    }
    let client = Client::new(settings)?;
    let shared = Arc::new(Shared { client, folder, repo: repo.clone(), status: Status::default() });
    let (sender, receiver) = channel();
    // Not scoped: the caller must not wait for a look-up of a name or a connect, which can't be interrupted.
    let worker = Arc::clone(&shared);
    let thread = thread::Builder::new().name("hub".to_owned()).spawn(move || sender.send(worker.run()));
    thread.context("cannot start a thread for the download")?;
    let mut meter = Meter::default();
    for tick in 1_usize.. {
        match receiver.recv_timeout(TICK) {
            Ok(result) => {
                report(&meter.read(&shared.status));
                return result;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if control.is_cancelled() => {
                shared.client.stop();
                // This is long enough to close the files.
                let _ = receiver.recv_timeout(Duration::from_secs(1));
                return Err(Stopped.into());
            }
            Err(RecvTimeoutError::Timeout) if tick % 2 == 0 => report(&meter.read(&shared.status)),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    Err(anyhow!("the download of {repo} ended unexpectedly"))
}

impl Shared {
    fn run(&self) -> Result<PathBuf> {
        let (client, repo, folder) = (&self.client, &self.repo, &self.folder);
        let listing = match Listing::ask(client, repo, &|text| self.status.note(None, text)) {
            Ok(listing) => listing,
            Err(fault) => return self.fall_back(fault),
        };
        self.status.note(None, String::new());
        let job = Job { client, folder, repo, commit: &listing.commit, status: &self.status };
        let needed = select::needed(repo, &listing.names(), || {
            let index = listing.file(client, repo, INDEX)?;
            self.status.set_files([(index.name.clone(), index.size)]);
            if let Some(etag) = job.ensure(&index, 0)? {
                folder.link(&listing.commit, INDEX, &etag)?;
            }
            let path = folder.snapshot(&listing.commit).join(INDEX);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        })?;
        let files: Result<Vec<_>> = needed.files.iter().map(|name| listing.file(client, repo, name)).collect();
        let files = files?;
        self.status.set_files(files.iter().map(|file| (file.name.clone(), file.size)));
        let mut blobs = ensure_all(&job, &files)?;
        // A directory with a config is complete, so the config comes last.
        blobs.sort_by_key(|(name, _)| *name == CONFIG);
        for (name, etag) in blobs {
            folder.link(&listing.commit, name, &etag)?;
        }
        folder.set_ref(&listing.commit)?;
        Ok(entry(&folder.snapshot(&listing.commit), &needed))
    }

    /// Uses the cache if the Hub can't be reached.
    fn fall_back(&self, fault: Fault) -> Result<PathBuf> {
        self.client.check()?;
        let complete = self.folder.complete().ok().filter(|_| fault.is_network());
        let error = explain(&self.client, &self.repo, Requested::Repo, fault);
        let Some(path) = complete else { return Err(error) };
        self.status.note(None, format!("{} can't be reached; using the files in the cache", self.client.endpoint));
        Ok(path)
    }
}

/// Downloads the files, several at a time and the smallest first. Returns the files to link, with their blobs.
fn ensure_all<'a>(job: &Job, files: &'a [RemoteFile]) -> Result<Vec<(&'a str, String)>> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|slot| files[*slot].size);
    let next = AtomicUsize::new(0);
    let blobs = Mutex::new(Vec::new());
    let failure: Mutex<Option<Error>> = Mutex::default();
    let download = || {
        while let Some(slot) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            match job.ensure(&files[*slot], *slot) {
                Ok(Some(etag)) => hold(&blobs).push((files[*slot].name.as_str(), etag)),
                Ok(None) => {}
                Err(error) => {
                    hold(&failure).get_or_insert(error);
                    return job.client.stop();
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..WORKERS.min(files.len()) {
            // Where the system refuses threads, fewer files are downloaded at a time.
            if thread::Builder::new().spawn_scoped(scope, download).is_err() {
                break;
            }
        }
        download();
    });
    let failure = hold(&failure).take();
    let blobs = hold(&blobs).drain(..).collect();
    failure.map_or(Ok(blobs), Err)
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
