//! Config against weights: what a model promises and what its files hold.

use super::config::Config;
use super::weights::{Naming, Store, Stored, count_non_finite, parts, place};
use crate::trace::{Dtype, Level, Report};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Weights up to this many bytes are scanned for NaN and infinity when a model is opened.
const SCAN_UP_TO: u64 = 1 << 26;
/// Matrices and vectors that a model may have: a hundred times those of Mixtral-8x22B.
const MOST_PARTS: usize = 200_000;
/// Findings of one kind that are spelled out.
const SPELLED_OUT: usize = 8;

/// The tensors that hold all parts of a Mixtral, with shapes, in the order of the model.
fn expected_tensors(config: &Config, store: &Store) -> Vec<(String, Vec<usize>)> {
    let naming = store.naming();
    let mut seen = HashSet::new();
    let places = parts(config).into_iter().map(|part| place(part, config, naming));
    places.filter(|place| seen.insert(place.name.clone())).map(|place| (place.name, place.shape)).collect()
}

/// What the check of all tensors found out about how they are stored.
pub struct Checked {
    /// The type that most bytes have.
    pub main: Stored,
    /// The dtype in which the model is computed unless another is asked for: the weights' own, f32 for quantised ones
    /// and for GGUF files (transformers dequantises both to f32).
    pub compute: Dtype,
    /// Bytes of every type, most first.
    pub stored: Vec<(String, u64)>,
}

/// Checks every tensor against the config; findings of level [`Level::Refuse`] mean that the model can't be run.
pub fn check(config: &Config, store: &Store, report: &mut Report) -> Checked {
    // A config that lies about its layers or experts must not make us spell out millions of names.
    let stored = store.tensors().len();
    let of_experts = match store.naming() {
        Naming::Official | Naming::Gguf { split: true } => 3 * config.dims.experts,
        Naming::Fused | Naming::Gguf { split: false } => 3,
    };
    let tensors = config.dims.layers.saturating_mul(7 + of_experts);
    let parts = config.dims.layers.saturating_mul(7 + 3 * config.dims.experts);
    if tensors > stored.saturating_mul(4) + 1000 || parts > MOST_PARTS {
        let found = format!("{stored} tensors in the files");
        let expected = format!("{} layers of {} experts", config.dims.layers, config.dims.experts);
        report.add(
            Level::Refuse,
            "config.json: num_hidden_layers",
            expected,
            found,
            "config and weights belong to different models",
        );
        return Checked { main: Stored::F32, compute: Dtype::F32, stored: Vec::new() };
    }
    let expected = expected_tensors(config, store);
    check_shapes(&expected, store, report);
    check_unexpected(config, &expected, store, report);
    let checked = check_types(config, store, report);
    if scanned_on_opening(store) {
        scan(store, report, &|| false, &|_| {});
    } else {
        let found = format!("not scanned for NaN and infinity ({:.1} GB)", store.total_bytes() as f64 / 1e9);
        report.add(Level::Note, "weights", "", found, "`mixscope check` does; a run names the first that appears");
    }
    checked
}

fn check_shapes(expected: &[(String, Vec<usize>)], store: &Store, report: &mut Report) {
    let mut wrong = Vec::new();
    for (name, shape) in expected {
        let subject = format!("tensor `{name}`");
        let width = shape.last().copied().unwrap_or(1);
        match store.tensors().get(name) {
            None => wrong.push((format!("missing tensor `{name}`"), format!("{shape:?}"), "nothing".to_owned())),
            Some(entry) if entry.shape != *shape => {
                wrong.push((subject, format!("{shape:?}"), format!("{:?}", entry.shape)))
            }
            Some(entry) => match entry.stored {
                None => {
                    wrong.push((subject, "F32, F16, BF16 or a GGUF block type".to_owned(), entry.type_name.clone()))
                }
                Some(stored) if stored.bytes(width).is_none() => {
                    wrong.push((subject, format!("rows of whole {stored} blocks"), format!("rows of {width}")))
                }
                Some(_) => {}
            },
        }
    }
    let total = wrong.len();
    for (subject, expected, found) in wrong.into_iter().take(SPELLED_OUT) {
        report.add(
            Level::Refuse,
            subject,
            expected,
            found,
            "config and weights disagree; download both again from one source",
        );
    }
    if total > SPELLED_OUT {
        report.add(Level::Refuse, "tensors", "", format!("{} more are missing or wrong", total - SPELLED_OUT), "");
    }
    if total == 0 {
        report.add(Level::Ok, "tensors", "", format!("all {} present with the expected shapes", expected.len()), "");
    }
}

fn check_unexpected(config: &Config, expected: &[(String, Vec<usize>)], store: &Store, report: &mut Report) {
    let known: std::collections::HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let extra: Vec<&String> = store.tensors().keys().filter(|name| !known.contains(name.as_str())).collect();
    for name in extra.iter().take(SPELLED_OUT) {
        let why = if config.tied && matches!(name.as_str(), "lm_head.weight" | "output.weight") {
            "tied embeddings are used instead"
        } else {
            "it is ignored"
        };
        // A Mixtral has none, so a bias that is there was meant to be added somewhere.
        let level = if name.ends_with(".bias") { Level::Warn } else { Level::Note };
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
    if config.tied {
        report.add(Level::Ok, "config.json: tie_word_embeddings", "", "the unembedding is the embedding", "");
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
    let compute = match (store.naming(), main.dtype()) {
        (Naming::Official | Naming::Fused, Some(dtype)) => dtype,
        _ => {
            report.add(Level::Ok, "weights", "", format!("{names}; widened to f32 as they are read"), "");
            return Checked { main, compute: Dtype::F32, stored };
        }
    };
    if bytes.len() > 1 {
        let advice = format!("computing follows the dtype of most bytes, {compute}");
        report.add(Level::Warn, "weights", "one dtype", names.clone(), advice);
    }
    match config.dtype {
        Some(said) if said != compute => report.add(
            Level::Warn,
            "config.json: dtype",
            format!("{said}, as config.json says"),
            format!("{names} in the files"),
            format!("the files are the truth about the weights: computing in {compute}"),
        ),
        _ => report.add(Level::Ok, "weights", "", format!("dtype {compute}"), ""),
    }
    Checked { main, compute, stored }
}

/// What a tensor with NaN or infinity was expected to hold, in findings.
pub const FINITE: &str = "finite values";

/// Whether all weights of a model of this size are scanned when it is opened; those of larger ones only by a check.
pub fn scanned_on_opening(store: &Store) -> bool {
    store.total_bytes() <= SCAN_UP_TO
}

/// Bytes scanned between two looks at whether to go on.
const SCAN_STEP: usize = 16 << 20;

/// Looks at every weight for NaN and infinity; `progress` is told the bytes done, from several threads. Returns how many
/// are not finite, or `None` if it was cancelled.
pub fn scan(
    store: &Store,
    report: &mut Report,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    progress: &(dyn Fn(u64) + Sync),
) -> Option<usize> {
    let done = AtomicU64::new(0);
    let mut bad: Vec<(&String, usize, usize)> = Vec::new();
    for (name, entry) in store.tensors() {
        let Some(stored) = entry.stored else { continue };
        let unit = match stored {
            Stored::Blocks(block) => block.bytes(),
            Stored::F32 => 4,
            Stored::F16 | Stored::Bf16 => 2,
        };
        let step = SCAN_STEP / unit * unit;
        let counts = store.bytes_of(entry).par_chunks(step).map(|bytes| {
            if is_cancelled() {
                return None;
            }
            let counted = count_non_finite(bytes, stored);
            progress(done.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64);
            Some(counted)
        });
        let (nan, inf) = counts.try_reduce(|| (0, 0), |a, b| Some((a.0 + b.0, a.1 + b.1)))?;
        if nan + inf > 0 {
            bad.push((name, nan, inf));
        }
    }
    for (name, nan, inf) in bad.iter().take(SPELLED_OUT) {
        let found = format!("{nan} NaN and {inf} infinite");
        let advice = "outputs become NaN where it is used";
        report.add(Level::Warn, format!("tensor `{name}`"), FINITE, found, advice);
    }
    if bad.len() > SPELLED_OUT {
        let more = bad.len() - SPELLED_OUT;
        report.add(Level::Warn, "weights", "", format!("{more} more tensors hold NaN or infinity"), "");
    }
    if bad.is_empty() {
        report.add(Level::Ok, "weights", "", "no NaN, no infinity", "");
    }
    Some(bad.iter().map(|(_, nan, inf)| nan + inf).sum())
}
