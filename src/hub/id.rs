//! Names of repos.

use anyhow::{Context, Result, ensure};
use std::fmt;

/// The revision if none is given.
pub(super) const MAIN: &str = "main";

/// Ends of the names of files: what ends so is a path, and no repo.
const FILES: [&str; 3] = [".gguf", ".safetensors", ".json"];

/// `owner/name[@revision][:file.gguf]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoId {
    /// `owner/name`.
    pub name: String,
    /// Branch, tag or commit; `main` if none was given.
    pub revision: String,
    /// The file to open, if one is named.
    pub file: Option<String>,
}

impl RepoId {
    /// Parses `owner/name[@revision][:file.gguf]`, or the address of a repo or of one of its files on the Hub.
    ///
    /// # Errors
    /// If the Hub does not allow the name, or the file is not a .gguf file of the repo.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = path_of_address(text) {
            return Self::of_address(text, path);
        }
        let (rest, file) = text.split_once(':').map_or((text, None), |(rest, file)| (rest, Some(file)));
        let (name, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
        let revision = &decoded(revision);
        let is_name = name.split('/').count() == 2 && name.len() <= 96 && name.split('/').all(is_part);
        ensure!(is_name, "{text:?} does not name a repo; expected owner/name[@revision][:file.gguf]");
        ensure!(is_revision(revision), "{revision:?} in {text:?} is not a branch, tag or commit");
        if let Some(file) = file {
            let is_gguf = is_inside(file) && file.ends_with(".gguf");
            ensure!(
                is_gguf,
                "{file:?} in {text:?} is not a .gguf file; a repo of safetensors files is named without one"
            );
        }
        Ok(Self { name: name.to_owned(), revision: revision.to_owned(), file: file.map(str::to_owned) })
    }

    /// The repo at a path on the Hub: `owner/name`, and then perhaps `tree/REVISION`, or `blob/REVISION/FILE`.
    fn of_address(text: &str, path: &str) -> Result<Self> {
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let (repo, rest) = match &parts[..] {
            [owner, name, "tree" | "blob" | "resolve", rest @ ..] if !rest.is_empty() => {
                (format!("{owner}/{name}"), rest)
            }
            _ => (path.to_owned(), &[][..]),
        };
        // The revisions of pull requests and conversions have three parts, as `refs/pr/1`.
        let (revision, inside) =
            rest.split_at(if rest.first() == Some(&"refs") { rest.len().min(3) } else { rest.len().min(1) });
        let revision = decoded(&revision.join("/"));
        let at = if revision.is_empty() || revision == MAIN { String::new() } else { format!("@{revision}") };
        let inside = decoded(&inside.join("/"));
        let file = if inside.ends_with(".gguf") { format!(":{inside}") } else { String::new() };
        let id = Self::parse(&format!("{repo}{at}{file}"))
            .with_context(|| format!("{text} is not the address of a model on the Hub"))?;
        // A file at the top, such as config.json, stands for the model.
        let is_folder = inside.contains('/') || parts.get(2) == Some(&"tree") && !inside.is_empty();
        ensure!(
            !is_folder || id.file.is_some(),
            "{text} is the address of a folder inside {id}, and mixscope opens whole repos: give {id}, or a file of it as \
             {id}:FOLDER/FILE.gguf"
        );
        Ok(id)
    }

    /// Whether `text` names a repo, rather than a missing file or directory.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        let is_file = |name: &str| FILES.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        Self::parse(text).is_ok_and(|repo| repo.file.is_some() || Self::is_address(text) || !is_file(&repo.name))
    }

    /// Whether `text` is an address on the Hub, which can't be meant as a path.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        path_of_address(text).is_some()
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        self.file.as_ref().map_or(Ok(()), |file| write!(f, ":{file}"))
    }
}

/// Hosts of the Hub in addresses.
const HOSTS: [&str; 3] = ["huggingface.co/", "www.huggingface.co/", "hf.co/"];

/// The path of an address on the Hub; `None` if `text` is none.
fn path_of_address(text: &str) -> Option<&str> {
    let rest = ["https://", "http://", "hf://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let host = |text: &'_ str| {
        HOSTS
            .iter()
            .find_map(|host| text.get(..host.len()).filter(|start| start.eq_ignore_ascii_case(host)))
            .map(str::len)
    };
    match rest {
        Some(rest) if text.starts_with("hf://") => Some(rest.strip_prefix("models/").unwrap_or(rest)),
        Some(rest) => host(rest).map(|len| &rest[len..]),
        None => host(text).map(|len| &text[len..]),
    }
}

/// A part of an address without `%2F` and the like; as it is if that is not UTF-8.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn is_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c != '.' && c != '-');
    let all = part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    all && edge(part.chars().next()) && edge(part.chars().last()) && !part.contains("..") && !part.contains("--")
}

fn is_revision(text: &str) -> bool {
    let hostile = |c: char| c.is_whitespace() || matches!(c, '~' | '^' | '?' | '*' | '[' | '#' | '%');
    is_inside(text) && !text.contains(hostile) && text.split('/').all(|part| !part.starts_with('.'))
}

/// Whether `text` is 40 hex digits.
#[cfg(feature = "hub")]
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether `name` is a relative path of plain components, which stays inside the folder that it is joined to.
pub(super) fn is_inside(name: &str) -> bool {
    let plain =
        |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\\') && !part.contains(char::is_control);
    name.split('/').all(plain)
}

/// Whether `name` can be the name of a folder.
#[cfg(feature = "hub")]
pub(super) fn is_word(name: &str) -> bool {
    let all = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    all && (1..=128).contains(&name.len()) && name.contains(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_shows() {
        for text in ["a/b", "a/b@refs/pr/1", "a/b:q.gguf", "mistralai/Mixtral-8x7B-v0.1@v1:Q4/m_0.gguf"] {
            assert_eq!(RepoId::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(RepoId::parse("a/b").unwrap().revision, "main");
    }

    #[test]
    fn addresses_are_read() {
        for (address, repo) in [
            ("https://huggingface.co/a/b", "a/b"),
            ("https://huggingface.co/a/b/", "a/b"),
            ("huggingface.co/a/b/tree/main", "a/b"),
            ("https://hf.co/a/b/tree/v1?x=1", "a/b@v1"),
            ("https://huggingface.co/a/b/blob/main/Q4/m.gguf", "a/b:Q4/m.gguf"),
            ("https://huggingface.co/a/b/resolve/v1/m.gguf?download=true", "a/b@v1:m.gguf"),
            ("https://huggingface.co/a/b/blob/main/config.json", "a/b"),
            ("hf://a/b", "a/b"),
            ("https://huggingface.co/a/b/tree/refs%2Fpr%2F1", "a/b@refs/pr/1"),
            ("https://huggingface.co/a/b/tree/refs/pr/1", "a/b@refs/pr/1"),
            ("https://huggingface.co/a/b/blob/refs%2Fpr%2F12/Q4/m%20x.gguf", "a/b@refs/pr/12:Q4/m x.gguf"),
            ("https://huggingface.co/a/b/resolve/refs/convert/gguf/m.gguf", "a/b@refs/convert/gguf:m.gguf"),
            ("https://huggingface.co/a/b/blob/refs/pr/1/config.json", "a/b@refs/pr/1"),
            ("a/b@refs%2fpr%2F1", "a/b@refs/pr/1"),
        ] {
            assert_eq!(RepoId::parse(address).unwrap().to_string(), repo, "{address}");
        }
        for folder in ["tree/main/Q4", "tree/refs/pr/1/Q4/", "blob/main/Q4/config.json", "tree/main/Q4%2Fx"] {
            let error = RepoId::parse(&format!("https://huggingface.co/a/b/{folder}")).unwrap_err().to_string();
            assert!(error.contains("a folder inside a/b") && error.contains("FOLDER/FILE.gguf"), "{folder}: {error}");
        }
        for other in
            ["https://huggingface.co/a/b/tree/%2e%2e/c", "https://huggingface.co/a/b/tree/x%20y", "a/b@x%2F..%2Fy"]
        {
            assert!(RepoId::parse(other).is_err(), "{other}");
        }
        for other in ["https://huggingface.co/a", "https://example.org/a/b", "https://huggingface.co/a/b/tree/../c"] {
            assert!(RepoId::parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn refuses_other_names() {
        let bad =
            ["a", "a/b/c", "./b", "../b", "a/..", "/a", "a/", "~/b", "a b/c", "a/b--c", "a/b@", "a/b@../c", "a/b:c"];
        for text in bad.into_iter().chain(["a/b:../c.gguf", "a/b:/c.gguf", "a/b@x:", "é/b", "a/-b", "a/b@x y"]) {
            assert!(RepoId::parse(text).is_err(), "{text}");
        }
        let paths = ["models/missing.gguf", "models/missing.GGUF", "models/model.safetensors", "models/config.json"];
        for path in paths.into_iter().chain(["./models", "../models", "~/models", "/models", "models/"]) {
            assert!(!RepoId::looks_like(path), "{path}");
        }
        for repo in ["models/missing", "a/b.gguf:q.gguf", "https://huggingface.co/a/b.gguf", "a/b-GGUF", "a/json"] {
            assert!(RepoId::looks_like(repo), "{repo}");
        }
    }
}
