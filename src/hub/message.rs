//! The error messages of a Hub that refuses or can't be reached.

use super::client::Client;
use super::fault::{Answer, Fault};
use super::http::status_text;
use super::id::{MAIN, RepoId};
use crate::control::Stopped;
use anyhow::{Error, anyhow};

/// What was requested.
#[derive(Clone, Copy)]
pub(super) enum Requested<'a> {
    /// The list of the repo's files.
    Repo,
    /// A file of the repo.
    File(&'a str),
}

/// The error to show for `fault`.
pub(super) fn explain(client: &Client, repo: &RepoId, requested: Requested, fault: Fault) -> Error {
    let endpoint = &client.endpoint;
    let cached = "files already in the cache can be opened with HF_HUB_OFFLINE=1";
    match fault {
        Fault::Fatal(error) => match requested {
            _ if error.is::<Stopped>() => error,
            Requested::File(file) => error.context(format!("cannot get {file} of {repo}")),
            Requested::Repo => error.context(format!("cannot list the files of {repo} at {endpoint}")),
        },
        Fault::Unreachable(what) => {
            anyhow!("cannot reach {endpoint}: {what}; check the connection, HF_ENDPOINT and the proxy; {cached}")
        }
        Fault::Passing(what, _) => {
            anyhow!("{endpoint} does not serve {repo}: {what}; gave up after {} more tries; {cached}", client.retries)
        }
        Fault::Answer(answer) => anyhow!(refusal(client, repo, requested, &answer)),
    }
}

fn refusal(client: &Client, repo: &RepoId, requested: Requested, answer: &Answer) -> String {
    let (endpoint, name, revision) = (&client.endpoint, &repo.name, &repo.revision);
    let sent = client.token.is_some();
    let bad_token = answer.text.to_ascii_lowercase().contains("invalid credentials");
    match (answer.status, answer.code.as_str(), requested) {
        (401 | 403, "GatedRepo", _) if sent => format!(
            "{name} is gated, and the token that was sent has no access: accept its conditions at {endpoint}/{name} \
             with the token's account; a fine-grained token must also allow to read gated repos"
        ),
        (401 | 403, "GatedRepo", _) => format!(
            "{name} is gated: accept its conditions at {endpoint}/{name}, then set HF_TOKEN to a token of your account"
        ),
        (401 | 403, ..) if sent && bad_token => format!(
            "{endpoint} does not accept the token (HF_TOKEN or its file): take a new one from \
             {endpoint}/settings/tokens, or unset it"
        ),
        (401, ..) | (404, "RepoNotFound", _) if sent => {
            format!("{name} is not found, or private and not for the token that was sent: check the name and HF_TOKEN")
        }
        (401, ..) => format!(
            "{name} is not found, or private: check the name, or set HF_TOKEN to a token of an account that may read it"
        ),
        (404, "RevisionNotFound", _) => format!("{name} has no revision {revision}: check the branch, tag or commit"),
        (404, "EntryNotFound", Requested::File(file)) | (404, "", Requested::File(file)) => {
            format!("{name} has no file {file} at revision {revision}")
        }
        (404, "", Requested::Repo) if revision != MAIN => {
            format!("{name} is not found, or has no revision {revision}: check both")
        }
        (404, "RepoNotFound" | "", _) => format!("{name} is not found at {endpoint}: check the name"),
        (code, ..) => {
            let what = match requested {
                Requested::Repo => repo.to_string(),
                Requested::File(file) => format!("{file} of {repo}"),
            };
            format!("{endpoint} refuses {what}: {}", status_text(code, &answer.text))
        }
    }
}
