//! Requests: redirects, the token, stalls, and which failures may be retried.

use super::fault::{Answer, Fault};
use super::http::{content_range, escape, header, redirect, same_host, shorten, status_text};
use super::id::RepoId;
use super::pace::Paced;
use super::settings::Settings;
use crate::control::Stopped;
use anyhow::{Context, Error, Result, anyhow, ensure};
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Method, Request, Response, Uri};
use ureq::{Agent, Body};

/// Longest time to wait for a connection to a host.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest wait before a retry that a server may request.
const RETRY_AFTER: u64 = 60;
const REDIRECTS: usize = 10;

/// The connections to the Hub.
pub(super) struct Client {
    agent: Agent,
    home: Uri,
    stopped: AtomicBool,
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
    pub(super) stall: Duration,
    pub(super) retries: u32,
}

impl Client {
    /// # Errors
    /// If the endpoint is not an address.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let connect = settings.stall.min(CONNECT);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .accept_encoding("identity")
            .user_agent(concat!("mixscope/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(settings.stall))
            .timeout_per_read(Some(settings.stall))
            .timeout_per_write(Some(settings.stall));
        Ok(Self {
            agent: config.build().new_agent(),
            home: settings.endpoint.parse()?,
            stopped: AtomicBool::new(false),
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            stall: settings.stall,
            retries: settings.retries,
        })
    }

    /// Ends all requests and waits, current and future ones.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.agent.clone().shutdown();
    }

    /// # Errors
    /// [`Stopped`] after [`Client::stop`].
    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.stopped.load(Ordering::SeqCst), Stopped);
        Ok(())
    }

    /// Waits for `time`.
    ///
    /// # Errors
    /// As [`Client::check`].
    pub(super) fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.check()?;
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        self.check()
    }

    /// The address of the list of files of `repo`.
    pub(super) fn info_url(&self, repo: &RepoId) -> String {
        format!("{}/api/models/{}/revision/{}?blobs=true", self.endpoint, repo.name, escape(&repo.revision, ""))
    }

    /// The address of a file.
    pub(super) fn file_url(&self, repo: &RepoId, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{}", self.endpoint, repo.name, escape(file, "/"))
    }

    /// Gets `url`, or the bytes in `range`. The status is 200 or 206.
    pub(super) fn get(&self, url: &str, range: Option<&str>) -> Result<Response<Body>, Fault> {
        self.send(&Method::GET, url, range, &mut |_| false)
    }

    /// Sends a request and follows redirects until `enough` holds for the headers of a redirect. Only the endpoint gets the
    /// token.
    pub(super) fn send(
        &self,
        method: &Method,
        url: &str,
        range: Option<&str>,
        enough: &mut dyn FnMut(&HeaderMap) -> bool,
    ) -> Result<Response<Body>, Fault> {
        let mut uri: Uri = url.parse().map_err(Error::from)?;
        for _ in 0..=REDIRECTS {
            let response = self.send_once(method, &uri, range)?;
            let location = header(response.headers(), "location").filter(|_| response.status().is_redirection());
            match location {
                Some(location) if !enough(response.headers()) => {
                    uri = redirect(&uri, location).with_context(|| {
                        format!("the server redirects to {:?}, which can't be followed", shorten(location))
                    })?;
                }
                Some(_) => return Ok(response),
                None => return self.judge(response),
            }
        }
        let last = shorten(&format!("{}{}", uri.host().unwrap_or_default(), uri.path()));
        Err(anyhow!(
            "the server redirects more than {REDIRECTS} times, at last to {last}; check HF_ENDPOINT and the proxy"
        )
        .into())
    }

    fn send_once(&self, method: &Method, uri: &Uri, range: Option<&str>) -> Result<Response<Body>, Fault> {
        self.check()?;
        let at_home = same_host(uri, &self.home);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        if let Some(token) = self.token.as_ref().filter(|_| at_home) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(Error::from)?;
        self.agent.run(request).map_err(|error| match Fault::of(error, self.stall) {
            Fault::Unreachable(what) if !at_home => {
                Fault::Unreachable(format!("{}: {what}", uri.host().unwrap_or_default()))
            }
            fault => fault,
        })
    }

    fn judge(&self, response: Response<Body>) -> Result<Response<Body>, Fault> {
        let status = response.status().as_u16();
        if matches!(status, 200 | 206) {
            let coding = header(response.headers(), "content-encoding").unwrap_or("identity");
            if coding.eq_ignore_ascii_case("identity") {
                return Ok(response);
            }
            // These bytes are not those of the file.
            return Err(anyhow!(
                "the server sends it compressed (content-encoding: {}), which was not requested; check HF_ENDPOINT and \
                 the proxy",
                shorten(coding)
            )
            .into());
        }
        let wait = header(response.headers(), "retry-after").and_then(|wait| wait.parse::<u64>().ok());
        let wait = wait.map(|wait| Duration::from_secs(wait.min(RETRY_AFTER)));
        let [code, said] =
            ["x-error-code", "x-error-message"].map(|name| header(response.headers(), name).unwrap_or(""));
        let (code, mut text) = (shorten(code), said.to_owned());
        if text.is_empty() {
            let mut body = Vec::new();
            // If the response's body can't be read, the message lacks its text.
            let _ = response.into_body().into_reader().take(1000).read_to_end(&mut body);
            text = String::from_utf8_lossy(&body).into_owned();
        }
        let text = shorten(&text);
        Err(match status {
            408 | 429 | 500 | 502..=599 => Fault::Passing(status_text(status, &text), wait),
            _ => Fault::Answer(Answer { status, code, text }),
        })
    }

    /// Bytes of a file, or all of it. If the server ignores the range, at most `most` bytes are read.
    pub(super) fn read(&self, url: &str, range: Option<&Range<u64>>, most: u64) -> Result<Vec<u8>, Fault> {
        let asked = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let response = self.get(url, asked.as_deref())?;
        let partial = response.status() == 206;
        if partial && content_range(response.headers()).map(|(start, _)| start) != range.map(|range| range.start) {
            return Err(Fault::passing("server sent another part than was requested"));
        }
        let (skip, end) = range.filter(|_| !partial).map_or((0, most), |range| (range.start, range.end));
        if end > most {
            return Err(anyhow!("the server can't send a part of a file").into());
        }
        let wanted = range.map(|range| range.end - range.start);
        let mut bytes = Vec::new();
        let reader = Paced::new(response.into_body().into_reader(), self.stall);
        let mut reader = reader.take(wanted.map_or(most + 1, |wanted| skip + wanted));
        reader.read_to_end(&mut bytes).map_err(|error| Fault::of_read(error, self.stall))?;
        if bytes.len() as u64 > most {
            return Err(anyhow!("the answer is longer than {} MiB; check HF_ENDPOINT", most >> 20).into());
        }
        bytes.drain(..bytes.len().min(skip as usize));
        match wanted {
            Some(wanted) if bytes.len() as u64 != wanted => Err(Fault::passing("connection cut")),
            _ => Ok(bytes),
        }
    }
}
