//! What stands where a file should be: a pointer to it, a web page, an error message, an archive.

use std::fmt;

/// Something other than the file that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    what: String,
    advice: &'static str,
}

impl fmt::Display for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

/// First bytes of files in other formats, what they are, and what to do with them.
const MAGICS: [(&[u8], &str, &str); 15] = [
    (b"version https://git-lfs.github.com/spec/", "it is a Git LFS pointer, not the file itself", LFS),
    (b"version https://hawser.github.com/spec/", "it is a Git LFS pointer, not the file itself", LFS),
    (b"PK\x03\x04", "it is a zip archive (PyTorch's .bin and .pt files are)", SAVE),
    (b"\x80\x02", "it is a Python pickle (PyTorch's old .bin files are)", SAVE),
    (b"\x80\x03", "it is a Python pickle", SAVE),
    (b"\x80\x04", "it is a Python pickle", SAVE),
    (b"\x1f\x8b", "it is compressed by gzip", UNPACK),
    (b"BZh", "it is compressed by bzip2", UNPACK),
    (b"\xfd7zXZ\0", "it is compressed by xz", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd", UNPACK),
    (b"GGUF", "it is a GGUF file", "give it by its own name, ending in .gguf"),
    (b"lmgg", OLD, CONVERT),
    (b"fmgg", OLD, CONVERT),
    (b"tjgg", OLD, CONVERT),
];
const LFS: &str = "run `git lfs pull` in its folder, or download the file itself";
const SAVE: &str = "save the model as safetensors (in transformers: model.save_pretrained)";
const UNPACK: &str = "unpack it first";
const OLD: &str = "it is a file of llama.cpp from before GGUF";
const CONVERT: &str = "convert the model again, or download a GGUF file";
const PAGE: &str = "the page about the file was saved: download the file itself";
const ANSWER: &str =
    "a server's message was saved: look whether the address is right and needs a login, then download it again";
/// Longer texts are not shown whole, and are no messages.
const MESSAGE: usize = 2000;

/// What the file that starts with `bytes` is, if that is known not to be weights or JSON.
pub fn stand_in(bytes: &[u8]) -> Option<StandIn> {
    let found = |what: String, advice| Some(StandIn { what, advice });
    if bytes.is_empty() {
        return found("it is empty".to_owned(), "download it again");
    }
    if let Some((_, what, advice)) = MAGICS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return found((*what).to_owned(), advice);
    }
    if bytes.iter().take(1 << 16).all(|byte| *byte == 0) && bytes.len() >= 16 {
        return found("it begins with nothing but zeros".to_owned(), "its download was cut off: download it again");
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(MESSAGE)]);
    let start = start.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let lower = start.to_ascii_lowercase();
    if ["<!doctype html", "<html", "<head", "<!--", "<body"].iter().any(|tag| lower.starts_with(tag)) {
        return found("it is a web page (HTML), not the file itself".to_owned(), PAGE);
    }
    if lower.starts_with("<?xml") || lower.starts_with("<error") {
        return found(
            format!("it is an XML message, not the file itself{}", within(start, "<Message>", "</Message>")),
            ANSWER,
        );
    }
    if lower.starts_with("{\"error\"") || lower.starts_with("{\"message\"") {
        return found(format!("it is a message, not the file itself: {}", one_line(start)), ANSWER);
    }
    None
}

/// The same for a file that is not text: a short text is a message, and JSON is another file.
pub fn stand_in_of_binary(bytes: &[u8]) -> Option<StandIn> {
    stand_in(bytes).or_else(|| {
        let text = std::str::from_utf8(bytes.get(..bytes.len().min(MESSAGE))?).ok()?;
        let is_text = !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        if !is_text || bytes.len() > MESSAGE && !text.starts_with('{') {
            return None;
        }
        let (what, advice) = match text.trim_start().starts_with(['{', '[']) {
            true => ("it is a JSON file".to_owned(), "give the weights themselves"),
            false => (format!("it is a text: {}", one_line(text)), ANSWER),
        };
        Some(StandIn { what, advice })
    })
}

/// `: …` with what stands between two marks; empty if they are not there.
fn within(text: &str, from: &str, to: &str) -> String {
    let inner = text.split_once(from).and_then(|(_, rest)| rest.split_once(to));
    inner.map(|(inner, _)| format!(": {}", one_line(inner))).unwrap_or_default()
}

/// The start of a text, in quotation marks.
fn one_line(text: &str) -> String {
    let line: String = text.trim().lines().next().unwrap_or_default().chars().take(100).collect();
    format!("{line:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_told_from_files() {
        for (bytes, said) in [
            (&b""[..], "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
            (b"\n <!DOCTYPE html>\n<html>", "web page"),
            (
                b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
                "Access Denied",
            ),
            (b"{\"error\":\"Repository not found\"}", "Repository not found"),
            (b"PK\x03\x04abc", "zip archive"),
            (b"\x80\x02}q\x00", "pickle"),
            (b"GGUF\x03\0\0\0", "GGUF file"),
            (b"tjgg\x01\0\0\0", "before GGUF"),
            (&[0; 64], "zeros"),
        ] {
            let found = stand_in(bytes).map(|found| found.to_string()).unwrap_or_default();
            assert!(found.contains(said), "{bytes:?}: {found}");
        }
        for text in ["Entry not found", "Invalid username or password.\n", "404: Not Found"] {
            assert_eq!(stand_in(text.as_bytes()), None, "JSON files say themselves that they are not JSON");
            assert!(stand_in_of_binary(text.as_bytes()).unwrap().to_string().contains(text.trim()));
        }
        assert!(stand_in_of_binary(b"{\"model_type\": \"mixtral\"}").unwrap().to_string().contains("JSON"));
        let header = b"{\"__metadata__\":{}}".to_vec();
        let weights = [&(header.len() as u64).to_le_bytes()[..], &header, &[1, 200, 3]].concat();
        assert_eq!((stand_in(&weights), stand_in_of_binary(&weights)), (None, None));
    }
}
