//! The download of one file to a checked blob.

use super::cache::Folder;
use super::checksum::Hasher;
use super::client::Client;
use super::fault::Fault;
use super::http::content_range;
use super::id::RepoId;
use super::message::{Requested, explain};
use super::pace::Paced;
use super::progress::{Stage, Status};
use super::retry::Patience;
use super::survey::{Meta, RemoteFile};
use anyhow::{Context, Error, Result, anyhow};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Bytes read or hashed at a time.
const CHUNK: usize = 1 << 18;
/// How often the lock of another process is checked.
const POLL: Duration = Duration::from_millis(200);

/// The download of a repo, shared by its files.
pub(super) struct Job<'a> {
    pub(super) client: &'a Client,
    pub(super) folder: &'a Folder,
    pub(super) repo: &'a RepoId,
    pub(super) commit: &'a str,
    pub(super) status: &'a Status,
}

impl Job<'_> {
    /// Downloads the file unless it is in the cache; its progress is that of `slot`. Returns the name of the blob, or
    /// `None` if the commit's directory has the file already.
    ///
    /// # Errors
    /// If the file can't be downloaded, is wrong, or can't be written. The bytes that arrived are kept.
    pub(super) fn ensure(&self, file: &RemoteFile, slot: usize) -> Result<Option<String>> {
        if self.folder.has(self.commit, &file.name, file.size) {
            self.status.set(slot, Stage::Done, file.size, file.size);
            return Ok(None);
        }
        let url = self.client.file_url(self.repo, self.commit, &file.name);
        let note = |text| self.status.note(Some(slot), text);
        let meta = Patience::stubborn().retry(self.client, &note, || Meta::ask(self.client, &url, Some(file)));
        let meta = meta.map_err(|fault| explain(self.client, self.repo, Requested::File(&file.name), fault))?;
        self.status.clear_note(slot);
        let blob = self.folder.blob(&meta.etag);
        let is_there = || fs::metadata(&blob).is_ok_and(|has| has.is_file() && has.len() == meta.size);
        if !is_there() {
            let _lock = self.lock(&meta, &file.name, slot)?;
            if !is_there() {
                self.folder.make_room(&blob)?;
                Transfer::open(self, file, &meta, url, slot)?.run()?;
            }
        }
        self.status.set(slot, Stage::Done, meta.size, meta.size);
        Ok(Some(meta.etag))
    }

    /// Locks the blob; waits while another process has the lock. Dropping the file unlocks it.
    fn lock(&self, meta: &Meta, name: &str, slot: usize) -> Result<File> {
        let path = self.folder.lock(&meta.etag);
        self.folder.make_room(&path)?;
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.with_context(|| format!("cannot write {}", path.display()))?;
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            self.status.note(Some(slot), format!("another process is downloading {name}"));
            let partial = fs::metadata(self.folder.blob_with(&meta.etag, "incomplete"));
            self.status.set(slot, Stage::Waiting, partial.map_or(0, |partial| partial.len().min(meta.size)), meta.size);
            self.client.sleep(POLL)?;
        }
        self.status.clear_note(slot);
        // If locks don't work here, the download continues without one.
        Ok(file)
    }
}

/// A download under way.
struct Transfer<'a> {
    job: &'a Job<'a>,
    name: &'a str,
    meta: &'a Meta,
    url: String,
    slot: usize,
    path: PathBuf,
    file: File,
    have: u64,
    hasher: Option<Hasher>,
}

impl<'a> Transfer<'a> {
    /// Opens the file of an earlier download, if any, and hashes it.
    fn open(job: &'a Job, remote: &'a RemoteFile, meta: &'a Meta, url: String, slot: usize) -> Result<Self> {
        let path = job.folder.blob_with(&meta.etag, "incomplete");
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = open.with_context(|| format!("cannot write {}", path.display()))?;
        let mut transfer = Self { job, name: &remote.name, meta, url, slot, path, file, have: 0, hasher: None };
        transfer.reset_hash();
        let kept = transfer.file.metadata().map_or(0, |kept| kept.len());
        if kept > meta.size {
            transfer.restart()?;
        } else {
            transfer.check_kept(kept)?;
        }
        Ok(transfer)
    }

    fn reset_hash(&mut self) {
        self.have = 0;
        self.hasher = self.meta.checksum.as_ref().map(|checksum| checksum.hasher(self.meta.size));
    }

    fn restart(&mut self) -> Result<()> {
        self.reset_hash();
        self.job.status.set(self.slot, Stage::Loading, 0, self.meta.size);
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| self.write_error(error))?;
        Ok(())
    }

    fn check_kept(&mut self, kept: u64) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        while self.have < kept {
            self.job.client.check()?;
            let count = self.file.read(&mut buffer).with_context(|| format!("cannot read {}", self.path.display()))?;
            if count == 0 {
                break;
            }
            self.take(&buffer[..count]);
            self.job.status.set(self.slot, Stage::Checking, self.have, self.meta.size);
        }
        self.job.status.set(self.slot, Stage::Loading, self.have, self.meta.size);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.have += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }

    /// Downloads the rest and completes the blob.
    fn run(mut self) -> Result<()> {
        let mut patience = Patience::stubborn();
        let mut best = self.have;
        while self.have < self.meta.size {
            let Err(fault) = self.attempt() else { break };
            self.job.client.check()?;
            // Only new bytes count as success: otherwise a server that always starts over and fails would be retried
            // for ever.
            if self.have > best {
                best = self.have;
                patience.reset();
            }
            let note = |text| self.job.status.note(Some(self.slot), text);
            patience.again(self.job.client, fault, &note).map_err(|fault| self.give_up(fault))?;
        }
        self.finish()
    }

    fn attempt(&mut self) -> Result<(), Fault> {
        let client = self.job.client;
        let range = (self.have > 0).then(|| format!("bytes={}-", self.have));
        let response = match client.get(&self.url, range.as_deref()) {
            Err(Fault::Answer(answer)) if answer.status == 416 && self.have > 0 => {
                self.restart()?;
                return Err(Fault::passing("server does not have the requested part"));
            }
            Err(fault @ Fault::Fatal(_)) => {
                return Err(explain(client, self.job.repo, Requested::File(self.name), fault).into());
            }
            response => response?,
        };
        if response.status() == 206 {
            let (start, size) = content_range(response.headers()).unwrap_or((self.have, None));
            if start != self.have || size.is_some_and(|size| size != self.meta.size) {
                return Err(Fault::passing("server sent another part than was requested"));
            }
        } else if self.have > 0 {
            self.restart()?;
        }
        let mut reader = Paced::new(response.into_body().into_reader(), client.stall);
        let mut buffer = vec![0; CHUNK];
        loop {
            client.check()?;
            let count = reader.read(&mut buffer).map_err(|error| Fault::of_read(error, client.stall))?;
            if count == 0 {
                break;
            }
            if self.have + count as u64 > self.meta.size {
                let what = format!("the server sent more than the {} bytes it announced", self.meta.size);
                return Err(Fault::Fatal(self.reject(&what)));
            }
            self.file.write_all(&buffer[..count]).map_err(|error| self.write_error(error))?;
            self.take(&buffer[..count]);
            self.job.status.receive(self.slot, count as u64);
        }
        if self.have < self.meta.size { Err(Fault::passing("connection cut")) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<()> {
        if let (Some(hasher), Some(checksum)) = (self.hasher.take(), &self.meta.checksum) {
            let found = hasher.finish();
            if found != checksum.hex() {
                return Err(self.reject(&format!("expected checksum {}, found {found}", checksum.hex())));
            }
        }
        // Later only the name and the size are checked.
        let kept = self.file.sync_all();
        let kept = kept.and_then(|()| fs::rename(&self.path, self.job.folder.blob(&self.meta.etag)));
        kept.map_err(|error| self.write_error(error))
    }

    /// Moves wrong data out of the way.
    fn reject(&self, what: &str) -> Error {
        let aside = self.job.folder.blob_with(&self.meta.etag, "rejected");
        let kept = match fs::rename(&self.path, &aside) {
            Ok(()) => format!("the data is kept in {}", aside.display()),
            Err(error) => format!("{} must be removed by hand ({error})", self.path.display()),
        };
        anyhow!(
            "{} of {} is wrong: {what}; {kept}, and running again downloads it from the start",
            self.name,
            self.job.repo
        )
    }

    fn write_error(&self, error: std::io::Error) -> Error {
        let folder = self.path.parent().unwrap_or(&self.path).display();
        let left = self.meta.size.saturating_sub(self.have);
        let name = self.name;
        anyhow!(error).context(format!(
            "cannot write to {folder}: {name} needs {left} more bytes there; {} bytes of it are kept, and running \
             again continues from there",
            self.have
        ))
    }

    fn give_up(&self, fault: Fault) -> Error {
        let what = match fault {
            Fault::Fatal(error) => return error,
            Fault::Unreachable(what) => format!("cannot reach the server: {what}"),
            Fault::Passing(what, _) => what,
            answer @ Fault::Answer(_) => {
                explain(self.job.client, self.job.repo, Requested::File(self.name), answer).to_string()
            }
        };
        anyhow!(
            "{} of {}: {what}; gave up after {} more tries; {} of {} bytes are kept in {}, and running \
             again continues from there",
            self.name,
            self.job.repo,
            self.job.client.retries,
            self.have,
            self.meta.size,
            self.path.display()
        )
    }
}
