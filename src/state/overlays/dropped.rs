//! Paths as terminals paste them for a dropped file, and as users copy them from a shell.

/// The path that a text names: without quotes, backslashes before blanks, `file://` and its escapes, and line ends. A text
/// that is none of these stays as it is.
pub fn dropped(text: &str) -> String {
    let text = text.trim();
    let path = unquoted(text).unwrap_or_else(|| text.to_owned());
    from_url(&path).unwrap_or(path)
}

/// The first word of a text in quotes or with backslashes, as a shell reads it.
fn unquoted(text: &str) -> Option<String> {
    if !text.contains(['\'', '"', '\\']) {
        return None;
    }
    let is_quoted = text.starts_with(['\'', '"']);
    let (mut word, mut quote) = (String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) => word.push(chars.next()?),
            ('\\', Some('"')) => match chars.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            // The next word of several.
            (' ', None) if is_quoted => break,
            (c, _) => word.push(c),
        }
    }
    quote.is_none().then_some(word)
}

/// The path of a `file://` address on this machine.
fn from_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("file://")?;
    let path = &rest[rest.find('/')?..];
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, more @ ..] = rest {
        let escaped = more.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::dropped;

    #[test]
    fn paths_are_understood_as_terminals_paste_them() {
        for text in [
            "'/tmp/a b/model'",
            "'/tmp/a b/model' ",
            "\"/tmp/a b/model\"",
            "/tmp/a\\ b/model",
            "/tmp/a\\ b/model\n",
            "file:///tmp/a%20b/model",
            "file://localhost/tmp/a%20b/model\r\n",
            "'file:///tmp/a%20b/model'",
            "/tmp/a b/model",
            "'/tmp/a b/model' '/tmp/other'",
        ] {
            assert_eq!(dropped(text), "/tmp/a b/model", "{text:?}");
        }
        for (text, path) in [
            ("'/tmp/it'\\''s'", "/tmp/it's"),
            ("/tmp/it\\'s", "/tmp/it's"),
            ("\"/tmp/\\$a\"", "/tmp/$a"),
            ("file:///tmp/%C3%A9", "/tmp/é"),
            ("/tmp/100%25", "/tmp/100%25"),
            ("/tmp/it's", "/tmp/it's"),
            ("owner/name@main", "owner/name@main"),
            ("~/models", "~/models"),
            ("file:///tmp/100%", "/tmp/100%"),
            ("/tmp/a\\", "/tmp/a\\"),
            ("", ""),
        ] {
            assert_eq!(dropped(text), path, "{text:?}");
        }
    }
}
