//! Config against weights: what a model promises and what its files hold.

use super::config::Config;
use super::weights::{Store, count_non_finite};
use crate::trace::{Dtype, Level, Report};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Weights up to this many bytes are scanned for NaN and infinity when a model is opened.
const SCAN_UP_TO: u64 = 1 << 29;
/// Findings of one kind that are spelled out.
const SPELLED_OUT: usize = 8;

/// The tensors of a Mixtral under their official names, with shapes.
pub fn expected_tensors(config: &Config) -> Vec<(String, Vec<usize>)> {
    let d = config.dims;
    let mut all = vec![
        ("model.embed_tokens.weight".to_owned(), vec![d.vocab, d.d_model]),
        ("model.norm.weight".to_owned(), vec![d.d_model]),
    ];
    if !config.tied {
        all.push(("lm_head.weight".to_owned(), vec![d.vocab, d.d_model]));
    }
    for layer in 0..d.layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        all.push((name("input_layernorm"), vec![d.d_model]));
        all.push((name("post_attention_layernorm"), vec![d.d_model]));
        all.push((name("self_attn.q_proj"), vec![d.heads * d.d_head, d.d_model]));
        all.push((name("self_attn.k_proj"), vec![d.kv_heads * d.d_head, d.d_model]));
        all.push((name("self_attn.v_proj"), vec![d.kv_heads * d.d_head, d.d_model]));
        all.push((name("self_attn.o_proj"), vec![d.d_model, d.heads * d.d_head]));
        all.push((name("block_sparse_moe.gate"), vec![d.experts, d.d_model]));
        for expert in 0..d.experts {
            let name = |part: &str| name(&format!("block_sparse_moe.experts.{expert}.{part}"));
            all.push((name("w1"), vec![d.d_ff, d.d_model]));
            all.push((name("w2"), vec![d.d_model, d.d_ff]));
            all.push((name("w3"), vec![d.d_ff, d.d_model]));
        }
    }
    all
}

/// Checks every tensor against the config; findings of level [`Level::Refuse`] mean that the model can't be run.
/// Returns the weights' dtype (the one that most bytes have).
pub fn check(config: &Config, store: &Store, report: &mut Report) -> Dtype {
    // A config that lies about its layers must not make us spell out millions of names.
    let stored = store.tensors().len();
    if config.dims.layers.saturating_mul(7 + 3 * config.dims.experts) > stored.saturating_mul(4) + 1000 {
        let found = format!("{stored} tensors in the files");
        let expected = format!("{} layers of {} experts", config.dims.layers, config.dims.experts);
        report.add(
            Level::Refuse,
            "config.json: num_hidden_layers",
            expected,
            found,
            "config and weights belong to different models",
        );
        return Dtype::F32;
    }
    let expected = expected_tensors(config);
    check_shapes(&expected, store, report);
    check_unexpected(config, &expected, store, report);
    let dtype = check_dtypes(config, store, report);
    check_finite(store, report);
    dtype
}

fn check_shapes(expected: &[(String, Vec<usize>)], store: &Store, report: &mut Report) {
    let mut wrong = Vec::new();
    for (name, shape) in expected {
        let subject = format!("tensor `{name}`");
        match store.tensors().get(name) {
            None => wrong.push((format!("missing tensor `{name}`"), format!("{shape:?}"), "nothing".to_owned())),
            Some(entry) if entry.shape != *shape => {
                wrong.push((subject, format!("{shape:?}"), format!("{:?}", entry.shape)))
            }
            Some(entry) if entry.dtype.is_none() => {
                wrong.push((subject, "F32, F16 or BF16".to_owned(), entry.dtype_name.clone()))
            }
            Some(_) => {}
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
        let why =
            if config.tied && *name == "lm_head.weight" { "tied embeddings are used instead" } else { "it is ignored" };
        report.add(Level::Note, format!("tensor `{name}`"), "no such tensor", "one", why);
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

fn check_dtypes(config: &Config, store: &Store, report: &mut Report) -> Dtype {
    let mut bytes: BTreeMap<&str, (u64, Option<Dtype>)> = BTreeMap::new();
    for entry in store.tensors().values() {
        let size = store.bytes_of(entry).len() as u64;
        bytes.entry(entry.dtype_name.as_str()).or_insert((0, entry.dtype)).0 += size;
    }
    let main = bytes.values().filter_map(|(size, dtype)| Some((*size, (*dtype)?))).max_by_key(|(size, _)| *size);
    let Some((_, dtype)) = main else { return Dtype::F32 };
    let names: Vec<&str> = bytes.keys().copied().collect();
    let names = names.join(", ");
    if bytes.len() > 1 {
        let advice = format!("computing follows the dtype of most bytes, {dtype}");
        report.add(Level::Warn, "weights", "one dtype", names.clone(), advice);
    }
    match config.dtype {
        Some(said) if said != dtype => report.add(
            Level::Warn,
            "config.json: dtype",
            format!("{said}, as config.json says"),
            format!("{names} in the files"),
            format!("the files are the truth about the weights: computing in {dtype}"),
        ),
        _ => report.add(Level::Ok, "weights", "", format!("dtype {dtype}"), ""),
    }
    dtype
}

fn check_finite(store: &Store, report: &mut Report) {
    let total = store.total_bytes();
    if total > SCAN_UP_TO {
        let found = format!("not scanned for NaN and infinity ({:.1} GB)", total as f64 / 1e9);
        report.add(Level::Note, "weights", "", found, "a run stops at the first non-finite activation and names it");
        return;
    }
    let tensors: Vec<_> = store.tensors().iter().collect();
    let bad: Vec<(&String, usize, usize)> = tensors
        .into_par_iter()
        .filter_map(|(name, entry)| {
            let (nan, inf) = count_non_finite(store.bytes_of(entry), entry.dtype?);
            (nan + inf > 0).then_some((name, nan, inf))
        })
        .collect();
    for (name, nan, inf) in bad.iter().take(SPELLED_OUT) {
        let found = format!("{nan} NaN and {inf} infinite");
        report.add(
            Level::Warn,
            format!("tensor `{name}`"),
            "finite values",
            found,
            "outputs become NaN where it is used",
        );
    }
    if bad.len() > SPELLED_OUT {
        report.add(
            Level::Warn,
            "weights",
            "",
            format!("{} more tensors hold NaN or infinity", bad.len() - SPELLED_OUT),
            "",
        );
    }
    if bad.is_empty() {
        report.add(Level::Ok, "weights", "", "no NaN, no infinity", "");
    }
}
