//! The weights against the config: names, shapes and types of all tensors.

use super::contract;
use super::scan::{SPELLED_OUT, scan, scanned_on_opening};
use crate::control::Control;
use crate::model::arch::{Arch, Config};
use crate::model::kernels::Block;
use crate::model::weights::{Naming, Store, Stored, parts, place};
use crate::trace::{Dtype, Level, Report};
use std::collections::{BTreeMap, HashSet};

/// The most matrices and vectors that a model may have: a hundred times those of Mixtral-8x22B.
const MOST_PARTS: usize = 200_000;

/// The tensors that hold all parts of the model, with shapes, in the order of the model.
fn expected_tensors(arch: &Arch, store: &Store) -> Vec<(String, Vec<usize>)> {
    let naming = store.naming();
    let mut seen = HashSet::new();
    let places = parts(arch).into_iter().map(|part| place(part, arch, naming));
    places.filter(|place| seen.insert(place.name.clone())).map(|place| (place.name, place.shape)).collect()
}

/// The types in which all tensors are stored.
pub struct Checked {
    /// The type that most bytes have.
    pub main: Stored,
    /// The dtype in which the model is computed unless another is requested: the weights' own, f32 for quantised ones
    /// and for GGUF files (transformers dequantises both to f32).
    pub compute: Dtype,
    /// Bytes of every type, most first.
    pub stored: Vec<(String, u64)>,
}

/// Checks every tensor against the config; findings of level [`Level::Refuse`] mean that the model can't be run.
pub fn check(config: &Config, store: &Store, report: &mut Report) -> Checked {
    // With a wrong number of layers or experts there could be millions of names to spell out.
    let stored = store.tensors().len();
    let of_experts = match store.naming() {
        Naming::Official | Naming::Gguf { split: true } => 3 * config.arch.dims.experts,
        Naming::Fused | Naming::Gguf { split: false } => 3,
    };
    let tensors = config.arch.dims.layers.saturating_mul(7 + of_experts);
    let parts = config.arch.dims.layers.saturating_mul(7 + 3 * config.arch.dims.experts);
    if tensors > stored.saturating_mul(4) + 1000 || parts > MOST_PARTS {
        let found = format!("{stored} tensors in the files");
        let expected = format!("{} layers of {} experts", config.arch.dims.layers, config.arch.dims.experts);
        report.add(
            Level::Refuse,
            "config.json: num_hidden_layers",
            expected,
            found,
            "config and weights belong to different models",
        );
        return Checked { main: Stored::F32, compute: Dtype::F32, stored: Vec::new() };
    }
    let expected = expected_tensors(&config.arch, store);
    check_shapes(&expected, store, report);
    check_unexpected(config, &expected, store, report);
    contract::roles(&config.arch, store.naming(), report);
    contract::unembedding(&config.arch, store, report);
    let checked = check_types(config, store, report);
    if scanned_on_opening(store) {
        // Nothing cancels it.
        scan(store, report, &Control::none()).ok();
    } else {
        let found = format!("not scanned for NaN and infinity ({:.1} GB)", store.total_bytes() as f64 / 1e9);
        report.add(Level::Note, "weights", "", found, "`mixscope check` does; a run names the first that appears");
    }
    checked
}

/// Advice where a tensor is not as the config says.
const MISMATCH: &str = "config and weights disagree; download both again from one source";
const NO_HEAD: &str = "the files hold the base model, without an unembedding: take a checkpoint with one, or set \
                       tie_word_embeddings if it is the embedding";

/// What to do about a missing tensor.
fn missing(name: &str, store: &Store) -> &'static str {
    let has_layers = store.tensors().keys().any(|name| name.starts_with("model.layers.0."));
    if name == "lm_head.weight" && has_layers { NO_HEAD } else { MISMATCH }
}

/// The types that can be read in files of this naming, and what to do about weights of the type `found`.
fn readable(naming: Naming, found: &str) -> (&'static str, &'static str) {
    // GGUF types are followed by their number.
    let word = found.split(',').next().unwrap_or_default();
    let is_integer = word.trim_start_matches(['I', 'U']).parse::<u32>().is_ok();
    if matches!(naming, Naming::Gguf { .. }) {
        let advice = match word {
            "F64" => "convert the model again with `--outtype f32` or `--outtype bf16`",
            _ if is_integer => "integers are no weights: convert the model again, or download another file",
            _ => "take a file that is quantised otherwise, or the original weights",
        };
        return (Block::NAMES, advice);
    }
    let advice = match word {
        "F64" => {
            "convert the weights to F32 or BF16 (in transformers: from_pretrained(…, dtype=torch.bfloat16), then \
             save_pretrained)"
        }
        _ if is_integer => {
            "integers are codes of a quantised model, or no weights at all: use the original weights or a GGUF file"
        }
        _ => "weights are floating-point numbers: use the original weights, or convert the model again",
    };
    ("F32, F16 or BF16", advice)
}

fn check_shapes(expected: &[(String, Vec<usize>)], store: &Store, report: &mut Report) {
    let mut wrong = Vec::new();
    for (name, shape) in expected {
        let subject = format!("tensor `{name}`");
        let width = shape.last().copied().unwrap_or(1);
        match store.tensors().get(name) {
            None => {
                let found = "nothing".to_owned();
                wrong.push((format!("missing tensor `{name}`"), format!("{shape:?}"), found, missing(name, store)));
            }
            Some(entry) if entry.shape != *shape => {
                wrong.push((subject, format!("{shape:?}"), format!("{:?}", entry.shape), MISMATCH));
            }
            Some(entry) => match entry.stored {
                None => {
                    let (expected, advice) = readable(store.naming(), &entry.type_name);
                    wrong.push((subject, expected.to_owned(), entry.type_name.clone(), advice));
                }
                Some(stored) if stored.bytes(width).is_none() => {
                    let expected = format!("rows of whole {stored} blocks");
                    wrong.push((subject, expected, format!("rows of {width}"), MISMATCH));
                }
                Some(_) => {}
            },
        }
    }
    let total = wrong.len();
    for (subject, expected, found, advice) in wrong.into_iter().take(SPELLED_OUT) {
        report.add(Level::Refuse, subject, expected, found, advice);
    }
    if total > SPELLED_OUT {
        report.add(Level::Refuse, "tensors", "", format!("{} more are missing or wrong", total - SPELLED_OUT), "");
    }
    if total == 0 {
        report.add(
            Level::Ok,
            "tensors",
            "every part of the model",
            format!("all {} present with the expected shapes", expected.len()),
            "",
        );
    }
}

fn check_unexpected(config: &Config, expected: &[(String, Vec<usize>)], store: &Store, report: &mut Report) {
    let known: std::collections::HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let extra: Vec<&String> = store.tensors().keys().filter(|name| !known.contains(name.as_str())).collect();
    for name in extra.iter().take(SPELLED_OUT) {
        let why = if config.arch.tied && matches!(name.as_str(), "lm_head.weight" | "output.weight") {
            "tied embeddings are used instead"
        } else {
            "it is ignored"
        };
        // A Mixtral has no biases, so a bias was meant to be added somewhere; and a layer or expert beyond the config's was
        // meant to be computed.
        let part = beyond(config, name);
        let level = if name.ends_with(".bias") || part.is_some() { Level::Warn } else { Level::Note };
        let why = part.as_deref().unwrap_or(why);
        report.add(level, format!("tensor `{name}`"), "no such tensor", "one", why);
    }
    if extra.len() > SPELLED_OUT {
        report.add(
            Level::Note,
            "tensors",
            "",
            format!("{} more are unexpected and ignored", extra.len() - SPELLED_OUT),
            "",
        );
    }
}

/// The layer or expert of a tensor, if the config has fewer than the files.
fn beyond(config: &Config, name: &str) -> Option<String> {
    let after = |marks: [&str; 2]| {
        let rest = marks.iter().find_map(|mark| name.split_once(mark))?.1;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let (layers, experts) = (config.arch.dims.layers, config.arch.dims.experts);
    match (after(["layers.", "blk."]), after(["experts.", "ffn_gate."])) {
        (Some(layer), _) if layer >= layers => {
            Some(format!("the files hold layer {layer}, and the config has {layers} layers"))
        }
        (Some(_), Some(expert)) if expert >= experts => {
            Some(format!("the files hold expert {expert}, and the config has {experts} experts"))
        }
        _ => None,
    }
}

fn check_types(config: &Config, store: &Store, report: &mut Report) -> Checked {
    let mut bytes: BTreeMap<&str, (u64, Option<Stored>)> = BTreeMap::new();
    for entry in store.tensors().values() {
        bytes.entry(entry.type_name.as_str()).or_insert((0, entry.stored)).0 += entry.len() as u64;
    }
    let mut stored: Vec<(String, u64)> = bytes.iter().map(|(name, (size, _))| ((*name).to_owned(), *size)).collect();
    stored.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let main = bytes.values().filter_map(|(size, stored)| Some((*size, (*stored)?))).max_by_key(|(size, _)| *size);
    let main = main.map_or(Stored::F32, |(_, main)| main);
    let names: Vec<&str> = bytes.keys().copied().collect();
    let names = names.join(", ");
    let plain = bytes.values().filter_map(|(size, stored)| Some((*size, (*stored)?.dtype()?)));
    // Experts in MXFP4 are computed in the dtype of the other weights, as transformers does.
    let main_dtype = match main {
        Stored::Mxfp4 => plain.max_by_key(|(size, _)| *size).map(|(_, dtype)| dtype),
        main => main.dtype(),
    };
    let compute = match (store.naming(), main_dtype) {
        (Naming::Official | Naming::Fused, Some(dtype)) => dtype,
        _ => {
            report.add(
                Level::Ok,
                "weights",
                "types that can be read",
                format!("{names}; widened to f32 as they are read"),
                "",
            );
            return Checked { main, compute: Dtype::F32, stored };
        }
    };
    if bytes.len() > 1 && main != Stored::Mxfp4 {
        let advice = format!("computing follows the dtype of most bytes, {compute}");
        report.add(Level::Warn, "weights", "one dtype", names.clone(), advice);
    }
    match config.dtype {
        Some(said) if said != compute => report.add(
            Level::Warn,
            "config.json: dtype",
            format!("{said}, as config.json says"),
            format!("{names} in the files"),
            format!(
                "without --dtype, mixscope computes in {compute}, as the files are, and transformers 5 in {said}, as the \
                 config is: --dtype {said} does the same"
            ),
        ),
        _ => report.add(Level::Ok, "weights", "the config's dtype", format!("dtype {compute}"), ""),
    }
    Checked { main, compute, stored }
}
