//! The texts of a sweep: files, folders and stdin, and the groups that they belong to.

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The argument that means stdin.
const STDIN: &str = "-";
/// Files of a folder that are texts.
const PLAIN: [&str; 3] = ["txt", "text", "md"];
/// Files of which each line is a JSON object.
const JSON: [&str; 2] = ["jsonl", "ndjson"];
/// Endings of compressed files, which are refused.
const PACKED: [&str; 6] = ["gz", "zst", "bz2", "xz", "zip", "parquet"];

/// What the groups of a sweep are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Each file is a group.
    File,
    /// The files of a folder are a group.
    Folder,
    /// The value of a field of JSON lines.
    Field(String),
}

impl GroupBy {
    /// What an option names.
    pub fn of(text: &str) -> Self {
        match text {
            "file" => Self::File,
            "folder" => Self::Folder,
            field => Self::Field(field.to_owned()),
        }
    }

    /// The text that names it.
    pub fn name(&self) -> &str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Field(field) => field,
        }
    }
}

/// How texts are found in files.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// What the groups are.
    pub group_by: GroupBy,
    /// The field of JSON lines that holds the text: names joined by dots.
    pub text_field: String,
    /// Whether each line of a plain file is a text.
    pub lines: bool,
    /// Whether stdin has JSON lines.
    pub json_stdin: bool,
}

/// How the texts of a file are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file is one text.
    Whole,
    /// Each line is a text.
    Lines,
    /// Each line is a JSON object that holds a text.
    Json,
}

/// A file of a corpus.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path; `None` for stdin.
    pub path: Option<PathBuf>,
    /// Its name in messages.
    pub name: String,
    /// The group of its texts, unless a field names it.
    pub group: String,
    /// How its texts are separated.
    pub form: Form,
}

/// The files of a corpus, in the order in which they are read.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The files.
    pub sources: Vec<Source>,
    /// How texts are found in them.
    pub options: TextOptions,
    /// Files of folders that are no texts.
    pub skipped: Vec<PathBuf>,
}

impl Corpus {
    /// The files that the arguments name: files, folders with everything below them, and `-` for stdin.
    ///
    /// # Errors
    /// If one is missing or compressed, a folder holds no text, or groups are fields of files that have none.
    pub fn find(arguments: &[PathBuf], options: TextOptions) -> Result<Self> {
        let mut corpus = Self { sources: Vec::new(), options, skipped: Vec::new() };
        let mut same_name: BTreeMap<String, PathBuf> = BTreeMap::new();
        for argument in arguments {
            let shown = argument.display();
            if argument.as_os_str() == STDIN {
                let is_second = corpus.sources.iter().any(|source| source.path.is_none());
                ensure!(!is_second, "stdin (-) is named twice; it can be read only once");
                let form = if corpus.options.json_stdin { Form::Json } else { corpus.plain() };
                corpus.sources.push(Source { path: None, name: "stdin".into(), group: "stdin".into(), form });
                continue;
            }
            let about = std::fs::metadata(argument).with_context(|| format!("cannot read {shown}"))?;
            if about.is_dir() {
                corpus.add_folder(argument)?;
                continue;
            }
            if let Some(packed) = extension(argument).filter(|ending| PACKED.contains(&ending.as_str())) {
                bail!("{shown}: expected a plain text or JSON lines, found a .{packed} file; unpack it first");
            }
            let name = last_name(argument);
            if let Some(other) = same_name.insert(name.clone(), argument.clone()) {
                bail!("{} and {shown} would both be the group `{name}`; give the folder above them", other.display());
            }
            let folder = argument.parent().map(last_name).filter(|name| !name.is_empty());
            let group = match corpus.options.group_by {
                GroupBy::Folder => folder.unwrap_or_else(|| ".".to_owned()),
                _ => name,
            };
            corpus.add(argument.clone(), group);
        }
        if let GroupBy::Field(field) = &corpus.options.group_by
            && let Some(plain) = corpus.sources.iter().find(|source| source.form != Form::Json)
        {
            bail!(
                "--group-by {field} names a field of JSON lines (.jsonl), but {} is a plain text; \
                 group it by `file` or `folder`",
                plain.name
            );
        }
        Ok(corpus)
    }

    fn plain(&self) -> Form {
        if self.options.lines { Form::Lines } else { Form::Whole }
    }

    fn add(&mut self, path: PathBuf, group: String) {
        let is_json = extension(&path).is_some_and(|ending| JSON.contains(&ending.as_str()));
        let form = if is_json { Form::Json } else { self.plain() };
        self.sources.push(Source { name: path.display().to_string(), path: Some(path), group, form });
    }

    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let before = self.sources.len();
        let mut files = Vec::new();
        files_below(folder, &mut files)?;
        files.sort();
        for file in files {
            let inside = file.strip_prefix(folder).unwrap_or(&file);
            let is_text = extension(&file)
                .is_some_and(|ending| PLAIN.contains(&ending.as_str()) || JSON.contains(&ending.as_str()));
            if !is_text {
                self.skipped.push(file);
                continue;
            }
            let above = inside.parent().map(joined).filter(|name| !name.is_empty());
            let group = match self.options.group_by {
                GroupBy::Folder => above.unwrap_or_else(|| last_name(folder)),
                _ => joined(inside),
            };
            self.add(file, group);
        }
        ensure!(
            self.sources.len() > before,
            "the folder {} holds no .txt, .md, .jsonl or .ndjson file",
            folder.display()
        );
        Ok(())
    }

    /// Bytes of all files; `None` if stdin is among them.
    pub fn bytes(&self) -> Option<u64> {
        let size = |source: &Source| Some(std::fs::metadata(source.path.as_ref()?).map_or(0, |about| about.len()));
        self.sources.iter().map(size).sum()
    }
}

/// All files below a folder; hidden ones and links to folders are left out.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = || format!("cannot read the folder {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(cannot)?);
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if is_hidden {
            continue;
        }
        if kind.is_dir() {
            files_below(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_string_lossy().to_ascii_lowercase())
}

/// The last name of a path; of `.` and `..` that of the folder they mean.
fn last_name(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    name(path).or_else(|| name(&path.canonicalize().ok()?)).unwrap_or_default()
}

/// A relative path with `/` between its names, on every system.
fn joined(path: &Path) -> String {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    names.collect::<Vec<_>>().join("/")
}
