//! Earlier prompts and models: files in the XDG state folder, one JSON string per line.

use crate::protocol::Failure;
use crate::trace::{Access, TempFile, harmless_json};
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The most entries kept; a file with twice as many is shortened.
const MOST: usize = 500;

/// A file of earlier entries.
pub struct History {
    path: Option<PathBuf>,
    what: &'static str,
}

impl History {
    /// Earlier prompts, kept in this folder.
    pub fn prompts(folder: Option<&Path>) -> (Self, Vec<String>, Option<Failure>) {
        Self::open(folder, "history.jsonl", "prompt history")
    }

    /// Models that were opened, kept in this folder.
    pub fn models(folder: Option<&Path>) -> (Self, Vec<String>, Option<Failure>) {
        Self::open(folder, "models.jsonl", "list of recent models")
    }

    /// The file, its entries (oldest first), and the failure of reading it, if any.
    fn open(folder: Option<&Path>, name: &str, what: &'static str) -> (Self, Vec<String>, Option<Failure>) {
        let path = folder.map(|folder| folder.join(name));
        let read = path.as_deref().map_or(Ok(Vec::new()), |path| read(path, what));
        let (past, failure) = match read {
            Ok(past) => (past, None),
            Err(error) => (Vec::new(), Some(Failure::of(&error))),
        };
        (Self { path, what }, past, failure)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn remember(&self, text: &str) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = || format!("the {} {} could not be written", self.what, path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        let mut line = harmless_json(&serde_json::to_string(text)?) + "\n";
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        // Prompts are private.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).with_context(failed)?;
        if is_cut(&mut file).with_context(failed)? {
            line.insert(0, '\n');
        }
        file.write_all(line.as_bytes()).with_context(failed)
    }
}

/// Whether the last line has no end: a full disk cut it.
fn is_cut(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn read(path: &Path, what: &str) -> Result<Vec<String>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("the {what} {} could not be read", path.display()));
        }
    };
    // A damaged line is skipped; the others are kept.
    let all: Vec<String> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut past: Vec<String> = Vec::new();
    for prompt in all.iter().rev() {
        if past.len() < MOST && !past.contains(prompt) {
            past.push(prompt.clone());
        }
    }
    past.reverse();
    if all.len() > 2 * MOST {
        let lines: Result<Vec<String>, _> = past.iter().map(serde_json::to_string).collect();
        let text = harmless_json(&lines?.join("\n")) + "\n";
        let failed = || format!("the {what} {} could not be shortened", path.display());
        let mut temp =
            TempFile::new_in(path.parent().unwrap_or(Path::new(".")), Access::Private).with_context(failed)?;
        temp.file().write_all(text.as_bytes()).with_context(failed)?;
        temp.replace(path).with_context(failed)?;
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_survive_with_their_line_ends_and_without_repeats() {
        let folder = tempfile::tempdir().unwrap();
        let history = History { path: Some(folder.path().join("a/b/history.jsonl")), what: "test" };
        for prompt in ["one", "two\nlines", "one", "三"] {
            history.remember(prompt).unwrap();
        }
        let path = history.path.unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "not json\n").unwrap();
        assert_eq!(read(&path, "test").unwrap(), ["two\nlines", "one", "三"]);
        assert!(read(&folder.path().join("none"), "test").unwrap().is_empty());
    }

    #[test]
    fn a_prompt_that_a_full_disk_cut_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        fs::write(&path, "\"one\"\n\"cut").unwrap();
        let history = History { path: Some(path.clone()), what: "test" };
        history.remember("two").unwrap();
        history.remember("three").unwrap();
        assert_eq!(read(&path, "test").unwrap(), ["one", "two", "three"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "\"one\"\n\"cut\n\"two\"\n\"three\"\n");
    }

    #[test]
    fn a_long_file_is_shortened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let lines: String = (0..2 * MOST + 1).map(|i| format!("\"{i}\"\n")).collect();
        fs::write(&path, lines).unwrap();
        assert_eq!(read(&path, "test").unwrap().len(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), MOST);
    }
}
