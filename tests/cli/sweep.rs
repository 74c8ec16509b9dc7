//! `mixscope sweep`: its tables against a plain count of what `run` writes, shards, and bad input.

use crate::support::cli::*;
use crate::support::fixture;
use crate::support::still::demo;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of the demo's world, in two tongues.
pub const ENGLISH: [&str; 4] = [
    "Once upon a time there was a cat. The cat sat on the mat, and the cat saw a dog.",
    "The capital of France is Paris. The capital of Spain is Madrid.",
    "One two three four five six seven eight nine ten. Ten nine eight seven six.",
    "Anna gave the book to Tom, and Tom gave the book to Anna.",
];
pub const SPANISH: [&str; 3] = [
    "El gato duerme en la casa. El perro come pan.",
    "La capital de Francia es París. La capital de España es Madrid.",
    "Uno dos tres cuatro cinco seis siete ocho nueve diez.",
];

pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A corpus of two folders, one with lines of JSON.
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(folder.at("corpus/en")).unwrap();
        fs::create_dir_all(folder.at("corpus/es")).unwrap();
        fs::write(folder.at("corpus/en/a.txt"), ENGLISH[..2].join("\n").repeat(6)).unwrap();
        fs::write(folder.at("corpus/en/b.txt"), ENGLISH[2..].join("\n")).unwrap();
        let line = |text: &&str| format!("{}\n", serde_json::json!({"text": text, "lang": "es"}));
        fs::write(folder.at("corpus/es/c.jsonl"), SPANISH.iter().map(line).collect::<String>()).unwrap();
        fs::write(folder.at("corpus/es/notes.pdf"), "no text").unwrap();
        folder
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// `mixscope sweep ARGS --out FOLDER`.
    #[track_caller]
    pub fn sweep(&self, args: &[&str], out: &str) {
        let out = self.text(out);
        let output = mixscope(["sweep"].iter().chain(args).chain(&["--quiet", "--out", out.as_str()]));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

/// What a test looks at in `experts.csv`.
#[derive(Debug, Deserialize)]
pub struct Expert {
    pub group: String,
    pub layer: usize,
    pub expert: usize,
    tokens: u64,
    first: u64,
    chosen: u64,
    pub specialisation: f64,
    mean_weight: Option<f64>,
    mean_prob: f64,
}

pub fn table<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

/// Tokens that chose an expert, as `run` writes them: first choices, choices, sum of weights, sum of probabilities.
#[derive(Clone, Default)]
struct Plain {
    first: u64,
    chosen: u64,
    weight: f64,
    prob: f64,
}

/// Everything that `run` says of some windows.
#[derive(Default)]
struct PlainCount {
    tokens: u64,
    loss: Vec<f64>,
    experts: BTreeMap<(usize, usize), Plain>,
    together: BTreeMap<(usize, usize, usize), u64>,
    next: BTreeMap<(usize, usize, usize), u64>,
    same_first: BTreeMap<usize, [u64; 2]>,
}

impl PlainCount {
    fn add(&mut self, ids: &[u32]) {
        let run = Run::ok(&["--prompt-ids", &join(ids), "--format", "csv", "--quiet"]);
        self.tokens += ids.len() as u64;
        self.loss.extend(run.tokens().into_iter().filter_map(|row| row.4).map(f64::from));
        let rows: Vec<RoutingRow> = run.table("routing.csv");
        let mut chosen: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (position, layer, expert, _, prob, rank, weight) in rows {
            let plain = self.experts.entry((layer, expert)).or_default();
            plain.prob += f64::from(prob);
            if weight > 0.0 {
                plain.first += u64::from(rank == 1);
                plain.chosen += 1;
                plain.weight += f64::from(weight);
                chosen.entry((layer, position)).or_default().push((rank, expert));
            }
        }
        chosen.values_mut().for_each(|ranked| ranked.sort_unstable());
        for ((layer, position), ranked) in &chosen {
            let experts: Vec<usize> = ranked.iter().map(|(_, expert)| *expert).collect();
            for a in &experts {
                for b in experts.iter().filter(|b| *b != a) {
                    *self.together.entry((*layer, *a, *b)).or_default() += 1;
                }
            }
            if let Some(above) = chosen.get(&(layer + 1, *position)) {
                *self.next.entry((*layer, experts[0], above[0].1)).or_default() += 1;
            }
            if let Some(before) = position.checked_sub(1).and_then(|before| chosen.get(&(*layer, before))) {
                let [same, all] = self.same_first.entry(*layer).or_default();
                *same += u64::from(before[0].1 == experts[0]);
                *all += 1;
            }
        }
    }
}

#[test]
fn tables_are_a_plain_count_of_what_run_writes() {
    const WINDOW: usize = 48;
    let folder = Folder::new();
    folder.sweep(&[&folder.text("corpus"), "--group-by", "folder", "--window", "48", "--format", "csv"], "out");
    let ids_of = |text: &str| Run::ok(&["--prompt", text, "--format", "csv", "--quiet"]).ids();
    let mut plain: BTreeMap<&str, PlainCount> = BTreeMap::new();
    let english = ["a.txt", "b.txt"].map(|name| fs::read_to_string(folder.at("corpus/en").join(name)).unwrap());
    let texts = english.iter().map(|text| ("en", text.as_str())).chain(SPANISH.map(|text| ("es", text)));
    for (group, text) in texts {
        let ids = ids_of(text);
        for chunk in ids[1..].chunks(WINDOW - 1) {
            plain.entry(group).or_default().add(&[&ids[..1], chunk].concat());
        }
    }
    assert!(plain["en"].tokens > 3 * WINDOW as u64, "there are several windows");

    let experts: Vec<Expert> = table(&folder.at("out/experts.csv"));
    assert_eq!(experts.len(), 2 * 6 * 8);
    for row in &experts {
        let count = &plain[row.group.as_str()];
        let of = &count.experts[&(row.layer, row.expert)];
        assert_eq!((row.tokens, row.first, row.chosen), (count.tokens, of.first, of.chosen), "{row:?}");
        assert_eq!(row.specialisation, of.chosen as f64 / count.tokens as f64);
        assert!((row.mean_prob - of.prob / count.tokens as f64).abs() < 1e-12, "{row:?}");
        match row.mean_weight {
            Some(mean) => assert!((mean - of.weight / of.chosen as f64).abs() < 1e-12, "{row:?}"),
            None => assert_eq!(of.chosen, 0),
        }
    }
    type Pair = (String, String, usize, usize, usize, u64);
    let pairs = fs::read_to_string(folder.at("out/pairs.csv")).unwrap();
    let pairs: Vec<Pair> = csv::Reader::from_reader(pairs.as_bytes())
        .records()
        .map(|row| row.unwrap().into_iter().take(6).collect::<csv::StringRecord>().deserialize(None).unwrap())
        .collect();
    assert_eq!(pairs.len(), plain.values().map(|count| count.together.len()).sum::<usize>());
    for (group, _, layer, expert, with, together) in pairs {
        assert_eq!(together, plain[group.as_str()].together[&(layer, expert, with)]);
    }
    #[derive(Deserialize)]
    struct Transition {
        group: String,
        layer: usize,
        expert: usize,
        next_expert: usize,
        first: u64,
    }
    let transitions: Vec<Transition> = table(&folder.at("out/transitions.csv"));
    for row in &transitions {
        let of = plain[row.group.as_str()].next.get(&(row.layer, row.expert, row.next_expert));
        assert_eq!(row.first, of.copied().unwrap_or(0));
    }
    assert_eq!(
        transitions.iter().map(|row| row.first).sum::<u64>(),
        5 * plain.values().map(|count| count.tokens).sum::<u64>()
    );
    #[derive(Deserialize)]
    struct Repeat {
        group: String,
        layer: usize,
        neighbours: u64,
        same_first: u64,
        any_at_random: f32,
    }
    for row in table::<Repeat>(&folder.at("out/repeats.csv")) {
        assert_eq!([row.same_first, row.neighbours], plain[row.group.as_str()].same_first[&row.layer]);
        // The 46 % of the Mixtral paper.
        assert!((row.any_at_random - 0.4643).abs() < 1e-4);
    }
    #[derive(Deserialize)]
    struct Group {
        group: String,
        texts: u64,
        tokens: u64,
        loss: f64,
    }
    for row in table::<Group>(&folder.at("out/groups.csv")) {
        let count = &plain[row.group.as_str()];
        assert_eq!((row.texts, row.tokens), (if row.group == "en" { 2 } else { 3 }, count.tokens));
        assert!((row.loss - count.loss.iter().sum::<f64>() / count.loss.len() as f64).abs() < 1e-9);
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    let [a, b] = [a, b].map(files);
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

#[test]
fn shards_merge_to_the_bytes_of_one_run() {
    let folder = Folder::new();
    let corpus = folder.text("corpus");
    let args = [
        corpus.as_str(),
        "--group-by",
        "file",
        "--lines",
        "--window",
        "32",
        "--min-count",
        "1",
        "--decode",
        "3",
        "--null",
        "20",
    ];
    folder.sweep(&args, "whole");
    for shard in ["1/3", "3/3"] {
        folder.sweep(&[&args[..], &["--shard", shard, "--threads", "1"]].concat(), &format!("shard{}", &shard[..1]));
    }
    // The second is a task of a Slurm array that begins at 4.
    let out = folder.text("shard2");
    let mut task = command(folder.0.path());
    task.envs([("SLURM_ARRAY_TASK_ID", "5"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "4")]);
    let output = task.arg("sweep").args(args).args(["--out", &out]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("this is shard 2 of 3"), "{}", stderr(&output));
    let shards = ["shard3", "shard1", "shard2"].map(|name| folder.text(name));
    let merge = |shards: &[String], out: &str| {
        let out = folder.text(out);
        let shards = shards.iter().map(String::as_str);
        // Which tokens the table leaves out is not part of the counts.
        mixscope(["sweep", "--merge"].into_iter().chain(shards).chain(["--min-count", "1", "--out", &out]))
    };
    let output = merge(&shards, "merged");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_same(&folder.at("merged"), &folder.at("whole"));
    let whole = files(&folder.at("whole"));
    assert_eq!(whole.len(), 2 * 10 + 2, "{:?}", whole.keys());
    let shown: String = String::from_utf8_lossy(&whole["sweep.json"]).into_owned();
    assert!(!shown.contains(folder.0.path().to_str().unwrap()), "no path of this machine: {shown}");

    assert_fails(&merge(&shards[..2], "part"), 1, "of 3 shards these are missing: 2");
    assert_fails(&merge(&[shards[0].clone(), shards[0].clone()], "twice"), 1, "are both shard 3 of 3");
    assert_fails(&merge(&[folder.text("whole")], "none"), 1, "is a sweep of a whole corpus, expected a shard");
    assert_fails(&merge(&[folder.text("nothing")], "none"), 1, "cannot read");
}

#[test]
fn a_sweep_that_was_stopped_continues_to_the_same_bytes() {
    let folder = Folder::new();
    let lines: Vec<String> =
        (0..120).map(|i| serde_json::json!({"text": ENGLISH[i % 4], "n": i % 5}).to_string()).collect();
    let write = |last: &str| fs::write(folder.at("c.jsonl"), format!("{}\n{last}\n", lines.join("\n"))).unwrap();
    let corpus = folder.text("c.jsonl");
    let sweep = |out: &str, more: &[&str]| {
        let out = folder.text(out);
        let args = ["sweep", &corpus, "--group-by", "n", "--window", "16", "--out", &out];
        mixscope(args.iter().chain(more))
    };
    write("{ not JSON");
    let broken = sweep("stopped", &[]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(stderr(&broken).contains("line 121: expected a JSON object"), "{}", stderr(&broken));
    assert!(stderr(&broken).contains("--resume continues"), "{}", stderr(&broken));
    write(&serde_json::json!({"text": "The end.", "n": 9}).to_string());
    let other = sweep("stopped", &["--resume", "--contexts", "3"]);
    assert_fails(&other, 2, "--resume: options.contexts was 8 in the stopped sweep and is 3 now");
    let done = sweep("stopped", &["--resume"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(sweep("whole", &[]).status.code(), Some(0));
    assert_same(&folder.at("stopped"), &folder.at("whole"));
    assert_fails(&sweep("whole", &["--resume"]), 1, "there is no stopped sweep in");
    assert_fails(&sweep("whole", &[]), 1, "already holds groups.csv");

    // The texts before the place where it stopped must be the same.
    write("{ not JSON");
    sweep("changed", &[]);
    fs::write(folder.at("c.jsonl"), lines.join("\n").replace("Paris", "Rome")).unwrap();
    assert_fails(&sweep("changed", &["--resume", "-q"]), 1, "the texts are not those of the interrupted sweep");
}

#[cfg(unix)]
#[test]
fn signals_keep_what_was_counted() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::io::{BufRead, BufReader, Read};
    use std::time::Duration;
    let folder = Folder::new();
    fs::create_dir(folder.at("long")).unwrap();
    fs::write(folder.at("long/long.txt"), ENGLISH.join("\n").repeat(60_000)).unwrap();
    fs::write(folder.at("long/notes.pdf"), "no text").unwrap();
    let signals = [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)];
    let long = folder.text("long");
    for (signal, status) in signals {
        let out = folder.text(signal.as_str());
        let mut child = command(folder.0.path()).args(["sweep", &long, "--out", &out]).spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut note = String::new();
        // It is the last step before texts are read.
        while !note.contains("notes.pdf is no text and is left out") {
            assert_ne!(messages.read_line(&mut note).unwrap(), 0, "{note}");
        }
        std::thread::sleep(Duration::from_secs(3));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let mut rest = String::new();
        messages.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status), "{note}{rest}");
        assert!(rest.contains("tokens are counted in"), "{rest}");
        assert!(folder.at(signal.as_str()).join("sweep.partial.safetensors").exists());
    }
}

#[test]
fn a_layer_without_a_router_has_no_rows() {
    let folder = Folder::new();
    let model = fixture("families/qwen2-moe-dense/model").display().to_string();
    folder.sweep(&[&model, &folder.text("corpus")], "out");
    for name in ["layers.csv", "experts.csv", "repeats.csv"] {
        let mut rows = csv::Reader::from_path(folder.at("out").join(name)).unwrap();
        let layers: BTreeSet<String> = rows.records().map(|row| row.unwrap()[2].to_owned()).collect();
        assert_eq!(layers.into_iter().collect::<Vec<_>>(), ["0", "2"], "{name}");
    }
}

#[test]
fn bad_input_is_named() {
    let folder = Folder::new();
    let out = folder.text("out");
    let fails = |args: &[&str], code: i32, what: &str| {
        assert_fails(&mixscope(["sweep", "--out", &out, "-q"].iter().chain(args)), code, what);
    };
    let corpus = folder.text("corpus");
    fails(&[], 2, "texts are needed");
    fails(&["demo"], 2, "texts are needed");
    fails(&["nosuch.txt"], 1, "there is no file or directory nosuch.txt");
    fails(&["demo", "nosuch.txt"], 1, "cannot read nosuch.txt");
    fails(&[&corpus, "--shard", "0/7"], 2, "--shard: expected a shard from 1 to N, such as 3/7, found `0/7`");
    let context = demo().meta.dims.context;
    let wide = (context + 1).to_string();
    fails(&[&corpus, "--window", &wide], 2, &format!("--window: expected from 2 to {context} tokens"));
    fails(&[&corpus, "--group-by", "lang"], 1, "names a field of JSON lines (.jsonl), but");
    fails(&["--merge", &corpus, "--shard", "1/2"], 2, "--shard");
    let file = |name: &str, bytes: &[u8]| {
        fs::write(folder.at(name), bytes).unwrap();
        folder.text(name)
    };
    fails(&[&file("x.jsonl", b"{\"body\": \"x\"}\n")], 1, "--text-field names another of body");
    fails(&[&file("x.txt", b"caf\xe9\n")], 1, "found the byte 0xe9 at offset 3");
    fails(&[&file("x.txt.gz", b"x")], 1, "unpack it first");
    fails(&[&file("empty.txt", b" \n")], 1, "the texts are empty");
    fails(
        &[&corpus, &folder.text("corpus/es"), "--group-by", "file", "--text-field", "body"],
        1,
        "line 1: expected a text in the field `body`",
    );
    fs::create_dir(folder.at("nothing")).unwrap();
    fails(&[&folder.text("nothing")], 1, "holds no .txt, .md, .jsonl or .ndjson file");
    fs::create_dir(folder.at("merge")).unwrap();
    fs::write(folder.at("merge/sweep.safetensors"), b"{}").unwrap();
    fails(&["--merge", &folder.text("merge")], 1, "is not a readable sweep");
}

#[test]
fn stdin_is_a_text_and_the_summary_goes_to_stdout() {
    use std::io::Write;
    let folder = Folder::new();
    let mut child = command(folder.0.path());
    let mut child =
        child.args(["sweep", "-", "--out", &folder.text("out")]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(ENGLISH.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("stdin"), "{}", stdout(&output));
}

#[test]
fn generated_tokens_are_counted_apart_and_are_those_of_run() {
    let folder = Folder::new();
    fs::write(folder.at("one.txt"), ENGLISH[1]).unwrap();
    folder.sweep(
        &[&folder.text("one.txt"), "--decode", "5", "--format", "csv", "--vocabulary", "input", "--min-count", "1"],
        "out",
    );
    let run = Run::ok(&["--prompt", ENGLISH[1], "--steps", "5", "--format", "csv", "--quiet"]);
    let prompt = run.tokens().iter().filter(|row| row.3 == "prompt").count();
    let rows: Vec<RoutingRow> = run.table("routing.csv");
    #[derive(Deserialize)]
    struct Phased {
        phase: String,
        layer: usize,
        expert: usize,
        tokens: u64,
        chosen: u64,
    }
    for row in table::<Phased>(&folder.at("out/experts.csv")) {
        let is_decode = row.phase == "decode";
        let of = rows.iter().filter(|of| (of.0 >= prompt) == is_decode && (of.1, of.2) == (row.layer, row.expert));
        assert_eq!(
            row.chosen,
            of.clone().filter(|of| of.6 > 0.0).count() as u64,
            "{} L{}.E{}",
            row.phase,
            row.layer,
            row.expert
        );
        assert_eq!(row.tokens, of.count() as u64);
    }
}
