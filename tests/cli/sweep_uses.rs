//! What a sweep is used for: recorded routing counted like that of a model, chance told from a difference, views exported.

use crate::support::cli::*;
use crate::sweep::{ENGLISH, Expert, Folder, SPANISH, table};
use serde::Deserialize;
use std::fs;

#[test]
fn recorded_routing_gives_the_counts_of_the_model_that_was_recorded() {
    let folder = Folder::new();
    fs::write(folder.at("one.txt"), ENGLISH[0]).unwrap();
    let run = Run::ok(&["--prompt", ENGLISH[0], "--format", "csv", "--quiet"]);
    let (ids, rows) = (run.ids(), run.table::<RoutingRow>("routing.csv"));
    let expert = |pos: usize, layer: usize, rank: usize| {
        rows.iter().find(|row| (row.0, row.1, row.5) == (pos, layer, rank)).unwrap().2
    };
    let olmoe: Vec<Vec<Vec<usize>>> = (0..ids.len())
        .map(|pos| (1..=2).map(|rank| (0..6).map(|layer| expert(pos, layer, rank)).collect()).collect())
        .collect();
    let vllm: Vec<Vec<Vec<usize>>> = (0..ids.len())
        .map(|pos| (0..6).map(|layer| (1..=2).map(|rank| expert(pos, layer, rank)).collect()).collect())
        .collect();
    let line = |value: serde_json::Value| format!("{value}\n");
    fs::write(folder.at("olmoe.jsonl"), line(serde_json::json!({"input_ids": ids, "exp_ids": olmoe}))).unwrap();
    let vllm = serde_json::json!({"prompt_token_ids": ids, "prompt_routed_experts": vllm});
    fs::write(folder.at("vllm.jsonl"), line(vllm)).unwrap();
    let args = ["--format", "csv", "--vocabulary", "input", "--min-count", "1"];
    folder.sweep(&[&[folder.text("one.txt").as_str()], &args[..]].concat(), "model");
    #[derive(Debug, Deserialize, PartialEq)]
    struct Counted {
        layer: usize,
        expert: usize,
        tokens: u64,
        first: u64,
        chosen: u64,
    }
    for name in ["olmoe", "vllm"] {
        let file = folder.text(&format!("{name}.jsonl"));
        folder.sweep(&[&["--recorded", "--experts", "8", file.as_str()], &args[..]].concat(), name);
        let [recorded, model] = [name, "model"].map(|out| table::<Counted>(&folder.at(out).join("experts.csv")));
        assert_eq!(recorded, model, "{name}");
        for table in ["pairs.csv", "transitions.csv", "repeats.csv"] {
            let read = |out: &str| fs::read_to_string(folder.at(out).join(table)).unwrap();
            assert_eq!(read(name).replace(&format!("{name}.jsonl"), "one.txt"), read("model"), "{name}: {table}");
        }
    }
    let fails = |text: &str, what: &str| {
        fs::write(folder.at("bad.jsonl"), text).unwrap();
        let (bad, out) = (folder.text("bad.jsonl"), folder.text("bad"));
        assert_fails(&mixscope(["sweep", "-q", "--recorded", &bad, "--experts", "2", "--out", &out]), 1, what);
    };
    fails("{}", "line 1: expected a JSON object with input_ids and exp_ids (OLMoE)");
    fails(r#"{"input_ids": [1], "exp_ids": [[[5]]]}"#, "it names expert 5, but --experts says that there are 2");
    fails(r#"{"input_ids": [1, 2], "exp_ids": [[[1]]]}"#, "it has 2 token ids, and experts of 1 tokens");
    fails(
        r#"{"input_ids": [1, 2], "exp_ids": [[[1]], [[1], [0]]]}"#,
        "tokens have different numbers of layers or experts",
    );
}

#[test]
fn shuffled_labels_tell_chance_from_a_difference() {
    let folder = Folder::new();
    let lines = |texts: &[&str], n: usize| (0..n).map(|i| texts[i % texts.len()].to_owned() + "\n").collect::<String>();
    fs::write(folder.at("en.txt"), lines(&ENGLISH, 40)).unwrap();
    fs::write(folder.at("es.txt"), lines(&SPANISH, 40)).unwrap();
    // Two halves of the same lines.
    fs::write(folder.at("en2.txt"), lines(&ENGLISH, 40)).unwrap();
    let least_p = |files: &[&str], out: &str| {
        let files: Vec<String> = files.iter().map(|name| folder.text(name)).collect();
        let args: Vec<&str> =
            files.iter().map(String::as_str).chain(["--lines", "--null", "99", "--format", "csv"]).collect();
        folder.sweep(&args, out);
        #[derive(Deserialize)]
        struct Chance {
            parts: usize,
            p: f64,
            z: Option<f64>,
        }
        let rows: Vec<Chance> = table(&folder.at(out).join("chance.csv"));
        assert!(rows.len() == 2 * 6 * 8 && rows.iter().all(|row| row.parts == 40));
        let extreme = rows.iter().filter(|row| row.p <= 0.011 && row.z.is_some_and(|z| z.abs() > 4.0)).count();
        (extreme, rows.len())
    };
    let (languages, all) = least_p(&["en.txt", "es.txt"], "languages");
    assert!(languages > all / 4, "{languages} of {all}: languages differ");
    let (halves, _) = least_p(&["en.txt", "en2.txt"], "halves");
    assert_eq!(halves, 0, "equal halves differ by chance only");
}

#[test]
fn views_of_a_sweep_are_exported() {
    let folder = Folder::new();
    folder.sweep(&[&folder.text("corpus"), "--group-by", "folder", "--format", "csv", "--min-count", "1"], "out");
    folder.sweep(&[&folder.text("corpus"), "--group-by", "folder", "--format", "csv", "--precision", "f32"], "other");
    let (sweep, other) = (folder.text("out"), folder.text("other"));
    let export = |args: &[&str]| mixscope(["export", &sweep, "-o", "-", "--format", "csv"].iter().chain(args));
    let table = |args: &[&str]| {
        let output = export(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        let rows = csv::Reader::from_reader(&output.stdout[..])
            .into_deserialize::<(String, String, Option<f64>, Option<f64>)>();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    };
    let groups = table(&["--view", "sweep.groups", "--layer", "3"]);
    let experts: Vec<Expert> = self::table(&folder.at("out/experts.csv"));
    let found = experts.iter().filter(|row| row.layer == 3);
    let found: Vec<_> =
        found.map(|row| (row.group.clone(), format!("E{}", row.expert), Some(row.specialisation))).collect();
    assert_eq!(groups.iter().map(|row| (row.0.clone(), row.1.clone(), row.2)).collect::<Vec<_>>(), found);
    assert!(groups.iter().all(|row| row.3 == Some(0.25)));
    let usage = table(&["--view", "sweep.usage", "--group", "es", "--measure", "first"]);
    let both = table(&["--view", "sweep.compare", "--group", "es", "--minus", "es", "--measure", "first"]);
    assert!(usage.len() == 48 && both.iter().all(|row| row.2 == Some(0.0)));
    assert_eq!(table(&["--view", "sweep.compare", "--against", &other]).len(), 48);
    let fails = |args: &[&str], code: i32, what: &str| assert_fails(&export(args), code, what);
    fails(&["--view", "sweep.usage", "--layer", "3"], 2, "--layer: it applies to --view sweep.groups");
    fails(&["--view", "sweep.usage", "--token", "3"], 2, "--token: it applies to views of a run");
    fails(&["--view", "sweep.usage", "--group", "fr"], 1, "there is no group `fr`; there are en, es");
    fails(&["--view", "sweep.groups", "--layer", "6"], 1, "layer 6: expected one from 0 to 5");
    fails(&["--view", "sweep.usage", "--against", &other], 2, "--against: --view sweep.usage shows one sweep");
    fails(&["--view", "sweep.usage", "--measure", "load"], 2, "expected one of specialisation, first");
    fails(&["--view", "routing.map", "--group", "es"], 2, "--group: it applies to views of a sweep");
    assert_fails(
        &mixscope(["export", &folder.text("corpus"), "--view", "sweep.usage", "-o", "x.csv"]),
        1,
        "is no sweep",
    );
    // It comes as far as the terminal, which tests do not have.
    assert_fails(&mixscope(["open", &sweep]), 2, "terminal");
}
