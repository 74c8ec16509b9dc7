//! Addresses, headers and texts of HTTP.

use std::fmt::Write as _;
use ureq::http::{HeaderMap, Uri};

/// The most characters of a server's text in a message.
const MOST: usize = 200;

/// The value of a header, if it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The first byte and the size of the whole from `bytes 5-9/10`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, size) = header(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()))
}

/// Whether both addresses are of one server.
pub(super) fn same_host(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && a.authority() == b.authority()
}

/// The target of the redirect `location` of a request to `from`; `None` from an encrypted address to a plain one.
pub(super) fn redirect(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let host = from.authority()?.as_str();
    let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    let text = match location {
        path if path.starts_with("//") => format!("{scheme}:{path}"),
        path if path.starts_with('/') => format!("{scheme}://{host}{path}"),
        path if path.split('?').next()?.contains("://") => path.to_owned(),
        path => format!("{scheme}://{host}{folder}/{path}"),
    };
    let safe = |to: &Uri| to.scheme_str() == Some("https") || to.scheme_str() == Some(scheme);
    text.parse().ok().filter(safe)
}

/// Percent-encodes all but plain characters and those of `keep`.
pub(super) fn escape(text: &str, keep: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) {
            escaped.push(c);
        } else {
            // Writing to a String can't fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A server's text as one short line.
pub(super) fn shorten(text: &str) -> String {
    let words = text.replace(char::is_control, " ");
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST).collect()
}

/// A status and the server's message.
pub(super) fn status_text(status: u16, text: &str) -> String {
    let said = if text.is_empty() { String::new() } else { format!(": {text}") };
    format!("server answered with status {status}{said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_resolve() {
        let from: Uri = "https://hub/a/b?x=1".parse().unwrap();
        let to = |location| redirect(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/c?u=http://x").unwrap(), "https://hub/c?u=http://x");
        assert_eq!(to("c").unwrap(), "https://hub/a/c");
        assert_eq!(to("//cdn/c").unwrap(), "https://cdn/c");
        assert_eq!(to("https://cdn/c").unwrap(), "https://cdn/c");
        assert_eq!(to("http://cdn/c"), None);
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("x y/ü%.json", "/"), "x%20y/%C3%BC%25.json");
        assert_eq!(escape("refs/pr/1", ""), "refs%2Fpr%2F1");
    }
}
