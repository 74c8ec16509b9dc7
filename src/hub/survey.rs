//! The files of a repo, from the Hub, without a download.

use super::checksum::{Checksum, short_hash};
use super::client::Client;
use super::fault::Fault;
use super::http::{content_range, header};
use super::id::{RepoId, is_inside, is_word};
use super::message::{Requested, explain};
use super::retry::Patience;
use super::select::{self, INDEX};
use super::settings::Settings;
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;
use ureq::http::{HeaderMap, Method};

/// The most bytes of a file that are read into memory.
const MOST: u64 = 64 << 20;
/// The most bytes of a list of files: that of 50,000 files.
const LONGEST_LIST: u64 = 16 << 20;

/// A file of a repo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Path in the repo.
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub(super) checksum: Option<Checksum>,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// The files of a repo at one commit.
pub(super) struct Listing {
    pub(super) commit: String,
    siblings: Vec<Sibling>,
}

impl Listing {
    /// Requests the list from the Hub.
    pub(super) fn ask(client: &Client, repo: &RepoId, note: &dyn Fn(String)) -> Result<Self, Fault> {
        let url = client.info_url(repo);
        let json = Patience::default().retry(client, note, || client.read(&url, None, LONGEST_LIST))?;
        Ok(Self::parse(&json).context("the answer can't be used")?)
    }

    fn parse(json: &[u8]) -> Result<Self> {
        let info: Info = serde_json::from_slice(json)?;
        ensure!(is_word(&info.sha), "expected a commit, found {:?}", info.sha);
        if let Some(bad) = info.siblings.iter().find(|file| !is_inside(&file.rfilename)) {
            bail!("the file name {:?} leaves the folder", bad.rfilename);
        }
        Ok(Self { commit: info.sha, siblings: info.siblings })
    }

    /// The paths of all files.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.siblings.iter().map(|file| file.rfilename.clone()).collect()
    }

    /// One file; its headers are requested if the list lacks its size.
    pub(super) fn file(&self, client: &Client, repo: &RepoId, name: &str) -> Result<RemoteFile> {
        let sibling = self.siblings.iter().find(|file| file.rfilename == name);
        let lfs = sibling.and_then(|file| file.lfs.as_ref());
        // The git blob of a large file is only a pointer to it.
        let hash = lfs.map_or(sibling.and_then(|file| file.blob_id.as_ref()), |lfs| lfs.sha256.as_ref());
        let checksum = hash.and_then(|hash| Checksum::parse(hash));
        let size = lfs.and_then(|lfs| lfs.size).or(sibling.and_then(|file| file.size));
        let mut file = RemoteFile { name: name.to_owned(), size: 0, checksum };
        file.size = match size {
            Some(size) => size,
            None => {
                let url = client.file_url(repo, &self.commit, name);
                let meta = Patience::default().retry(client, &|_| (), || Meta::ask(client, &url, None));
                meta.map_err(|fault| explain(client, repo, Requested::File(name), fault))?.size
            }
        };
        Ok(file)
    }
}

/// The facts in the headers of a file.
pub(super) struct Meta {
    /// The name of the blob in the cache.
    pub(super) etag: String,
    /// Bytes.
    pub(super) size: u64,
    pub(super) checksum: Option<Checksum>,
}

impl Meta {
    /// Requests the headers of `url`; `known`, from the list, fills in what they lack.
    pub(super) fn ask(client: &Client, url: &str, known: Option<&RemoteFile>) -> Result<Self, Fault> {
        let (mut etag, mut size) = (None, None);
        let mut linked = |headers: &HeaderMap| {
            etag = etag.take().or_else(|| header(headers, "x-linked-etag").map(str::to_owned));
            size = size.or_else(|| header(headers, "x-linked-size")?.parse().ok());
            etag.is_some() && size.is_some()
        };
        let response = match client.send(&Method::HEAD, url, None, &mut linked) {
            Err(Fault::Answer(answer)) if matches!(answer.status, 405 | 501) => {
                client.send(&Method::GET, url, Some("bytes=0-0"), &mut linked)?
            }
            response => response?,
        };
        let headers = response.headers();
        linked(headers);
        let length = || header(headers, "content-length")?.parse().ok();
        let size = size.or_else(|| match content_range(headers) {
            Some((_, size)) => size,
            None => length(),
        });
        // The Hub lists checksums; the ETag of a mirror may be any 40 digits and no checksum, or that of several files.
        let linked = etag.as_deref().and_then(|etag| Checksum::parse(bare(etag)));
        let stated = etag.or_else(|| header(headers, "etag").map(str::to_owned)).unwrap_or_default();
        let sha256 = || Checksum::parse(bare(&stated)).filter(|_| bare(&stated).len() == 64);
        let checksum = known.and_then(|known| known.checksum.clone()).or(linked).or_else(sha256);
        let etag = match (&checksum, known) {
            (Some(checksum), _) => Some(checksum.hex().to_owned()),
            (None, Some(known)) => blob_name(&stated).map(|etag| format!("{etag}-{}", short_hash(&known.name))),
            (None, None) => blob_name(&stated),
        };
        let etag = etag.ok_or_else(|| anyhow!("the server states no usable ETag"))?;
        let size =
            size.or(known.map(|file| file.size)).ok_or_else(|| anyhow!("the server does not report its size"))?;
        Ok(Self { etag, size, checksum })
    }
}

fn bare(etag: &str) -> &str {
    etag.trim().trim_start_matches("W/").trim_matches('"')
}

/// The file name for `etag` in the cache.
fn blob_name(etag: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    Some(bare(etag).chars().map(plain).collect::<String>()).filter(|name| is_word(name))
}

/// A repo on the Hub, and a way to read its files.
pub struct Survey {
    /// The requested repo.
    pub repo: RepoId,
    /// The commit of its revision.
    pub commit: String,
    /// The files a model needs.
    pub files: Vec<RemoteFile>,
    /// The .gguf file to open; `None` for a model of safetensors.
    pub gguf: Option<String>,
    client: Client,
}

impl Survey {
    /// Bytes of a file.
    ///
    /// # Errors
    /// If the file is not in [`Survey::files`], is shorter, can't be downloaded, or the range is above 64 MB.
    pub fn read(&self, file: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let size = self.size(file)?;
        let fits = range.start <= range.end && range.end <= size && range.end - range.start <= MOST;
        ensure!(fits, "bytes {range:?} of {file} ({size} bytes) can't be read");
        if range.is_empty() { Ok(Vec::new()) } else { self.get(file, Some(&range)) }
    }

    /// All of a file.
    ///
    /// # Errors
    /// If the file is not in [`Survey::files`], can't be downloaded, or is above 64 MB.
    pub fn read_all(&self, file: &str) -> Result<Vec<u8>> {
        let size = self.size(file)?;
        ensure!(size <= MOST, "{file} is too large to be read whole ({size} bytes)");
        self.get(file, None)
    }

    fn size(&self, file: &str) -> Result<u64> {
        let found = self.files.iter().find(|has| has.name == file);
        found.map(|file| file.size).with_context(|| format!("{file} is not among the files that {} needs", self.repo))
    }

    fn get(&self, file: &str, range: Option<&Range<u64>>) -> Result<Vec<u8>> {
        get(&self.client, &self.repo, &self.commit, file, range)
    }
}

fn get(client: &Client, repo: &RepoId, commit: &str, file: &str, range: Option<&Range<u64>>) -> Result<Vec<u8>> {
    let url = client.file_url(repo, commit, file);
    let bytes = Patience::default().retry(client, &|_| (), || client.read(&url, range, MOST));
    bytes.map_err(|fault| explain(client, repo, Requested::File(file), fault))
}

/// Lists the files that a model of `repo` needs, without downloading its weights.
///
/// # Errors
/// If the Hub can't be reached, refuses, or the repo holds no model; the message says what to do.
pub fn survey(repo: &RepoId, settings: &Settings) -> Result<Survey> {
    ensure!(!settings.offline, "{repo} can't be looked up on the Hub: HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set");
    let client = Client::new(settings)?;
    let listing =
        Listing::ask(&client, repo, &|_| ()).map_err(|fault| explain(&client, repo, Requested::Repo, fault))?;
    let needed = select::needed(repo, &listing.names(), || get(&client, repo, &listing.commit, INDEX, None))?;
    let files: Result<_, Error> = needed.files.iter().map(|name| listing.file(&client, repo, name)).collect();
    Ok(Survey { repo: repo.clone(), commit: listing.commit, files: files?, gguf: needed.gguf, client })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_become_file_names() {
        assert_eq!(blob_name("W/\"5f-abc\"").as_deref(), Some("5f-abc"));
        assert_eq!(blob_name("\"../../x\"").as_deref(), Some(".._.._x"));
        assert_eq!(blob_name("\"..\""), None);
        assert_eq!(blob_name(""), None);
    }
}
