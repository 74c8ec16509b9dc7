//! The command line as scripts see it: exit codes, streams, and every file of `run` against the reference.

mod common;

use common::{Reference, assert_close, fixture, model_dir};
use mixscope::trace::{Dtype, Hook, HookKind, TraceFile, Values};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

const ABS: f32 = 1e-4;
const REL: f32 = 2e-5;
const PROB: f32 = 2e-5;
const STEPS: usize = 16;
const SITES: [&str; 2] = ["resid_mid", "resid_post"];
const CSV: [(&str, &str); 6] = [
    ("tokens.csv", "position,token_id,token,source,nll,entropy,rank"),
    ("routing.csv", "position,layer,expert,logit,prob,rank,weight"),
    ("attention.csv", "layer,head,query,key,weight"),
    ("lens.csv", "position,layer,site,k,token_id,token,logit,prob"),
    ("lens_summary.csv", "position,layer,site,final_rank,final_prob,entropy,kl"),
    ("candidates.csv", "position,k,token_id,token,logit,prob"),
];

/// Rows of the tables, columns as in [`CSV`].
type TokenRow = (usize, u32, String, String, Option<f32>, Option<f32>, Option<u32>);
type RoutingRow = (usize, usize, usize, f32, f32, usize, f32);
type AttentionRow = (usize, usize, usize, usize, f32);
type LensRow = (usize, usize, String, usize, u32, String, f32, f32);
type SummaryRow = (usize, usize, String, u32, f32, f32, f32);
type CandidateRow = (usize, usize, u32, String, f32, f32);

fn command(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixscope"));
    command.env("XDG_STATE_HOME", state).env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn mixscope<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let state = tempfile::tempdir().unwrap();
    command(state.path()).args(args).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Nothing on stdout, and one message on stderr that mentions `what`.
fn assert_fails(output: &Output, code: i32, what: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{what}: {text}");
    assert!(output.stdout.is_empty(), "{what}: stdout holds {}", stdout(output));
    assert!(text.contains(what), "{what} is not mentioned: {text}");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    let start = if code == 2 { "error: " } else { "mixscope: " };
    assert!(text.starts_with(start), "{text}");
    assert_eq!(text.matches(start).count(), 1, "{text}");
    assert!(code == 2 || text.trim_end().lines().count() == 1, "{text}");
}

/// `mixscope run ARGS --out FOLDER` and the files it left there.
struct Run {
    output: Output,
    files: BTreeMap<String, Vec<u8>>,
}

impl Run {
    fn of<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self::into(&temp.path().join("out"), args)
    }

    fn into<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Self {
        let args = args.iter().map(AsRef::as_ref);
        let output = mixscope([OsStr::new("run")].into_iter().chain(args).chain(["--out".as_ref(), folder.as_ref()]));
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
        let file =
            |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        Self { output, files: entries.map(file).collect() }
    }

    fn ok<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let run = Self::of(args);
        assert_eq!(run.output.status.code(), Some(0), "{}", stderr(&run.output));
        run
    }

    fn names(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    fn table<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let bytes = self.files[name].as_slice();
        let header = CSV.iter().find(|(table, _)| *table == name).unwrap().1;
        assert!(bytes.starts_with(format!("{header}\r\n").as_bytes()), "{name}: the header row");
        assert!(bytes.ends_with(b"\r\n"), "{name}: rows end with CRLF");
        csv::Reader::from_reader(bytes)
            .deserialize()
            .map(|row| row.unwrap_or_else(|error| panic!("{name}: {error}")))
            .collect()
    }

    fn tokens(&self) -> Vec<TokenRow> {
        self.table("tokens.csv")
    }

    fn ids(&self) -> Vec<u32> {
        self.tokens().into_iter().map(|row| row.1).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.files["run.json"]).unwrap()
    }

    fn trace(&self) -> TraceFile {
        TraceFile::parse(&self.files["trace.safetensors"]).unwrap()
    }

    fn same_tables(&self, other: &Self) {
        for (name, _) in CSV {
            assert!(self.files[name] == other.files[name], "{name} differs");
        }
    }
}

fn join(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn ids_of(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn token_texts(trace: &TraceFile) -> Vec<String> {
    serde_json::from_str(&trace.metadata["token_texts"]).unwrap()
}

/// The spelling of every id, straight from tokenizer.json.
fn pieces(model: &Path) -> BTreeMap<u32, String> {
    let json = read_json(&model.join("tokenizer.json"));
    let vocab = json["model"]["vocab"].as_object().unwrap();
    vocab.iter().map(|(piece, id)| (id.as_u64().unwrap() as u32, piece.clone())).collect()
}

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

const CASES: [(&str, &str, &str); 8] = [
    ("tiny-f32", "reference", "hf"),
    ("tiny-bf16", "reference_float32", "f32"),
    ("tiny-f16", "reference", "f32"),
    ("gqa-headdim", "reference", "hf"),
    ("tied-window-legacy", "reference", "hf"),
    ("tied-window-modern", "reference", "hf"),
    ("top1", "reference", "hf"),
    ("top3", "reference", "hf"),
];

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

/// Whether `id` may stand at place `k` of a list of the best ids: only what is as probable as the id there.
fn stands(id: u32, k: usize, ids: &[u32], probs: &[f32]) -> bool {
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
                    assert!(stands(row.4, k, ids, probs), "{what} {k}: {} instead of {}", row.4, ids[k]);
                }
            }
        }
        assert!(cells.next().is_none() && cells.remainder().is_empty(), "{}", case.name);
    });
}

#[test]
fn lens_summary_csv_says_where_the_final_token_stands() {
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
                    assert!(stands(*id, k, &best, &best_probs), "{what} {k}: {id} instead of {}", best[k]);
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
                    assert!(stands(*id, k, best, &softmax(want)), "{what} {k}: {id} instead of {}", best[k]);
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
        let names: BTreeSet<String> = Hook::all(case.layers()).map(|hook| hook.to_string()).collect();
        let stored: BTreeSet<String> = case.trace.tensors.keys().filter(|name| *name != "tokens").cloned().collect();
        assert_eq!(stored, names, "{}", case.name);
        for name in names {
            let what = format!("{} {name}", case.name);
            let kind = name.parse::<Hook>().unwrap().kind;
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

#[test]
fn the_precision_lab_has_the_references_losses_and_routing() {
    let dir = fixture("precision-lab");
    let (lab, model) = (read_json(&dir.join("lab.json")), dir.join("model"));
    let reference = TraceFile::read(&dir.join("reference_f32.safetensors")).unwrap();
    let ids = join(reference.get("tokens").unwrap().u32().unwrap());
    let model = model.to_str().unwrap();
    let run = Run::ok(&[model, "--prompt-ids", &ids, "--precision", "f32", "--heads", "0.0", "--capture", "routing"]);
    let nll: Vec<f32> = run.tokens().iter().filter_map(|row| row.4).collect();
    let want: Vec<f32> = serde_json::from_value(lab["variants"]["f32"]["nll"].clone()).unwrap();
    assert_close("lab nll", &nll, &want, 1e-4, 0.0);
    let mean = lab["variants"]["f32"]["mean_loss"].as_f64().unwrap();
    assert!((run.json()["mean_loss"].as_f64().unwrap() - mean).abs() < 1e-4);
    let rows: Vec<RoutingRow> = run.table("routing.csv");
    assert_eq!(rows.len(), 256 * 6 * 8);
    for (i, rows) in rows.chunks_exact(8).enumerate() {
        let (pos, layer) = (i / 6, i % 6);
        let what = format!("lab position {pos} layer {layer}");
        let want = |name: &str| reference.get(&format!("blocks.{layer}.mlp.hook_{name}")).unwrap();
        let logits: Vec<f32> = rows.iter().map(|row| row.3).collect();
        assert_close(&what, &logits, &want("router_logits").f32().unwrap()[pos * 8..][..8], ABS, REL);
        let (order, weights) = by_rank(rows);
        assert_eq!(order[..2], want("expert_indices").u32().unwrap()[pos * 2..][..2], "{what}");
        assert_close(&what, &weights[..2], &want("mixing_weights").f32().unwrap()[pos * 2..][..2], PROB, 0.0);
        assert!(weights[2..].iter().all(|weight| *weight == 0.0), "{what}");
    }
}

#[test]
fn bf16_weights_under_the_default_policy_give_the_references_tokens_and_experts_and_a_bf16_trace() {
    let reference = Reference::read("tiny-bf16", "reference");
    let (model, ids) = (fixture("tiny-bf16/model"), join(&reference.ids()));
    let run = Run::ok(&[model.to_str().unwrap(), "--prompt-ids", &ids, "--steps", "16"]);
    let (json, trace, n) = (run.json(), run.trace(), reference.ids().len());
    assert_eq!((&json["precision"], &json["compute_dtype"]), (&Value::from("hf"), &Value::from("bf16")));
    assert_eq!(ids_of(&json["generated_ids"]), reference.greedy());
    assert_eq!(trace.tensors.len(), 1 + Hook::count(3));
    for (name, tensor) in trace.tensors.iter().filter(|(name, _)| *name != "tokens") {
        let kind = name.parse::<Hook>().unwrap().kind;
        let always_f32 = kind.always_f32() || kind == HookKind::ExpertIndices;
        assert_eq!(tensor.dtype, if always_f32 { Dtype::F32 } else { Dtype::Bf16 }, "{name}");
        assert_eq!(tensor.dtype, reference.trace.get(name).unwrap().dtype, "{name}");
    }
    let decoded = reference.extras.get("decode.expert_indices").unwrap().u32().unwrap();
    let set = |experts: &[u32]| experts.iter().copied().collect::<BTreeSet<u32>>();
    for (i, rows) in run.table::<RoutingRow>("routing.csv").chunks_exact(4).enumerate() {
        let (pos, layer) = (i / 3, i % 3);
        let order = by_rank(rows).0;
        let name = format!("blocks.{layer}.mlp.hook_expert_indices");
        assert_eq!(order[..2], trace.get(&name).unwrap().u32().unwrap()[pos * 2..][..2], "{pos} {layer}");
        if pos < n {
            let want = reference.trace.get(&name).unwrap().u32().unwrap();
            assert_eq!(set(&order[..2]), set(&want[pos * 2..][..2]), "{pos} {layer}");
        }
        if (n - 1..n + 15).contains(&pos) {
            let at = ((pos + 1 - n) * 3 + layer) * 2;
            assert_eq!(set(&order[..2]), set(&decoded[at..][..2]), "{pos} {layer}");
        }
        let logits = trace.get(&format!("blocks.{layer}.mlp.hook_router_logits")).unwrap().f32().unwrap();
        let got: Vec<f32> = rows.iter().map(|row| row.3).collect();
        assert_eq!(got, logits[pos * 4..][..4], "bf16 holds what was computed");
    }
}

#[test]
fn the_policy_and_the_dtype_decide_how_a_trace_is_stored() {
    let dtypes = |model: &str, args: &[&str]| {
        let model = fixture(model);
        let run = Run::ok(&[&[model.to_str().unwrap(), "--prompt-ids", "1,300,301", "--quiet"], args].concat());
        let (trace, json) = (run.trace(), run.json());
        let dtype = |name: &str| trace.get(name).unwrap().dtype;
        let router = dtype("blocks.0.mlp.hook_router_logits");
        (dtype("hook_embed"), router, dtype("blocks.0.mlp.hook_expert_weights"), json["compute_dtype"].clone())
    };
    let (f32, f16, bf16) = (Dtype::F32, Dtype::F16, Dtype::Bf16);
    assert_eq!(dtypes("tiny-f16/model", &[]), (f16, f16, f32, "f16".into()));
    assert_eq!(dtypes("tiny-bf16/model", &["--precision", "f32"]), (f32, f32, f32, "bf16".into()));
    assert_eq!(dtypes("tiny-bf16/model", &["--precision", "f32-router"]), (bf16, f32, f32, "bf16".into()));
    assert_eq!(dtypes("tiny-f32/model", &["--dtype", "bf16"]), (bf16, bf16, f32, "bf16".into()));
    assert_eq!(dtypes("tiny-bf16/model", &["--dtype", "float32"]), (f32, f32, f32, "f32".into()));
}

#[test]
fn help_and_version_go_to_stdout_with_status_0() {
    let shows = |args: &[&str], what: &[&str]| {
        let output = mixscope(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {}", stderr(&output));
        for word in what {
            assert!(stdout(&output).contains(word), "{args:?} does not mention {word}: {}", stdout(&output));
        }
    };
    shows(&["--version"], &["mixscope", env!("CARGO_PKG_VERSION")]);
    shows(&["--help"], &["run", "info", "MODEL", "--prompt", "--precision", "--color", "Exit status", "demo"]);
    let documented = "--prompt --prompt-file --prompt-ids --steps --out --precision --dtype --seed --temperature --top-k \
        --top-p --threads --capture --format --layers --heads --lens-k --force --quiet --verbose";
    let output = mixscope(["run", "--help"]);
    let words: BTreeSet<&str> = stdout(&output).split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    for option in documented.split_whitespace() {
        assert!(words.contains(option), "run --help does not mention {option}");
    }
    shows(&["run", "--help"], &["-v", "f32-router", "bf16", "csv", "json", "trace", "routing", "MODEL"]);
    shows(&["info", "--help"], &["MODEL", "--json"]);
}

#[test]
fn wrong_usage_is_status_2_and_names_the_option() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let run = |args: &[&str]| mixscope([&["run", "--out", out.to_str().unwrap()], args].concat());
    let hi = |args: &[&str]| run(&[&["--prompt", "hi"], args].concat());
    assert_fails(&run(&["--prompt", "hi", "--frobnicate"]), 2, "--frobnicate");
    assert_fails(&run(&[]), 2, "--prompt");
    assert_fails(&hi(&["--prompt-ids", "1"]), 2, "--prompt-ids");
    assert_fails(&hi(&["--prompt-file", "x"]), 2, "--prompt-file");
    assert_fails(&run(&["--prompt-ids", "1,x"]), 2, "--prompt-ids");
    assert_fails(&run(&["--prompt-ids", "1,-2"]), 2, "--prompt-ids");
    for p in ["0", "1.5", "-0.5", "nan", "half"] {
        assert_fails(&hi(&[&format!("--top-p={p}")]), 2, "top-p");
    }
    for t in ["-1", "nan", "inf", "warm"] {
        assert_fails(&hi(&[&format!("--temperature={t}")]), 2, "temperature");
    }
    assert_fails(&hi(&["--top-k", "0"]), 2, "top-k");
    assert_fails(&hi(&["--seed", "-1"]), 2, "-1");
    assert_fails(&hi(&["--precision", "f64"]), 2, "--precision");
    assert_fails(&hi(&["--dtype", "int8"]), 2, "--dtype");
    for layers in ["x", "3..1", "2..2", "1..x", "-1..2"] {
        assert_fails(&hi(&[&format!("--layers={layers}")]), 2, "--layers");
    }
    for heads in ["1", "1.", "a.b", "0.0,x", "1.2.3"] {
        assert_fails(&hi(&[&format!("--heads={heads}")]), 2, "--heads");
    }
    assert_fails(&hi(&["--capture", "everything"]), 2, "--capture");
    assert_fails(&hi(&["--format", "docx"]), 2, "--format");
    assert_fails(&hi(&["--threads", "0"]), 2, "--threads");
    assert_fails(&hi(&["--steps", "many"]), 2, "--steps");
    assert_fails(&hi(&["--lens-k=-1"]), 2, "--lens-k");
    assert_fails(&hi(&["--quiet", "--verbose"]), 2, "--quiet");
    assert_fails(&hi(&["demo", "demo"]), 2, "demo");
    assert_fails(&mixscope(["run", "--prompt", "hi"]), 2, "--out");
    assert_fails(&mixscope(["info", "--frobnicate"]), 2, "--frobnicate");
    assert_fails(&mixscope(["--color", "sometimes"]), 2, "--color");
    assert!(!out.exists(), "wrong usage makes no folder");
}

#[test]
fn the_explorer_without_a_terminal_is_wrong_usage() {
    assert_fails(&mixscope::<&str>([]), 2, "terminal");
    assert_fails(&mixscope(["demo", "--prompt", "hi"]), 2, "terminal");
    let state = tempfile::tempdir().unwrap();
    let child = command(state.path()).stdin(Stdio::piped()).spawn().unwrap();
    assert_fails(&child.wait_with_output().unwrap(), 2, "mixscope run");
}

#[test]
fn failed_work_is_status_1_with_nothing_on_stdout() {
    let temp = tempfile::tempdir().unwrap();
    let absent = temp.path().join("absent").to_str().unwrap().to_owned();
    assert_fails(&Run::of(&[&absent, "--prompt", "hi"]).output, 1, &absent);
    assert_fails(&mixscope(["info", &absent]), 1, &absent);
    assert_fails(&mixscope([&absent]), 1, &absent);
    let file = temp.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    assert_fails(&mixscope(["info", file.to_str().unwrap()]), 1, file.to_str().unwrap());
    for out in [file.clone(), file.join("below")] {
        let run = Run::into(&out, &["--prompt", "hi"]);
        assert_fails(&run.output, 1, "--out");
        assert_eq!(std::fs::read(&file).unwrap(), b"not a folder");
    }
    let outside = Run::of(&["--prompt-ids", "1,3072", "--steps", "2"]);
    assert_fails(&outside.output, 1, "3072");
    assert!(outside.files.is_empty());
    assert_fails(&Run::of(&["--prompt-ids", "4294967295"]).output, 1, "4294967295");
    assert_fails(&Run::of(&["--prompt-file", &absent]).output, 1, &absent);
    let bytes = temp.path().join("latin1.txt");
    std::fs::write(&bytes, b"caf\xe9").unwrap();
    assert_fails(&Run::of(&["--prompt-file", bytes.to_str().unwrap()]).output, 1, "UTF-8");
}

#[test]
fn an_empty_list_of_prompt_ids_is_wrong_usage() {
    assert_fails(&Run::of(&["--prompt-ids", "", "--steps", "2"]).output, 2, "prompt-ids");
}

#[test]
fn layers_and_heads_that_the_model_lacks_are_named() {
    for (option, value) in [("--layers", "0..7"), ("--layers", "6"), ("--heads", "0.8"), ("--heads", "0.0,6.0")] {
        let run = Run::of(&["--prompt", "hi", option, value]);
        assert!(matches!(run.output.status.code(), Some(1 | 2)), "{option} {value}");
        assert!(run.output.stdout.is_empty() && run.files.is_empty(), "{option} {value}");
        assert!(stderr(&run.output).contains(option), "{}", stderr(&run.output));
    }
}

#[test]
fn files_of_an_earlier_run_are_overwritten_only_with_force() {
    let temp = tempfile::tempdir().unwrap();
    let first = Run::into(temp.path(), &["--prompt", "One day", "--steps", "2"]);
    assert_eq!(first.output.status.code(), Some(0), "{}", stderr(&first.output));
    let second = Run::into(temp.path(), &["--prompt", "Tom and", "--steps", "2"]);
    assert_fails(&second.output, 1, "--force");
    assert!(stderr(&second.output).contains("tokens.csv"), "{}", stderr(&second.output));
    assert_eq!(second.files, first.files);
    std::fs::write(temp.path().join("mine.txt"), "kept").unwrap();
    let third = Run::into(temp.path(), &["--prompt", "Tom and", "--steps", "2", "--force"]);
    assert_eq!(third.output.status.code(), Some(0), "{}", stderr(&third.output));
    assert_eq!(third.json()["prompt"], "Tom and");
    assert_ne!(third.files["tokens.csv"], first.files["tokens.csv"]);
    assert_eq!(third.files["mine.txt"], b"kept");
    third.same_tables(&Run::ok(&["--prompt", "Tom and", "--steps", "2"]));
}

const STORY: [&str; 4] = ["--prompt", "Once upon a time, there was", "--steps", "12"];

fn story(args: &[&str]) -> Run {
    Run::ok(&[&STORY, args].concat())
}

#[test]
fn the_demo_is_the_default_model() {
    let run = story(&[]);
    assert_eq!(run.json()["model"], "demo");
    assert_eq!(run.json()["prompt"], STORY[1]);
    assert_eq!(run.names().len(), CSV.len() + 2);
    run.same_tables(&story(&["demo"]));
}

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bytes() {
    let (one, again, two) = (story(&["--threads", "1"]), story(&["--threads", "1"]), story(&["--threads", "2"]));
    one.same_tables(&again);
    one.same_tables(&two);
    assert!(one.files["trace.safetensors"] == again.files["trace.safetensors"], "the trace differs between two runs");
    assert!(one.trace().tensors == two.trace().tensors, "the tensors differ between one and two threads");
}

#[test]
fn layers_restrict_all_tables_and_the_trace() {
    let (all, some) = (story(&[]), story(&["--layers", "2..4"]));
    let inside = |layer: usize| (2..4).contains(&layer);
    fn only<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        run: &Run,
        name: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        run.table::<T>(name).into_iter().filter(|row| keep(row)).collect()
    }
    assert_eq!(some.table::<RoutingRow>("routing.csv"), only::<RoutingRow>(&all, "routing.csv", |row| inside(row.1)));
    let attention = only::<AttentionRow>(&all, "attention.csv", |row| inside(row.0));
    assert_eq!(some.table::<AttentionRow>("attention.csv"), attention);
    assert_eq!(some.table::<LensRow>("lens.csv"), only::<LensRow>(&all, "lens.csv", |row| inside(row.1)));
    let summary = only::<SummaryRow>(&all, "lens_summary.csv", |row| inside(row.1));
    assert_eq!(some.table::<SummaryRow>("lens_summary.csv"), summary);
    assert!(!attention.is_empty() && !summary.is_empty());
    assert_eq!(some.files["tokens.csv"], all.files["tokens.csv"]);
    assert_eq!(some.files["candidates.csv"], all.files["candidates.csv"]);
    let keep = |name: &String| name.parse::<Hook>().is_ok_and(|h| h.kind.is_global() || inside(h.layer as usize));
    let wanted: BTreeMap<_, _> =
        all.trace().tensors.into_iter().filter(|(name, _)| name == "tokens" || keep(name)).collect();
    assert_eq!(wanted.len(), 1 + 3 + 2 * 19);
    assert!(some.trace().tensors == wanted);
}

#[test]
fn heads_restrict_the_attention_table_alone() {
    let (all, some) = (story(&[]), story(&["--heads", "0.1,5.7"]));
    let asked = |row: &AttentionRow| [(0, 1), (5, 7)].contains(&(row.0, row.1));
    let want: Vec<AttentionRow> = all.table("attention.csv").into_iter().filter(asked).collect();
    let n = all.tokens().len();
    assert_eq!(want.len(), n * (n + 1));
    assert_eq!(some.table::<AttentionRow>("attention.csv"), want);
    for (name, _) in CSV.iter().filter(|(name, _)| *name != "attention.csv") {
        assert_eq!(some.files[*name], all.files[*name], "{name}");
    }
}

#[test]
fn lens_k_sets_how_many_tokens_a_cell_lists() {
    let (ten, three) = (story(&[]), story(&["--lens-k", "3"]));
    let want: Vec<LensRow> = ten.table("lens.csv").into_iter().filter(|row: &LensRow| row.3 <= 3).collect();
    assert_eq!(three.table::<LensRow>("lens.csv"), want);
    let want: Vec<CandidateRow> =
        ten.table("candidates.csv").into_iter().filter(|row: &CandidateRow| row.1 <= 3).collect();
    assert_eq!(three.table::<CandidateRow>("candidates.csv"), want);
    assert_eq!(want.len(), 3 * ten.tokens().len());
    assert_eq!(three.files["lens_summary.csv"], ten.files["lens_summary.csv"]);
    let all = Run::ok(&["--prompt-ids", "1", "--layers", "0", "--lens-k", "1000000"]);
    assert_eq!(all.table::<CandidateRow>("candidates.csv").len(), 3072, "at most the vocabulary");
}

#[test]
fn format_decides_which_files_are_written() {
    assert_eq!(story(&["--format", "json"]).names(), ["run.json"]);
    assert_eq!(story(&["--format", "trace"]).names(), ["trace.safetensors"]);
    let mut tables = CSV.map(|(name, _)| name);
    tables.sort_unstable();
    assert_eq!(story(&["--format", "csv"]).names(), tables);
    assert_eq!(story(&["--format", "json,trace"]).names(), ["run.json", "trace.safetensors"]);
}

#[test]
fn capture_decides_what_the_trace_keeps_and_leaves_the_tables_whole() {
    let all = story(&[]);
    let tensors = |run: &Run| run.trace().tensors.into_keys().collect::<BTreeSet<String>>();
    let none = story(&["--capture", "none"]);
    assert_eq!(tensors(&none), BTreeSet::from(["tokens".to_owned()]));
    none.same_tables(&all);
    let routing = story(&["--capture", "routing"]);
    let hooks = ["router_logits", "expert_weights", "expert_indices", "mixing_weights"];
    let names = (0..6).flat_map(|layer| hooks.map(|hook| format!("blocks.{layer}.mlp.hook_{hook}")));
    assert_eq!(tensors(&routing), names.chain(["tokens".to_owned()]).collect());
    routing.same_tables(&all);
    let one = story(&["--capture", "attn.hook_z,logits", "--layers", "3"]);
    let names = ["blocks.3.attn.hook_z", "tokens", "unembed.hook_out"].map(str::to_owned);
    assert_eq!(tensors(&one), BTreeSet::from(names));
    assert_eq!(tensors(&all).len(), 1 + Hook::count(6));
}

#[test]
fn stderr_is_empty_when_quiet_and_full_when_verbose() {
    assert!(story(&["--quiet"]).output.stderr.is_empty());
    assert!(story(&["-q"]).output.stderr.is_empty());
    let plain = story(&[]);
    assert!(stderr(&plain.output).contains("tokens.csv"), "{}", stderr(&plain.output));
    for option in ["--verbose", "-v"] {
        let verbose = story(&[option]);
        assert!(stderr(&verbose.output).contains("rope"), "{}", stderr(&verbose.output));
        assert!(verbose.output.stderr.len() > plain.output.stderr.len());
        assert_eq!(stdout(&verbose.output), stdout(&plain.output));
    }
    assert_fails(&Run::of(&["--quiet", "--prompt-ids", "99999"]).output, 1, "99999");
}

#[test]
fn the_seed_decides_what_is_sampled() {
    let ids = |seed: &str| story(&["--temperature", "1", "--seed", seed]).ids();
    assert_eq!(ids("7"), ids("7"));
    assert_ne!(ids("7"), ids("8"));
    let run = story(&["--temperature", "1", "--seed", "7", "--top-k", "40", "--top-p", "0.9"]);
    let sampling = serde_json::json!({"temperature": 1.0, "top_k": 40, "top_p": 0.9, "seed": 7});
    assert_eq!((&run.json()["sampling"], &run.json()["seed"]), (&sampling, &Value::from(7)));
    assert!(run.tokens().iter().skip(run.json()["prompt_ids"].as_array().unwrap().len()).all(|row| row.6 <= Some(40)));
}

#[test]
fn sampling_among_one_token_is_greedy() {
    let greedy = story(&[]);
    let warm = story(&["--temperature", "1", "--seed", "7"]);
    assert_ne!(warm.ids(), greedy.ids());
    story(&["--temperature", "1.5", "--seed", "7", "--top-k", "1"]).same_tables(&greedy);
    story(&["--temperature", "1.5", "--seed", "7", "--top-p", "1e-9"]).same_tables(&greedy);
    story(&["--temperature", "0", "--seed", "9"]).same_tables(&greedy);
}

#[test]
fn a_prompt_reads_the_same_as_text_from_a_file_and_as_ids() {
    let text = story(&[]);
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("prompt.txt");
    std::fs::write(&file, STORY[1]).unwrap();
    let from_file = Run::ok(&["--prompt-file", file.to_str().unwrap(), "--steps", "12"]);
    from_file.same_tables(&text);
    assert_eq!(from_file.json()["prompt"], STORY[1]);
    let ids = join(&ids_of(&text.json()["prompt_ids"]));
    Run::ok(&["--prompt-ids", &ids, "--steps", "12"]).same_tables(&text);
    std::fs::write(&file, format!("{}\n", STORY[1])).unwrap();
    let with_newline = Run::ok(&["--prompt-file", file.to_str().unwrap()]);
    let got = with_newline.tokens();
    assert_eq!(got.last().map(|row| row.2.as_str()), Some("<0x0A>"), "a file is taken as it is");
}

#[test]
fn a_run_without_steps_reads_the_prompt_and_prints_nothing() {
    let run = Run::ok(&["--prompt", "Once upon a time"]);
    assert!(run.output.stdout.is_empty());
    assert!(run.tokens().iter().all(|row| row.3 == "prompt"));
    assert_eq!(run.json()["generated_ids"], serde_json::json!([]));
}

#[test]
fn precision_changes_numbers() {
    let tables = ["hf", "f32", "f32-router"].map(|policy| story(&["--precision", policy]).files["routing.csv"].clone());
    assert!(tables[0] != tables[1] && tables[1] != tables[2] && tables[0] != tables[2]);
}

#[test]
fn info_tells_a_model_as_text_and_as_json() {
    let text = mixscope(["info", "demo"]);
    assert_eq!(text.status.code(), Some(0));
    assert!(text.stderr.is_empty(), "{}", stderr(&text));
    for what in ["demo", "6", "8 experts", "top-2", "5.76 M", "bf16", "512", "3072", "hf", "validated"] {
        assert!(stdout(&text).contains(what), "{what}: {}", stdout(&text));
    }
    let output = mixscope(["info", "demo", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["model"], "demo");
    assert_eq!(json["parameters"], 5_758_592);
    // Six of eight experts rest in each of six layers.
    assert_eq!(json["active_parameters"], 5_758_592 - 6 * 6 * 3 * 128 * 256);
    assert_eq!((&json["weights_dtype"], &json["context"]), (&Value::from("bf16"), &Value::from(512)));
    assert_eq!(json["weight_bytes"], 2 * 5_758_592);
    assert_eq!((&json["dims"]["layers"], &json["dims"]["experts"]), (&Value::from(6), &Value::from(8)));
    let findings = json["validation"]["findings"].as_array().unwrap();
    assert!(findings.len() > 5 && findings.iter().all(|finding| finding["level"] == "ok"), "{findings:?}");
    assert!(stdout(&mixscope(["info"])).contains("5.76 M"), "no MODEL is the demo");
}

#[test]
fn info_counts_the_parameters_of_every_case() {
    for (case, _, _) in CASES {
        let (dir, _temp) = model_dir(case);
        let output = mixscope(["info".as_ref(), dir.as_os_str(), "--json".as_ref()]);
        assert_eq!(output.status.code(), Some(0), "{case}: {}", stderr(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let size = if json["weights_dtype"] == "f32" { 4 } else { 2 };
        assert_eq!(json["weight_bytes"].as_u64().unwrap(), size * json["parameters"].as_u64().unwrap(), "{case}");
    }
}

/// The text that pieces of a sentencepiece tokenizer with byte fallback spell.
fn spelled(pieces: &[String]) -> String {
    let mut bytes = Vec::new();
    for piece in pieces {
        let byte = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(piece.replace('▁', " ").as_bytes()),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_awkward_prompt_survives_in_every_file_and_never_reaches_the_terminal_raw() {
    let prompt = "He said \"no\", then,\r\n\n\t'left';\u{3000}日本語 🦀👩‍👩‍👧 é e\u{301} \
        \x1b[31mred\x1b[0m\x1b]0;title\x07\x08\u{9b}2J\x7f ,\"\",";
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("prompt.txt");
    std::fs::write(&file, format!("{prompt}\0end")).unwrap();
    let from_file = ["--prompt-file", file.to_str().unwrap()];
    for (text, args) in [(prompt.to_owned(), ["--prompt", prompt]), (format!("{prompt}\0end"), from_file)] {
        for verbosity in ["--verbose", "--quiet"] {
            let run = Run::ok(&[&args[..], &["--steps", "20", "--temperature", "1.5", verbosity]].concat());
            let texts: Vec<String> = run.tokens().into_iter().map(|row| row.2).collect();
            assert_eq!(texts, token_texts(&run.trace()));
            let n = run.json()["prompt_ids"].as_array().unwrap().len();
            assert_eq!(texts[0], "<s>");
            assert_eq!(spelled(&texts[1..n]).trim_start(), text);
            assert_eq!(run.json()["prompt"], text);
            for stream in [&run.output.stdout, &run.output.stderr] {
                let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\n' && *byte != b'\t';
                assert!(!stream.iter().any(control), "{:?}", String::from_utf8_lossy(stream));
            }
        }
    }
}

#[test]
fn generated_text_can_not_send_escape_sequences_to_the_terminal() {
    let temp = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("gqa-headdim/model")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), temp.path().join(entry.file_name())).unwrap();
    }
    // The tokenizer is changed so that two tokens of the greedy continuation spell control sequences.
    let reference = Reference::read("gqa-headdim", "reference");
    let bytes: Vec<u32> =
        reference.greedy().into_iter().filter(|id| (3..259).contains(id) && *id != 3 + 0x1b).collect();
    let path = temp.path().join("tokenizer.json");
    let mut json = read_json(&path);
    let vocab = json["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|_, id| ![u64::from(bytes[0]), u64::from(bytes[1]), 3 + 0x1b].contains(&id.as_u64().unwrap()));
    vocab.insert("<0x1B>".to_owned(), bytes[0].into());
    vocab.insert("\x1b]0;owned\x07\u{9b}2J".to_owned(), bytes[1].into());
    std::fs::write(&path, json.to_string()).unwrap();
    let (model, ids) = (temp.path().to_str().unwrap(), join(&reference.ids()));
    let run = Run::ok(&[model, "--prompt-ids", &ids, "--steps", "16", "--verbose"]);
    assert_eq!(ids_of(&run.json()["generated_ids"]), reference.greedy());
    assert!(run.json()["generated_text"].as_str().unwrap().matches('\x1b').count() >= 2, "the test bites");
    assert_eq!(run.tokens().into_iter().map(|row| row.2).collect::<Vec<_>>(), token_texts(&run.trace()));
    for text in [stdout(&run.output), stderr(&run.output)] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    }
}

#[test]
fn generation_ends_at_the_end_of_text_token() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(fixture("tiny-f32/model").join(name), temp.path().join(name)).unwrap();
    }
    let reference = Reference::read("tiny-f32", "reference");
    let generation = serde_json::json!({"eos_token_id": [2, reference.greedy()[4]]});
    std::fs::write(temp.path().join("generation_config.json"), generation.to_string()).unwrap();
    let (model, ids) = (temp.path().to_str().unwrap(), join(&reference.ids()));
    let run = Run::ok(&[model, "--prompt-ids", &ids, "--steps", "16"]);
    assert_eq!(ids_of(&run.json()["generated_ids"]), reference.greedy()[..5]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let state = tempfile::tempdir().unwrap();
    let mut child = command(state.path()).args(["info", "demo", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_can_not_be_written_are_failed_work() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let state = tempfile::tempdir().unwrap();
    let output = command(state.path()).args(["info", "demo"]).stdout(full).output().unwrap();
    assert_fails(&output, 1, "space");
}
