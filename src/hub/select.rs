//! Which files of a repo a model needs.

use super::id::{RepoId, is_inside};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The file that every model directory must hold.
pub(super) const CONFIG: &str = "config.json";
/// The file that lists the files of the tensors, if there are several.
pub(super) const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
const OPTIONAL: [&str; 7] = [
    "generation_config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    // Opening warns of an adapter that is not applied.
    "adapter_config.json",
];
/// The folder of chat templates with names.
const TEMPLATES: &str = "additional_chat_templates/";
/// What is read where there is no tokenizer.json.
const SENTENCEPIECE: &str = "tokenizer.model";

/// The files a model needs, by their paths in the repo.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    /// All of them, without repetition.
    pub(super) files: Vec<String>,
    /// The .gguf file to open; `None` if the directory is opened.
    pub(super) gguf: Option<String>,
}

/// Chooses among `names`. `index` gives the content of [`INDEX`], if it is among them.
///
/// # Errors
/// If something that is needed is not among them, or several .gguf files are and none is named.
pub(super) fn needed(
    repo: &RepoId,
    names: &BTreeSet<String>,
    index: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<Needed> {
    if let Some(file) = &repo.file {
        return gguf(repo, names, file);
    }
    // A single file comes before shards, as when a directory is opened.
    let sharded = names.contains(INDEX) && !names.contains(SINGLE);
    let unnamed = if sharded || names.contains(SINGLE) { None } else { unnamed_shards(names) };
    if !sharded && !names.contains(SINGLE) && unnamed.is_none() {
        match gguf_sets(names).as_slice() {
            [] if names.contains(CONFIG) => {
                bail!("{repo} lacks {SINGLE}, {INDEX} and .gguf files: mixscope reads safetensors and GGUF")
            }
            [] => {
                bail!(
                    "{repo} lacks {CONFIG}, {SINGLE}, {INDEX} and .gguf files, so it is not a model that mixscope reads"
                )
            }
            [file] => return gguf(repo, names, file),
            several => bail!(
                "{repo} has several .gguf files; name one, as in {}:{}\n{}",
                RepoId { file: None, ..repo.clone() },
                several[0],
                several.join("\n")
            ),
        }
    }
    let mut files = vec![CONFIG.to_owned()];
    files.extend(OPTIONAL.iter().filter(|name| names.contains(**name)).map(|name| (*name).to_owned()));
    files.extend(names.iter().filter(|name| name.starts_with(TEMPLATES) && name.ends_with(".jinja")).cloned());
    if !names.contains(TOKENIZER) && names.contains(SENTENCEPIECE) {
        files.push(SENTENCEPIECE.to_owned());
    }
    if let Some(shards) = unnamed {
        files.extend(shards);
    } else if sharded {
        files.push(INDEX.to_owned());
        files.extend(shards(&index()?).with_context(|| format!("{INDEX} of {repo} can't be used"))?);
    } else {
        files.push(SINGLE.to_owned());
    }
    present(repo, names, &files)?;
    Ok(Needed { files, gguf: None })
}

/// The shards of a model without an index, if there is one set and it is whole.
fn unnamed_shards(names: &BTreeSet<String>) -> Option<Vec<String>> {
    let shards = names.iter().filter(|name| !name.contains('/') && !name.starts_with("consolidated"));
    let mut sets: BTreeMap<(&str, usize), Vec<String>> = BTreeMap::new();
    for name in shards {
        if let Some(set) = numbered(name.strip_suffix(".safetensors").unwrap_or_default()) {
            sets.entry(set).or_default().push(name.clone());
        }
    }
    let mut sets = sets.into_iter();
    let ((_, count), files) = sets.next()?;
    (sets.next().is_none() && files.len() == count).then_some(files)
}

fn gguf(repo: &RepoId, names: &BTreeSet<String>, file: &str) -> Result<Needed> {
    let files = parts(file);
    if !files.iter().any(|file| names.contains(file)) {
        let has = gguf_sets(names);
        let has = if has.is_empty() { "no .gguf file".to_owned() } else { has.join(", ") };
        bail!("{} has no file {file}; it has {has}", RepoId { file: None, ..repo.clone() });
    }
    present(repo, names, &files)?;
    Ok(Needed { gguf: files.first().cloned(), files })
}

fn present(repo: &RepoId, names: &BTreeSet<String>, files: &[String]) -> Result<()> {
    let missing: Vec<&str> = files.iter().filter(|file| !names.contains(*file)).map(String::as_str).collect();
    let more = missing.len().saturating_sub(LISTED);
    let listed = missing[..missing.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    ensure!(missing.is_empty(), "{repo} lacks {listed}{more}");
    Ok(())
}

/// The files that an index names.
fn shards(index: &[u8]) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(index)?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    ensure!(!shards.is_empty(), "it names no files");
    if let Some(bad) = shards.iter().find(|name| !is_inside(name)) {
        bail!("the file name {bad:?} leaves the folder");
    }
    Ok(shards)
}

/// The .gguf files of `names`. A split file counts as its first part, even if that part is missing.
pub(super) fn gguf_sets(names: &BTreeSet<String>) -> Vec<String> {
    let first = |name: &String| split(name).map_or_else(|| name.clone(), |(stem, count)| part_name(stem, 1, count));
    let sets: BTreeSet<String> = names.iter().filter(|name| name.ends_with(".gguf")).map(first).collect();
    sets.into_iter().collect()
}

/// Files that an error lists.
const LISTED: usize = 8;
/// Parts of a split file; more than any model has.
const MOST_PARTS: usize = 9_999;

/// All parts of the split .gguf file that `name` belongs to, or `name` itself if it is not split.
pub(super) fn parts(name: &str) -> Vec<String> {
    match split(name) {
        Some((stem, count)) => (1..=count).map(|part| part_name(stem, part, count)).collect(),
        None => vec![name.to_owned()],
    }
}

fn part_name(stem: &str, part: usize, count: usize) -> String {
    format!("{stem}-{part:05}-of-{count:05}.gguf")
}

/// Stem and number of parts of `STEM-00002-of-00005.gguf`.
fn split(name: &str) -> Option<(&str, usize)> {
    numbered(name.strip_suffix(".gguf")?)
}

/// Stem and number of parts of `STEM-00002-of-00005`.
fn numbered(name: &str) -> Option<(&str, usize)> {
    let (rest, count) = name.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse::<usize>().ok().filter(|n| (1..=MOST_PARTS).contains(n) && digits(count))?;
    digits(number).then_some((stem, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(repo: &str, names: &[&str]) -> Result<Needed> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let index = br#"{"weight_map": {"a": "s-1.safetensors", "b": "s-2.safetensors", "c": "s-1.safetensors"}}"#;
        needed(&RepoId::parse(repo).unwrap(), &names, || Ok(index.to_vec()))
    }

    fn error(repo: &str, names: &[&str]) -> String {
        format!("{:#}", choose(repo, names).unwrap_err())
    }

    #[test]
    fn safetensors_come_first() {
        let files = choose("a/b", &["config.json", "model.safetensors", "q.gguf", "README.md"]).unwrap().files;
        assert_eq!(files, ["config.json", "model.safetensors"]);
        let files = choose("a/b", &["config.json", INDEX, "s-1.safetensors", "s-2.safetensors", "s-3.safetensors"])
            .unwrap()
            .files;
        assert_eq!(files, ["config.json", INDEX, "s-1.safetensors", "s-2.safetensors"]);
        assert_eq!(error("a/b", &[INDEX, "s-1.safetensors"]), "a/b lacks config.json, s-2.safetensors");
        let both = choose("a/b", &["config.json", INDEX, "model.safetensors", "s-1.safetensors"]).unwrap().files;
        assert_eq!(both, ["config.json", "model.safetensors"], "as transformers");
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let unnamed = choose("a/b", &["config.json", shards[0], shards[1]]).unwrap().files;
        assert_eq!(unnamed, ["config.json", shards[0], shards[1]]);
        assert!(error("a/b", &["config.json", shards[0]]).contains("lacks model.safetensors"));
    }

    #[test]
    fn gguf_files_are_named_or_alone() {
        let split = ["x/q-00001-of-00002.gguf", "x/q-00002-of-00002.gguf"];
        for repo in ["a/b", "a/b:x/q-00001-of-00002.gguf", "a/b:x/q-00002-of-00002.gguf"] {
            let needed = choose(repo, &split).unwrap();
            assert_eq!(
                (needed.files.as_slice(), needed.gguf.as_deref()),
                (split.map(str::to_owned).as_slice(), Some(split[0]))
            );
        }
        assert_eq!(error("a/b", &split[..1]), "a/b lacks x/q-00002-of-00002.gguf");
        assert!(error("a/b", &["p.gguf", "q.gguf"]).contains("name one, as in a/b:p.gguf\np.gguf\nq.gguf"));
        assert_eq!(choose("a/b:q.gguf", &["p.gguf", "q.gguf", "model.safetensors"]).unwrap().files, ["q.gguf"]);
        assert!(error("a/b:r.gguf", &["p.gguf", "q.gguf"]).contains("a/b has no file r.gguf; it has p.gguf, q.gguf"));
        assert!(error("a/b", &["pytorch_model.bin"]).contains("lacks config.json"));
    }
}
