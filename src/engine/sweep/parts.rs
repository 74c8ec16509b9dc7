//! Texts in parts that fit into memory.

use super::corpus::{Corpus, Form, GroupBy, Source};
use super::utf8::{self, MARK};
use crate::analysis::sweep::CorpusAbout;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// A longer text is read in parts of at most this many bytes, cut after a line end where there is one.
const PART: usize = 1 << 17;
/// The group of a JSON line without the field that names it.
const NO_GROUP: &str = "(none)";

/// A part of a text.
pub struct Part {
    /// Its number in the corpus, from 0.
    pub number: u64,
    /// Whether it is the first of its text.
    pub is_first: bool,
    /// The group of its text.
    pub group: String,
    /// The text.
    pub text: String,
}

/// Reads the parts of a corpus, in order.
pub struct Parts<'c> {
    corpus: &'c Corpus,
    /// Sources that were opened.
    opened: usize,
    source: Option<Open<'c>>,
    ready: VecDeque<Part>,
    about: CorpusAbout,
    hash: Sha256,
    read: u64,
}

/// A file that is being read.
struct Open<'c> {
    about: &'c Source,
    reader: Box<dyn BufRead + Send>,
    /// Bytes that were taken from it.
    offset: u64,
    line: u64,
    /// Whether the next part begins a text.
    is_first: bool,
    /// Bytes of a whole text that are not yet in a part.
    rest: Vec<u8>,
}

impl<'c> Parts<'c> {
    /// The parts of a corpus.
    pub fn new(corpus: &'c Corpus) -> Self {
        let (about, hash) = (CorpusAbout::default(), Sha256::new());
        Self { corpus, opened: 0, source: None, ready: VecDeque::new(), about, hash, read: 0 }
    }

    /// Bytes of files that were read.
    pub fn bytes(&self) -> u64 {
        self.read
    }

    /// The hash of the parts so far, in hexadecimal.
    pub fn hash(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What was read so far.
    pub fn about(&self) -> CorpusAbout {
        CorpusAbout { hash: self.hash(), ..self.about.clone() }
    }

    /// The next part; `None` at the end of the corpus.
    ///
    /// # Errors
    /// If a file can't be read or is not UTF-8, or a line is no JSON object with a text.
    pub fn next(&mut self) -> Result<Option<Part>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                self.note(&part);
                return Ok(Some(part));
            }
            let Some(mut source) = self.source.take().map_or_else(|| self.open(), |open| Ok(Some(open)))? else {
                return Ok(None);
            };
            let before = source.offset;
            let name = source.about.name.clone();
            let is_open = match source.about.form {
                Form::Whole => self.whole(&mut source),
                Form::Lines | Form::Json => self.line(&mut source),
            };
            let is_open = is_open.with_context(|| name)?;
            self.read += source.offset - before;
            self.source = is_open.then_some(source);
        }
    }

    /// Opens the next source.
    fn open(&mut self) -> Result<Option<Open<'c>>> {
        let Some(about) = self.corpus.sources.get(self.opened) else { return Ok(None) };
        self.opened += 1;
        let mut reader: Box<dyn BufRead + Send> = match &about.path {
            None => Box::new(BufReader::new(std::io::stdin())),
            Some(path) => {
                let file = File::open(path).with_context(|| format!("cannot read {}", about.name))?;
                Box::new(BufReader::with_capacity(1 << 16, file))
            }
        };
        let start = reader.fill_buf().with_context(|| format!("cannot read {}", about.name))?;
        utf8::check_start(start).with_context(|| about.name.clone())?;
        let marked = if start.starts_with(MARK) { MARK.len() } else { 0 };
        reader.consume(marked);
        let offset = marked as u64;
        self.read += offset;
        Ok(Some(Open { about, reader, offset, line: 0, is_first: true, rest: Vec::new() }))
    }

    /// Counts a part, and takes it into the hash. 0xff occurs in no text.
    fn note(&mut self, part: &Part) {
        self.about.texts += u64::from(part.is_first);
        self.about.parts += 1;
        self.about.bytes += part.text.len() as u64;
        for bytes in [part.group.as_bytes(), &[u8::from(part.is_first)], part.text.as_bytes()] {
            self.hash.update(bytes);
            self.hash.update([0xff]);
        }
    }

    fn push(&mut self, group: &str, is_first: bool, text: String) {
        let number = self.about.parts + self.ready.len() as u64;
        self.ready.push_back(Part { number, is_first, group: group.to_owned(), text });
    }

    /// The next part of a file that is one text; false at its end.
    fn whole(&mut self, source: &mut Open) -> Result<bool> {
        let wanted = PART.saturating_sub(source.rest.len());
        source.reader.by_ref().take(wanted as u64).read_to_end(&mut source.rest).context("cannot read it")?;
        let is_open = source.rest.len() == PART;
        let end = if is_open { cut(&source.rest) } else { source.rest.len() };
        let bytes: Vec<u8> = source.rest.drain(..end).collect();
        let text = utf8::text(bytes, source.offset)?;
        source.offset += end as u64;
        let is_whole = source.is_first && !is_open;
        if !(text.is_empty() || is_whole && text.trim().is_empty()) {
            self.push(&source.about.group, source.is_first, text);
            source.is_first = false;
        }
        Ok(is_open)
    }

    /// The text of the next line, in parts; false at the end of the file.
    fn line(&mut self, source: &mut Open) -> Result<bool> {
        let mut bytes = Vec::new();
        let read = source.reader.read_until(b'\n', &mut bytes).context("cannot read it")?;
        if read == 0 {
            return Ok(false);
        }
        source.line += 1;
        let at = || format!("line {}", source.line);
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        let line = utf8::text(bytes, source.offset).with_context(at)?;
        source.offset += read as u64;
        if line.trim().is_empty() {
            return Ok(true);
        }
        let (group, text) = match source.about.form {
            Form::Json => self.json(&line, &source.about.group).with_context(at)?,
            _ => (source.about.group.clone(), line),
        };
        let (mut rest, mut is_first) = (text.as_str(), true);
        while !text.trim().is_empty() && !rest.is_empty() {
            let end = if rest.len() > PART { cut(&rest.as_bytes()[..PART]) } else { rest.len() };
            let (part, after) = rest.split_at(end);
            self.push(&group, is_first, part.to_owned());
            (rest, is_first) = (after, false);
        }
        Ok(true)
    }

    /// Group and text of a JSON line.
    fn json(&self, line: &str, group: &str) -> Result<(String, String)> {
        let options = &self.corpus.options;
        let value: Value = serde_json::from_str(line).map_err(|error| anyhow!("expected a JSON object: {error}"))?;
        let Value::Object(fields) = &value else { bail!("expected a JSON object, found {}", kind(&value)) };
        let field = &options.text_field;
        let text = match at(&value, field) {
            Some(Value::String(text)) => text.clone(),
            other => {
                let found = other.map_or_else(|| "no such field".to_owned(), |other| kind(other).to_owned());
                let names: Vec<&str> = fields.keys().map(String::as_str).collect();
                bail!(
                    "expected a text in the field `{field}`, found {found}; --text-field names another of {}",
                    names.join(", ")
                )
            }
        };
        let group = match &options.group_by {
            GroupBy::Field(field) => match at(&value, field) {
                None | Some(Value::Null) => NO_GROUP.to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(other @ (Value::Number(_) | Value::Bool(_))) => other.to_string(),
                Some(other) => bail!("--group-by {field}: expected a text or a number, found {}", kind(other)),
            },
            _ => group.to_owned(),
        };
        Ok((group, text))
    }
}

/// The value at a path of field names joined by dots; a field whose name has dots comes first.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    value.get(path).or_else(|| path.split('.').try_fold(value, |value, name| value.get(name)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Where a long text is cut: after its last line end, before its last space, or at least between two characters.
fn cut(bytes: &[u8]) -> usize {
    let after_line = bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    let before_space = || bytes.iter().rposition(|byte| *byte == b' ').filter(|at| *at > 0);
    let between = || {
        // The first byte of the last character, unless the text is no UTF-8.
        let start = bytes.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
        if start > 0 { start } else { bytes.len() }
    };
    after_line.or_else(before_space).unwrap_or_else(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sweep::corpus::TextOptions;

    fn parts(file: &str, bytes: &[u8], lines: bool, group_by: &str) -> Result<(Vec<Part>, CorpusAbout)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, bytes).unwrap();
        let options =
            TextOptions { group_by: GroupBy::of(group_by), text_field: "text".to_owned(), lines, json_stdin: false };
        let corpus = Corpus::find(&[path], options)?;
        let mut parts = Parts::new(&corpus);
        let mut all = Vec::new();
        while let Some(part) = parts.next()? {
            all.push(part);
        }
        assert_eq!(parts.bytes(), bytes.len() as u64);
        Ok((all, parts.about()))
    }

    #[test]
    fn a_long_text_is_cut_at_line_ends_and_nothing_is_lost() {
        let line = "a line of some words, ünd ümlauts\n";
        let text = line.repeat(10_000);
        let (parts, about) = parts("long.txt", text.as_bytes(), false, "file").unwrap();
        assert!(parts.len() > 2 && parts.iter().all(|part| part.text.ends_with('\n') && part.text.len() <= PART));
        assert_eq!(parts.iter().map(|part| part.text.as_str()).collect::<String>(), text);
        assert_eq!((about.texts, about.parts, about.bytes), (1, parts.len() as u64, text.len() as u64));
        assert!(parts[0].is_first && parts[1..].iter().all(|part| !part.is_first));
        // Without line ends and spaces, at least between characters.
        let (parts, _) = super::tests::parts("dense.txt", "ü".repeat(PART).as_bytes(), false, "file").unwrap();
        assert_eq!(parts.iter().map(|part| part.text.chars().count()).sum::<usize>(), PART);
    }

    #[test]
    fn lines_and_json_lines_are_texts() {
        let (all, about) = parts("a.txt", b"\xef\xbb\xbfone\r\n\n  \ntwo", true, "file").unwrap();
        assert_eq!(all.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!((about.texts, all[1].number, all[1].group.as_str()), (2, 1, "a.txt"));
        let json = br#"{"text": "one", "meta": {"lang": "en"}}
{"text": "two", "meta": {"lang": 7}}
{"text": "three"}
{"text": ""}
"#;
        let (all, _) = parts("a.jsonl", json, false, "meta.lang").unwrap();
        let groups: Vec<&str> = all.iter().map(|part| part.group.as_str()).collect();
        assert_eq!(groups, ["en", "7", "(none)"]);
    }

    #[test]
    fn bad_texts_are_named_with_their_place() {
        let message = |file: &str, bytes: &[u8]| format!("{:#}", parts(file, bytes, false, "file").err().unwrap());
        assert!(
            message("a.txt", b"caf\xe9 au lait")
                .contains("a.txt: expected UTF-8 text, found the byte 0xe9 at offset 3")
        );
        assert!(message("a.txt", b"\xff\xfea\0").contains("found UTF-16"));
        assert!(message("a.txt.gz", b"x").contains("found a .gz file; unpack it first"));
        assert!(message("a.jsonl", b"{\"text\": \"x\"}\nnope\n").contains("line 2: expected a JSON object"));
        assert!(message("a.jsonl", b"[1]\n").contains("line 1: expected a JSON object, found a list"));
        let lacks = message("a.jsonl", b"{\"body\": 1, \"id\": 2}\n");
        assert!(lacks.contains("line 1: expected a text in the field `text`, found no such field"), "{lacks}");
        assert!(lacks.contains("--text-field names another of body, id"), "{lacks}");
    }
}
