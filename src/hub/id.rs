//! Names of repos.

use anyhow::{Context, Result, ensure};
use std::fmt;

/// The revision if none is given.
pub(super) const MAIN: &str = "main";

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
        let parts: Vec<&str> = path.splitn(5, '/').collect();
        let (repo, revision, file) = match parts[..] {
            [owner, name] => (format!("{owner}/{name}"), MAIN, None),
            [owner, name, "tree" | "blob" | "resolve", revision] => (format!("{owner}/{name}"), revision, None),
            [owner, name, "tree" | "blob" | "resolve", revision, file] => {
                (format!("{owner}/{name}"), revision, Some(file).filter(|file| file.ends_with(".gguf")))
            }
            _ => (path.to_owned(), MAIN, None),
        };
        let at = if revision == MAIN { String::new() } else { format!("@{revision}") };
        let file = file.map(|file| format!(":{file}")).unwrap_or_default();
        Self::parse(&format!("{repo}{at}{file}"))
            .with_context(|| format!("{text} is not the address of a model on the Hub"))
    }

    /// Whether `text` names a repo, rather than a missing file or directory.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        Self::parse(text).is_ok_and(|repo| repo.file.is_some() || !repo.name.ends_with(".gguf"))
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
        ] {
            assert_eq!(RepoId::parse(address).unwrap().to_string(), repo, "{address}");
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
        assert!(!RepoId::looks_like("models/missing.gguf"));
    }
}
