//! A Hub on 127.0.0.1 that can misbehave.

use super::fixture;
use mixscope::hub::Settings;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub const NAME: &str = "tiny/mixtral";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
    /// Earlier requests of the same method and path.
    pub nth: usize,
}

impl Request {
    /// If it is for the content of a file whose path ends so.
    pub fn gets(&self, file: &str) -> bool {
        self.method == "GET" && self.path.contains("/resolve/") && self.path.ends_with(file)
    }

    pub fn is_listing(&self) -> bool {
        self.path.starts_with("/api/")
    }
}

/// What the server does with a request.
pub enum Act {
    /// The right thing.
    Serve,
    /// Closes after so many bytes of the body.
    Cut(usize),
    /// Sends nothing after so many bytes of the body.
    Stall(usize),
    /// Sends the body in ten parts with pauses.
    Slow,
    /// Sends the body so many bytes at a time, twenty times a second.
    Drip(usize),
    /// Sends everything although a part was requested, and closes after so many bytes.
    Whole(usize),
    /// Sends wrong bytes.
    Corrupt,
    /// Answers so, with these further headers and this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Sends large files to another host, as the Hub does.
    Redirect(String),
}

type Rule = dyn Fn(&Request) -> Act + Send + Sync;

/// What the repo holds, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

pub struct Hub {
    pub url: String,
    pub files: Arc<Files>,
    log: Arc<Mutex<Vec<Request>>>,
    closed: Arc<AtomicBool>,
}

impl Hub {
    pub fn start(files: Files) -> Self {
        Self::with(files, |_| Act::Serve)
    }

    pub fn with(files: Files, rule: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        let listing = listing(&files, true);
        Self::with_listing(files, &listing, rule)
    }

    /// A Hub that says of the repo what `listing` says.
    pub fn with_listing(
        files: Files,
        listing: &serde_json::Value,
        rule: impl Fn(&Request) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (files, log, closed) = (Arc::new(files), Arc::default(), Arc::new(AtomicBool::new(false)));
        let hub = Self { url, files: Arc::clone(&files), log: Arc::clone(&log), closed: Arc::clone(&closed) };
        let (rule, listing): (Arc<Rule>, _) = (Arc::new(rule), Arc::new(listing.to_string().into_bytes()));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let connection = Connection {
                    files: Arc::clone(&files),
                    log: Arc::clone(&log),
                    closed: Arc::clone(&closed),
                    rule: Arc::clone(&rule),
                    listing: Arc::clone(&listing),
                };
                // A client that goes away is no failure of the server.
                thread::spawn(move || stream.and_then(|stream| connection.serve(stream)));
            }
        });
        hub
    }

    /// Settings that use it, with a cache in this folder.
    pub fn settings(&self, cache: &std::path::Path) -> Settings {
        let stall = Duration::from_secs(30);
        Settings { endpoint: self.url.clone(), token: None, cache: cache.to_owned(), offline: false, stall, retries: 5 }
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.log.lock().unwrap().clear();
    }

    /// The ranges of the requests for the content of a file.
    pub fn ranges(&self, file: &str) -> Vec<Option<String>> {
        self.log().into_iter().filter(|request| request.gets(file)).map(|request| request.range).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

struct Connection {
    files: Arc<Files>,
    log: Arc<Mutex<Vec<Request>>>,
    closed: Arc<AtomicBool>,
    rule: Arc<Rule>,
    listing: Arc<Vec<u8>>,
}

impl Connection {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = self.read(&stream)? else { return Ok(()) };
        let act = (self.rule)(&request);
        if let Act::Status(status, headers, body) = &act {
            return self.answer(stream, &request, *status, headers, body.as_bytes(), &Act::Serve);
        }
        if request.is_listing() {
            return self.answer(stream, &request, 200, &[], &self.listing, &act);
        }
        let name =
            request.path.split_once("/resolve/").and_then(|(_, rest)| rest.split_once('/')).map(|(_, name)| name);
        let Some((name, bytes)) = name.and_then(|name| self.files.get_key_value(name)) else {
            return self.answer(stream, &request, 404, &[("X-Error-Code", "EntryNotFound".to_owned())], b"", &act);
        };
        let mut headers = vec![("ETag", format!("\"{}\"", etag(name, bytes))), ("X-Repo-Commit", COMMIT.to_owned())];
        if let Act::Redirect(host) = &act {
            headers[0] = ("ETag", "\"of-the-redirect\"".to_owned());
            headers.push(("X-Linked-Etag", format!("\"{}\"", etag(name, bytes))));
            headers.push(("X-Linked-Size", bytes.len().to_string()));
            headers.push(("Location", format!("{host}{}", request.path)));
            return self.answer(stream, &request, 302, &headers, b"Found. Redirecting", &act);
        }
        let start = request.range.as_ref().filter(|_| !matches!(act, Act::Whole(_)));
        let start = start.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((start, end)) = start else { return self.answer(stream, &request, 200, &headers, bytes, &act) };
        let start: usize = start.parse().unwrap();
        let end = end.parse::<usize>().map_or(bytes.len(), |last| last + 1).min(bytes.len());
        if start >= end {
            return self.answer(stream, &request, 416, &[], b"", &act);
        }
        headers.push(("Content-Range", format!("bytes {start}-{}/{}", end - 1, bytes.len())));
        self.answer(stream, &request, 206, &headers, &bytes[start..end], &act)
    }

    fn read(&self, stream: &TcpStream) -> std::io::Result<Option<Request>> {
        let mut lines = BufReader::new(stream).lines();
        let Some(first) = lines.next().transpose()? else { return Ok(None) };
        let mut words = first.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Request { method, path, range: None, token: None, nth: 0 };
        for line in lines {
            let line = line?;
            match line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())) {
                Some((name, value)) if name == "range" => request.range = Some(value),
                Some((name, value)) if name == "authorization" => request.token = Some(value),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut log = self.log.lock().unwrap();
        request.nth =
            log.iter().filter(|other| (&other.method, &other.path) == (&request.method, &request.path)).count();
        log.push(request.clone());
        Ok(Some(request))
    }

    fn answer(
        &self,
        mut stream: TcpStream,
        request: &Request,
        status: u16,
        headers: &[(&str, String)],
        body: &[u8],
        act: &Act,
    ) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        match act {
            Act::Cut(count) | Act::Whole(count) => stream.write_all(&body[..body.len().min(*count)])?,
            Act::Stall(count) => {
                stream.write_all(&body[..body.len().min(*count)])?;
                while !self.closed.load(Ordering::SeqCst) && !is_gone(&mut stream) {}
            }
            Act::Slow => {
                for part in body.chunks(body.len().div_ceil(10).max(1)) {
                    stream.write_all(part)?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Act::Drip(count) => {
                for part in body.chunks(*count) {
                    stream.write_all(part)?;
                    thread::sleep(Duration::from_millis(50));
                }
            }
            Act::Corrupt => stream.write_all(&body.iter().map(|byte| !byte).collect::<Vec<_>>())?,
            _ => stream.write_all(body)?,
        }
        stream.flush()
    }
}

/// If the client hung up; waits a little for that.
fn is_gone(stream: &mut TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    matches!(stream.read(&mut [0]), Ok(0))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_large(name: &str) -> bool {
    !name.ends_with(".json")
}

/// What the Hub has for an ETag.
pub fn etag(name: &str, bytes: &[u8]) -> String {
    if is_large(name) {
        return hex(&Sha256::digest(bytes));
    }
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// What the Hub says of a repo of `files`.
pub fn listing(files: &Files, sizes: bool) -> serde_json::Value {
    let sibling = |(name, bytes): (&String, &Vec<u8>)| match (sizes, is_large(name)) {
        (false, _) => serde_json::json!({ "rfilename": name }),
        (true, false) => {
            serde_json::json!({ "rfilename": name, "size": bytes.len(), "blobId": etag(name, bytes) })
        }
        (true, true) => {
            let lfs = serde_json::json!({ "sha256": etag(name, bytes), "size": bytes.len(), "pointerSize": 130 });
            serde_json::json!({ "rfilename": name, "size": bytes.len(), "blobId": "0".repeat(40), "lfs": lfs })
        }
    };
    serde_json::json!({ "id": NAME, "sha": COMMIT, "siblings": files.iter().map(sibling).collect::<Vec<_>>() })
}

/// Bytes that differ by `seed` and position.
pub fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ seed).collect()
}

/// A repo with a sharded model, and files that no model needs.
pub fn sharded() -> Files {
    let index = serde_json::json!({ "weight_map": { "a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[0] } });
    let files = [
        ("config.json", br#"{"model_type": "mixtral"}"#.to_vec()),
        ("tokenizer.json", bytes(1, 900)),
        ("chat_template.jinja", b"{{ messages }}".to_vec()),
        ("model.safetensors.index.json", index.to_string().into_bytes()),
        (SHARDS[0], bytes(2, 200_000)),
        (SHARDS[1], bytes(3, 150_001)),
        ("README.md", b"readme".to_vec()),
        ("consolidated.00.pt", bytes(4, 5000)),
        ("other.safetensors", bytes(5, 5000)),
    ];
    files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

/// The largest files of [`small_model`].
pub const SMALL_SHARD: &str = "model-00001-of-00003.safetensors";

/// The files of a model with three shards that can be opened.
pub fn small_model() -> Files {
    let entries = std::fs::read_dir(fixture("gqa-headdim/model")).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

/// A Hub with [`small_model`] that sends the shards so slowly that no test sees their end, when they are first
/// requested.
pub fn slow() -> Hub {
    let is_slow = |request: &Request| request.gets(".safetensors") && request.nth == 0;
    Hub::with(small_model(), move |request| if is_slow(request) { Act::Drip(1000) } else { Act::Serve })
}

/// A repo of these files.
pub fn repo_of(files: &[(&str, &[u8])]) -> Files {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}
