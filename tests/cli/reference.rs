//! `mixscope run` against the reference: every file of every public case.

mod precision;

use crate::support::cli::*;
use crate::support::{CASES, Reference, assert_close, fixture, model_dir};
use mixscope::trace::{Dtype, Hook, HookKind, TraceFile, Values};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const ABS: f32 = 1e-4;
const REL: f32 = 2e-5;
const PROB: f32 = 2e-5;
const STEPS: usize = 16;
const SITES: [&str; 2] = ["resid_mid", "resid_post"];

fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = logits.iter().map(|x| f64::from(x - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|x| (x / sum) as f32).collect()
}

/// One case of the reference, run with its prompt's ids and 16 steps.
struct Case {
    name: &'static str,
    precision: &'static str,
    model: String,
    config: Value,
    pieces: BTreeMap<u32, String>,
    reference: Reference,
    run: Run,
    trace: TraceFile,
}

impl Case {
    fn new(name: &'static str, stem: &str, precision: &'static str) -> Self {
        let (dir, _temp) = model_dir(name);
        let expected = if name == "tied-window-modern" { "tied-window-legacy" } else { name };
        let reference = Reference::read(expected, stem);
        let ids = ids_of(&read_json(&fixture(name).join(format!("{stem}.json")))["prompt_ids"]);
        assert_eq!(ids, reference.ids());
        let (model, ids, steps) = (dir.to_str().unwrap().to_owned(), join(&ids), STEPS.to_string());
        let run = Run::ok(&[&model, "--prompt-ids", &ids, "--steps", &steps, "--precision", precision]);
        let (config, pieces, trace) = (read_json(&dir.join("config.json")), pieces(&dir), run.trace());
        Self { name, precision, model, config, pieces, reference, run, trace }
    }

    fn size(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap() as usize
    }

    fn layers(&self) -> usize {
        self.size("num_hidden_layers")
    }

    fn top_k(&self) -> usize {
        self.size("num_experts_per_tok")
    }

    fn prompt(&self) -> usize {
        self.reference.ids().len()
    }

    fn positions(&self) -> usize {
        self.prompt() + STEPS
    }

    fn ids(&self) -> Vec<u32> {
        [self.reference.ids(), self.reference.greedy()].concat()
    }

    fn want(&self, name: &str) -> &[f32] {
        self.reference.trace.get(name).unwrap().f32().unwrap()
    }

    fn want_u32(&self, name: &str) -> &[u32] {
        self.reference.trace.get(name).unwrap().u32().unwrap()
    }

    fn extra(&self, name: &str) -> &[f32] {
        self.reference.extras.get(name).unwrap().f32().unwrap()
    }

    fn extra_u32(&self, name: &str) -> &[u32] {
        self.reference.extras.get(name).unwrap().u32().unwrap()
    }
}

/// Each case is run once for all tests.
fn for_each_case(check: impl Fn(&Case)) {
    static RUNS: LazyLock<Vec<Case>> =
        LazyLock::new(|| CASES.into_iter().map(|(name, stem, precision)| Case::new(name, stem, precision)).collect());
    RUNS.iter().for_each(check);
}

#[test]
fn tokens_csv_has_the_references_ids_losses_entropies_and_ranks() {
    for_each_case(|case| {
        let (name, n) = (case.name, case.prompt());
        let rows = case.run.tokens();
        let positions: Vec<usize> = rows.iter().map(|row| row.0).collect();
        assert_eq!(positions, (0..case.positions()).collect::<Vec<_>>(), "{name}");
        assert_eq!(case.run.ids(), case.ids(), "{name}");
        let texts: Vec<&String> = rows.iter().map(|row| &row.2).collect();
        let want: Vec<&String> = case.ids().iter().map(|id| &case.pieces[id]).collect();
        assert_eq!(texts, want, "{name}");
        let reference_texts = token_texts(&case.reference.trace);
        assert_eq!(texts[..n], reference_texts.iter().collect::<Vec<_>>(), "{name}");
        for (pos, row) in rows.iter().enumerate() {
            assert_eq!(row.3, if pos < n { "prompt" } else { "generated" }, "{name} {pos}");
        }
        assert_eq!((rows[0].4, rows[0].5, rows[0].6), (None, None, None), "{name}");
        let nll: Vec<f32> = rows[1..].iter().map(|row| row.4.unwrap()).collect();
        let entropy: Vec<f32> = rows[1..].iter().map(|row| row.5.unwrap()).collect();
        let rank: Vec<u32> = rows[1..].iter().map(|row| row.6.unwrap()).collect();
        assert_close(&format!("{name} nll"), &nll[..n - 1], case.extra("nll"), 1e-4, 0.0);
        // The first generated token is still predicted by a position of the prompt.
        assert_close(&format!("{name} entropy"), &entropy[..n], case.extra("entropy"), 1e-4, 0.0);
        let want: Vec<u32> = case.extra_u32("rank").iter().map(|rank| rank + 1).collect();
        assert_eq!(rank[..n - 1], want, "{name}");
        assert!(rank[n - 1..].iter().all(|rank| *rank == 1), "{name}: greedy tokens are the most probable ones");
        let logits = case.want("unembed.hook_out");
        let vocab = case.size("vocab_size");
        let first = softmax(&logits[(n - 1) * vocab..])[case.ids()[n] as usize];
        assert_close(&format!("{name} first step"), &nll[n - 1..n], &[-first.ln()], 1e-4, 0.0);
        let mean = nll[..n - 1].iter().sum::<f32>() / (n - 1) as f32;
        let want = case.reference.json["mean_loss"].as_f64().unwrap() as f32;
        assert_close(&format!("{name} loss of the prompt"), &[mean], &[want], 1e-4, 0.0);
    });
}

/// What one token's experts are called on in `routing.csv`: (expert of each rank, weight of each rank).
fn by_rank(rows: &[RoutingRow]) -> (Vec<u32>, Vec<f32>) {
    let mut sorted: Vec<&RoutingRow> = rows.iter().collect();
    sorted.sort_by_key(|row| row.5);
    let ranks: Vec<usize> = sorted.iter().map(|row| row.5).collect();
    assert_eq!(ranks, (1..=rows.len()).collect::<Vec<_>>(), "ranks are 1, 2, …");
    assert!(sorted.is_sorted_by(|a, b| a.3 >= b.3), "ranks follow the logits: {sorted:?}");
    (sorted.iter().map(|row| row.2 as u32).collect(), sorted.iter().map(|row| row.6).collect())
}

#[test]
fn routing_csv_has_the_references_logits_probabilities_ranks_and_weights() {
    for_each_case(|case| {
        let (n, layers, k) = (case.prompt(), case.layers(), case.top_k());
        let experts = case.size("num_local_experts");
        let rows: Vec<RoutingRow> = case.run.table("routing.csv");
        let keys: Vec<_> = rows.iter().map(|row| (row.0, row.1, row.2)).collect();
        let tokens = (0..case.positions()).flat_map(|pos| (0..layers).map(move |layer| (pos, layer)));
        let want: Vec<_> = tokens.flat_map(|(pos, l)| (0..experts).map(move |expert| (pos, l, expert))).collect();
        assert_eq!(keys, want, "{}", case.name);
        for (i, rows) in rows.chunks_exact(experts).enumerate() {
            let (pos, layer) = (i / layers, i % layers);
            let what = format!("{} position {pos} layer {layer}", case.name);
            let (order, weights) = by_rank(rows);
            assert!(weights[k..].iter().all(|weight| *weight == 0.0), "{what}: {weights:?}");
            let column = |get: fn(&RoutingRow) -> f32| rows.iter().map(get).collect::<Vec<_>>();
            if pos < n {
                let hook = |name: &str| format!("blocks.{layer}.mlp.hook_{name}");
                let logits = &case.want(&hook("router_logits"))[pos * experts..][..experts];
                assert_close(&what, &column(|row| row.3), logits, ABS, REL);
                let probs = &case.want(&hook("expert_weights"))[pos * experts..][..experts];
                assert_close(&what, &column(|row| row.4), probs, PROB, 0.0);
                assert_eq!(order[..k], case.want_u32(&hook("expert_indices"))[pos * k..][..k], "{what}");
                assert_close(&what, &weights[..k], &case.want(&hook("mixing_weights"))[pos * k..][..k], PROB, 0.0);
            }
            // Step s of the recorded decoding routes the token at position n - 1 + s.
            if (n - 1..n - 1 + STEPS).contains(&pos) {
                let at = ((pos + 1 - n) * layers + layer) * k;
                assert_eq!(order[..k], case.extra_u32("decode.expert_indices")[at..][..k], "{what}");
                assert_close(&what, &weights[..k], &case.extra("decode.mixing_weights")[at..][..k], PROB, 0.0);
            }
        }
    });
}

#[test]
fn attention_csv_has_the_references_patterns_of_all_layers_and_heads() {
    for_each_case(|case| {
        let (n, all, heads) = (case.prompt(), case.positions(), case.size("num_attention_heads"));
        let rows: Vec<AttentionRow> = case.run.table("attention.csv");
        let patterns: Vec<&[f32]> =
            (0..case.layers()).map(|l| case.want(&format!("blocks.{l}.attn.hook_pattern"))).collect();
        let window = case.config["sliding_window"].as_u64().map_or(all, |window| window as usize);
        let mut rest = rows.iter();
        for (layer, pattern) in patterns.into_iter().enumerate() {
            for head in 0..heads {
                for query in 0..all {
                    let what = format!("{} layer {layer} head {head} query {query}", case.name);
                    let row: Vec<&AttentionRow> = rest.by_ref().take(query + 1).collect();
                    let keys: Vec<_> = row.iter().map(|row| (row.0, row.1, row.2, row.3)).collect();
                    assert_eq!(keys, (0..=query).map(|key| (layer, head, query, key)).collect::<Vec<_>>(), "{what}");
                    let weights: Vec<f32> = row.iter().map(|row| row.4).collect();
                    assert_close(&what, &[weights.iter().sum()], &[1.0], 1e-5, 0.0);
                    let unseen = (query + 1).saturating_sub(window);
                    assert!(weights[..unseen].iter().all(|weight| *weight == 0.0), "{what}: outside the window");
                    if query < n {
                        assert_close(&what, &weights, &pattern[(head * n + query) * n..][..=query], PROB, 0.0);
                    }
                }
            }
        }
        assert_eq!(rest.count(), 0, "{}", case.name);
    });
}

/// Whether `id` may be at place `k` of a list of the best ids: only if it is as probable as the id there.
fn may_be_at(id: u32, k: usize, ids: &[u32], probs: &[f32]) -> bool {
    let place = ids.iter().position(|other| *other == id);
    place.is_some_and(|place| place == k || (probs[place] - probs[k]).abs() < 1e-6)
}

#[test]
fn lens_csv_has_the_references_best_tokens_of_every_layer_and_site() {
    for_each_case(|case| {
        let rows: Vec<LensRow> = case.run.table("lens.csv");
        let mut cells = rows.chunks_exact(10);
        for pos in 0..case.positions() {
            for (layer, site) in (0..case.layers()).flat_map(|layer| SITES.map(|site| (layer, site))) {
                let what = format!("{} lens {layer} {site} {pos}", case.name);
                let rows = cells.next().unwrap();
                for (k, row) in rows.iter().enumerate() {
                    assert_eq!((row.0, row.1, row.2.as_str(), row.3), (pos, layer, site, k + 1), "{what}");
                    assert_eq!(row.5, case.pieces[&row.4], "{what}");
                }
                assert!(rows.is_sorted_by(|a, b| a.6 >= b.6), "{what}: best first");
                if pos >= case.prompt() {
                    continue;
                }
                let name = |part: &str| format!("lens.{layer}.{site}.{part}");
                let ids = &case.extra_u32(&name("top_ids"))[pos * 10..][..10];
                let probs = &case.extra(&name("top_probs"))[pos * 10..][..10];
                let logits: Vec<f32> = rows.iter().map(|row| row.6).collect();
                let got: Vec<f32> = rows.iter().map(|row| row.7).collect();
                assert_close(&what, &logits, &case.extra(&name("top_logits"))[pos * 10..][..10], ABS, REL);
                assert_close(&what, &got, probs, PROB, 0.0);
                for (k, row) in rows.iter().enumerate() {
                    assert!(may_be_at(row.4, k, ids, probs), "{what} {k}: {} instead of {}", row.4, ids[k]);
                }
            }
        }
        assert!(cells.next().is_none() && cells.remainder().is_empty(), "{}", case.name);
    });
}

#[test]
fn lens_summary_csv_has_the_rank_of_the_final_token() {
    for_each_case(|case| {
        let rows: Vec<SummaryRow> = case.run.table("lens_summary.csv");
        let (n, layers) = (case.prompt(), case.layers());
        assert_eq!(rows.len(), case.positions() * layers * 2, "{}", case.name);
        for (i, row) in rows.iter().enumerate() {
            let (pos, layer, site) = (i / 2 / layers, i / 2 % layers, SITES[i % 2]);
            let what = format!("{} summary {layer} {site} {pos}", case.name);
            assert_eq!((row.0, row.1, row.2.as_str()), (pos, layer, site), "{what}");
            if (layer, site) == (layers - 1, "resid_post") {
                assert_eq!((row.3, row.6), (1, 0.0), "{what}: the last lens is the model's own output");
            }
            if pos < n {
                let name = |part: &str| format!("lens.{layer}.{site}.{part}");
                assert_eq!(row.3, case.extra_u32(&name("final_rank"))[pos] + 1, "{what}");
                let want = |part: &str| &case.extra(&name(part))[pos..=pos];
                assert_close(&what, &[row.4], want("final_prob"), PROB, 0.0);
                assert_close(&what, &[row.5], want("entropy"), 1e-4, 0.0);
                assert_close(&what, &[row.6], want("kl_final_to_lens"), 1e-4, 1e-5);
            }
        }
    });
}

#[test]
fn candidates_csv_lists_the_best_of_the_references_logits() {
    for_each_case(|case| {
        let rows: Vec<CandidateRow> = case.run.table("candidates.csv");
        let (n, vocab) = (case.prompt(), case.size("vocab_size"));
        assert_eq!(rows.len(), case.positions() * 10, "{}", case.name);
        for (pos, rows) in rows.chunks_exact(10).enumerate() {
            let what = format!("{} candidates {pos}", case.name);
            for (k, row) in rows.iter().enumerate() {
                assert_eq!((row.0, row.1), (pos, k + 1), "{what}");
                assert_eq!(row.3, case.pieces[&row.2], "{what}");
            }
            let ids: Vec<u32> = rows.iter().map(|row| row.2).collect();
            let logits: Vec<f32> = rows.iter().map(|row| row.4).collect();
            if pos < n {
                let all = &case.want("unembed.hook_out")[pos * vocab..][..vocab];
                let probs = softmax(all);
                let mut best: Vec<u32> = (0..vocab as u32).collect();
                best.sort_by(|a, b| all[*b as usize].total_cmp(&all[*a as usize]));
                let at = |values: &[f32], ids: &[u32]| ids.iter().map(|id| values[*id as usize]).collect::<Vec<_>>();
                let best_probs = at(&probs, &best);
                for (k, id) in ids.iter().enumerate() {
                    assert!(may_be_at(*id, k, &best, &best_probs), "{what} {k}: {id} instead of {}", best[k]);
                }
                assert_close(&what, &logits, &at(all, &ids), ABS, REL);
                let got: Vec<f32> = rows.iter().map(|row| row.5).collect();
                assert_close(&what, &got, &at(&probs, &ids), PROB, 0.0);
            }
            if (n - 1..n - 1 + STEPS).contains(&pos) {
                let at = (pos + 1 - n) * 10;
                let want = &case.extra("decode.top10_logits")[at..][..10];
                assert_close(&what, &logits, want, ABS, REL);
                let best = &case.extra_u32("decode.top10_ids")[at..][..10];
                for (k, id) in ids.iter().enumerate() {
                    assert!(may_be_at(*id, k, best, &softmax(want)), "{what} {k}: {id} instead of {}", best[k]);
                }
            }
        }
    });
}

#[test]
fn run_json_says_what_was_run() {
    for_each_case(|case| {
        let (json, name) = (case.run.json(), case.name);
        assert_eq!(json["mixscope"], env!("CARGO_PKG_VERSION"), "{name}");
        assert_eq!(json["model"], case.model, "{name}");
        assert_eq!(json["config"], case.config, "{name}");
        assert_eq!(json["precision"], case.precision, "{name}");
        let dtype = match name {
            "tiny-bf16" => "bf16",
            "tiny-f16" => "f16",
            _ => "f32",
        };
        assert_eq!(json["weights_dtype"], dtype, "{name}");
        assert_eq!(json["prompt"], Value::Null, "{name}");
        assert_eq!(ids_of(&json["prompt_ids"]), case.reference.ids(), "{name}");
        assert_eq!(ids_of(&json["generated_ids"]), case.reference.greedy(), "{name}");
        assert_eq!(ids_of(&json["ids"]), case.ids(), "{name}");
        assert_eq!(json["tokens"], case.positions(), "{name}");
        let sampling = serde_json::json!({"temperature": 0.0, "top_k": null, "top_p": null, "seed": 0});
        assert_eq!(json["sampling"], sampling, "{name}");
        assert_eq!(json["seed"], 0, "{name}");
        let timings = json["timings"].as_object().unwrap();
        assert!(timings.len() >= 3 && timings.values().all(|ms| ms.as_f64().unwrap() >= 0.0), "{name}: {timings:?}");
        let nll: Vec<f64> = case.run.tokens().iter().filter_map(|row| row.4.map(f64::from)).collect();
        let mean = nll.iter().sum::<f64>() / nll.len() as f64;
        assert!((json["mean_loss"].as_f64().unwrap() - mean).abs() < 1e-6, "{name}: {}", json["mean_loss"]);
        assert!(!json["validation"]["findings"].as_array().unwrap().is_empty(), "{name}");
    });
}

#[test]
fn the_trace_describes_itself() {
    for_each_case(|case| {
        let (metadata, name) = (&case.trace.metadata, case.name);
        assert_eq!(metadata["format"], "mixscope-trace", "{name}");
        assert_eq!(metadata["version"], "1", "{name}");
        assert_eq!(metadata["model"], case.model, "{name}");
        assert_eq!(metadata["precision"], case.precision, "{name}");
        let parsed = |key: &str| serde_json::from_str::<Value>(&metadata[key]).unwrap();
        assert_eq!(parsed("config"), case.config, "{name}");
        let texts: Vec<String> = case.run.tokens().into_iter().map(|row| row.2).collect();
        assert_eq!(token_texts(&case.trace), texts, "{name}");
        assert_eq!(parsed("provenance")["engine"], "mixscope", "{name}");
        assert_eq!(parsed("validation"), case.run.json()["validation"], "{name}");
        assert_eq!(case.trace.get("tokens").unwrap().u32().unwrap(), case.ids(), "{name}");
    });
}

/// The rows of the prompt, of a tensor over all positions.
fn prompt_rows<T: Copy>(kind: HookKind, shape: &[usize], values: &[T], n: usize) -> Vec<T> {
    if kind != HookKind::Pattern {
        return values[..values.len() / shape[0] * n].to_vec();
    }
    let (heads, all) = (shape[0], shape[1]);
    let row = |head: usize, query: usize| &values[(head * all + query) * all..][..n];
    (0..heads).flat_map(|head| (0..n).flat_map(move |query| row(head, query).iter().copied())).collect()
}

#[test]
fn the_trace_holds_every_hook_with_the_references_values() {
    for_each_case(|case| {
        let (n, all) = (case.prompt(), case.positions());
        let names: BTreeSet<String> =
            Hook::recorded(mixscope::trace::Dims { layers: case.layers(), ..Default::default() })
                .map(|hook| hook.to_string())
                .collect();
        let is_hook = |name: &&String| *name != "tokens" && !name.starts_with("mixscope.");
        let stored: BTreeSet<String> = case.trace.tensors.keys().filter(is_hook).cloned().collect();
        assert_eq!(stored, names, "{}", case.name);
        for name in names {
            let what = format!("{} {name}", case.name);
            let kind = name.parse::<Hook>().unwrap().kind;
            if kind.is_scale() {
                assert_eq!(case.trace.get(&name).unwrap().shape, [all, 1], "{what}");
                continue;
            }
            let (got, want) = (case.trace.get(&name).unwrap(), case.reference.trace.get(&name).unwrap());
            let mut shape = want.shape.clone();
            shape.iter_mut().filter(|size| **size == n).for_each(|size| *size = all);
            assert_eq!(got.shape, shape, "{what}");
            assert_eq!(got.dtype, Dtype::F32, "{what}");
            match (&got.values, &want.values) {
                (Values::U32(got), Values::U32(want)) => {
                    assert_eq!(&prompt_rows(kind, &shape, got, n), want, "{what}");
                }
                (Values::F32(got), Values::F32(want)) => {
                    let prob = matches!(kind, HookKind::Pattern | HookKind::ExpertWeights | HookKind::MixingWeights);
                    let (abs, rel) = if prob { (PROB, 0.0) } else { (ABS, REL) };
                    assert_close(&what, &prompt_rows(kind, &shape, got, n), want, abs, rel);
                }
                _ => panic!("{what}: integers against floats"),
            }
        }
    });
}

#[test]
fn the_tables_hold_the_traces_numbers_to_the_last_bit() {
    for_each_case(|case| {
        let (all, layers) = (case.positions(), case.layers());
        let experts = case.size("num_local_experts");
        let tensor = |name: String| case.trace.get(&name).unwrap().f32().unwrap();
        for row in case.run.table::<RoutingRow>("routing.csv") {
            let at = |name: &str| tensor(format!("blocks.{}.mlp.hook_{name}", row.1))[row.0 * experts + row.2];
            assert_eq!((row.3, row.4), (at("router_logits"), at("expert_weights")), "{} {row:?}", case.name);
        }
        let patterns: Vec<&[f32]> = (0..layers).map(|l| tensor(format!("blocks.{l}.attn.hook_pattern"))).collect();
        for row in case.run.table::<AttentionRow>("attention.csv") {
            assert_eq!(row.4, patterns[row.0][(row.1 * all + row.2) * all + row.3], "{} {row:?}", case.name);
        }
        let (logits, vocab) = (tensor("unembed.hook_out".to_owned()), case.size("vocab_size"));
        for row in case.run.table::<CandidateRow>("candidates.csv") {
            assert_eq!(row.4, logits[row.0 * vocab + row.2 as usize], "{} {row:?}", case.name);
        }
    });
}

#[test]
fn stdout_of_run_is_the_generated_text_and_nothing_else() {
    for_each_case(|case| {
        let text = case.run.json()["generated_text"].as_str().unwrap().to_owned();
        assert!(!text.is_empty(), "{}", case.name);
        let shown = stdout(&case.run.output);
        assert!(shown.ends_with('\n') && !shown.contains('\x1b'), "{}", case.name);
        if !text.chars().any(char::is_control) {
            assert_eq!(shown, format!("{text}\n"), "{}", case.name);
        }
    });
}
