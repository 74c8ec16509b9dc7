//! Which files of a folder are the model's weights.

use crate::trace::{Level, Report};
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The file of all tensors.
pub const SINGLE: &str = "model.safetensors";
/// The file that says in which file each tensor is.
pub const INDEX: &str = "model.safetensors.index.json";
/// Names that a message lists.
const LISTED: usize = 6;

/// The names of the files to read, and whether the index is among them.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Safetensors files, by name.
    pub files: BTreeSet<String>,
    /// Whether the index named them.
    pub by_index: bool,
}

/// Chooses among `names` as transformers does: `model.safetensors` before an index. Without either, all shards of one set,
/// or the only safetensors file. `index` reads the index. What is passed over is noted in `report`.
///
/// # Errors
/// If there are none, a shard is missing, or several sets could be meant; the message says what there is.
pub fn choose(
    dir: &Path,
    names: &BTreeSet<String>,
    index: impl Fn() -> Result<BTreeMap<String, String>>,
    report: &mut Report,
) -> Result<Chosen> {
    let others = |chosen: &BTreeSet<String>| -> Vec<&str> {
        names.iter().filter(|name| is_weights(name) && !chosen.contains(*name)).map(String::as_str).collect()
    };
    if names.contains(SINGLE) {
        let chosen = BTreeSet::from([SINGLE.to_owned()]);
        let beside = others(&chosen);
        // An index of the one file is no other set.
        let agrees = beside.is_empty() && names.contains(INDEX);
        let agrees = agrees && index().is_ok_and(|index| index.values().all(|file| file == SINGLE));
        if !agrees && (names.contains(INDEX) || !beside.is_empty()) {
            let found = [if names.contains(INDEX) { vec![INDEX] } else { Vec::new() }, beside].concat();
            let absent =
                index().map(|index| index.into_values().filter(|file| !names.contains(file)).collect::<BTreeSet<_>>());
            let advice = match absent {
                Ok(absent) if !absent.is_empty() && names.contains(INDEX) => {
                    format!(
                        "{SINGLE} is used, as transformers does; the index is stale: it names {}, which are not there",
                        list(absent.iter().map(String::as_str))
                    )
                }
                _ => format!("{SINGLE} is used, as transformers does, and these are not"),
            };
            report.add(Level::Warn, SINGLE, "no other set of weights", list(found.into_iter()), advice);
        }
        return Ok(Chosen { files: chosen, by_index: false });
    }
    if names.contains(INDEX) {
        let index = index()?;
        let files: BTreeSet<String> = index.values().cloned().collect();
        if let Some(missing) = files.iter().find(|file| !names.contains(*file) && !dir.join(file).exists()) {
            let needed = index.values().filter(|file| *file == missing).count();
            let others = others(&files);
            let others = if others.is_empty() {
                String::new()
            } else {
                format!("; the index does not name {}, which are there", list(others.into_iter()))
            };
            bail!(
                "shard {missing} named by {INDEX} does not exist in {} (needed for {needed} tensors); download it{others}",
                dir.display()
            );
        }
        let beside = others(&files);
        if !beside.is_empty() {
            let found = list(beside.into_iter());
            report.add(
                Level::Note,
                INDEX,
                "the names of all safetensors files",
                found,
                "it does not name these: they are not used",
            );
        }
        return Ok(Chosen { files, by_index: true });
    }
    unnamed(dir, names, report)
}

/// Weights that neither have the usual name nor an index.
fn unnamed(dir: &Path, names: &BTreeSet<String>, report: &mut Report) -> Result<Chosen> {
    let mut sets: BTreeMap<(&str, usize), BTreeSet<usize>> = BTreeMap::new();
    let mut single = Vec::new();
    for name in names.iter().filter(|name| is_weights(name)) {
        match shard(name) {
            Some((stem, number, count)) => drop(sets.entry((stem, count)).or_default().insert(number)),
            None => single.push(name.as_str()),
        }
    }
    let sets: Vec<_> = sets.into_iter().collect();
    let chosen = match (&sets[..], &single[..]) {
        ([((stem, count), numbers)], _) => {
            let name = |number: usize| format!("{stem}-{number:05}-of-{count:05}.safetensors");
            let missing: Vec<String> = (1..=*count).filter(|n| !numbers.contains(n)).map(name).collect();
            let missing_list = list(missing.iter().map(String::as_str));
            ensure!(missing.is_empty(), "{} lacks {missing_list}, and {INDEX}; download them", dir.display());
            (1..=*count).map(name).collect()
        }
        ([], [one]) => BTreeSet::from([(*one).to_owned()]),
        ([], []) => bail!("no {SINGLE} and no {INDEX} in {}; {}", dir.display(), what_there_is(names)),
        _ => bail!(
            "no {SINGLE} and no {INDEX} in {}, but several sets of weights: {}; keep one, or add its index",
            dir.display(),
            list(names.iter().filter(|name| is_weights(name)).map(String::as_str))
        ),
    };
    let found = list(chosen.iter().map(String::as_str));
    let beside = list(single.into_iter().filter(|name| !chosen.contains(*name)));
    let beside = if beside.is_empty() { beside } else { format!("; {beside} next to them is not used") };
    let advice = format!("all tensors of these files are used{beside}; transformers would not find them");
    report.add(Level::Warn, "weights", format!("{SINGLE}, or {INDEX}"), found, advice);
    Ok(Chosen { files: chosen, by_index: false })
}

/// Whether a file may hold a model's weights, by its name.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors")
        && !name.starts_with('.')
        && !name.starts_with("adapter_")
        && !name.starts_with("consolidated")
}

/// Stem, number and count of `STEM-00002-of-00005.safetensors`.
fn shard(name: &str) -> Option<(&str, usize, usize)> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let (number, count) = (digits(number).then(|| number.parse().ok())??, digits(count).then(|| count.parse().ok())??);
    (1..=count).contains(&number).then_some((stem, number, count))
}

/// What a folder without safetensors files holds, and what to do with it.
pub fn what_there_is(names: &BTreeSet<String>) -> String {
    let ends = |ends: &[&str]| -> Vec<&str> {
        names.iter().map(String::as_str).filter(|name| ends.iter().any(|end| name.ends_with(end))).collect()
    };
    let starts = |start: &str| names.iter().any(|name| name.starts_with(start));
    let (gguf, torch) = (ends(&[".gguf"]), ends(&[".bin", ".pt", ".pth", ".ckpt"]));
    let torch: Vec<&str> =
        torch.into_iter().filter(|name| !matches!(*name, "training_args.bin" | "tokenizer.bin")).collect();
    let other = ends(&[".h5", ".msgpack", ".onnx", ".npz", ".tflite", ".pdparams"]);
    if names.contains("adapter_config.json") || starts("adapter_model") {
        return "it holds an adapter (LoRA): merge it into its base model first (in peft: merge_and_unload, then \
                save_pretrained)"
            .to_owned();
    }
    if starts("consolidated") || names.contains("params.json") {
        return "it holds Mistral's own form of the weights (consolidated, params.json): take the files for transformers \
                (config.json and model-….safetensors), or convert them".to_owned();
    }
    if !torch.is_empty() {
        return format!(
            "it holds PyTorch files ({}), which can run code when they are read: save the model as safetensors (in \
             transformers: AutoModelForCausalLM.from_pretrained, then save_pretrained)",
            list(torch.into_iter())
        );
    }
    if !gguf.is_empty() {
        return format!("it holds {}: give a GGUF file by its own name", list(gguf.into_iter()));
    }
    if !other.is_empty() {
        return format!("it holds {}: save the model as safetensors", list(other.into_iter()));
    }
    "a model directory holds config.json and safetensors files".to_owned()
}

/// Some names, and how many more there are.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(LISTED);
    let listed = names[..names.len() - more].join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}
