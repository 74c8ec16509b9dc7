//! Edits on the command line: run --edit, effect, ablate, patch.

use crate::support::cli::{mixscope, same, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::path::Path;

const PROMPT: [&str; 2] = ["--prompt", "The capital of France is"];

fn read(path: &Path) -> Vec<Vec<String>> {
    let mut table = csv::Reader::from_path(path).unwrap();
    let head = table.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = table.records().map(|row| row.unwrap().iter().map(str::to_owned).collect());
    [head].into_iter().chain(rows).collect()
}

#[test]
fn a_run_under_edits_names_them_with_their_sites() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("edits.txt");
    fs::write(&list, "# first\ntopk L2 3\n").unwrap();
    let out = folder.path().join("run");
    let at = |path: &Path| path.display().to_string();
    let args = ["run", "--steps", "2", "--edits", &at(&list), "--edit", "zero L5.H4@last", "--out", &at(&out)];
    let output = mixscope(args.into_iter().chain(PROMPT));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("zero L5.H4@last: 1 site (a token"), "{}", stderr(&output));
    let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let tokens = run["tokens"].as_u64().unwrap();
    assert_eq!(run["edits"][0], serde_json::json!({"edit": "topk L2 3", "sites": tokens}));
    assert_eq!(run["edits"][1], serde_json::json!({"edit": "zero L5.H4@last", "sites": 1}));
    // Three experts of a token have weights in layer 2, two in the others.
    let rows = read(&out.join("routing.csv"));
    let weighted =
        |layer: &str| rows[1..].iter().filter(|row| row[1] == layer && row[6].parse::<f64>() != Ok(0.0)).count() as u64;
    assert_eq!((weighted("2"), weighted("3")), (3 * tokens, 2 * tokens));
    // The trace opens and replays: the same run without naming its edits.
    let again = folder.path().join("again");
    let replay = format!("replay L2 {}", at(&out.join("trace.safetensors")));
    let args = ["run", "--edit", &replay, "--format", "csv", "--out", &at(&again)];
    let output = mixscope(args.into_iter().chain(PROMPT));
    assert!(output.status.success(), "{}", stderr(&output));
    let experts = |rows: &[Vec<String>]| -> Vec<Vec<String>> {
        rows[1..].iter().filter(|row| row[0] == "3" && row[1] == "2").map(|row| row[2..].to_vec()).collect()
    };
    assert_eq!(experts(&read(&again.join("routing.csv"))), experts(&rows));
}

#[test]
fn an_effect_is_the_same_as_text_json_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("effect");
    let out_text = out.display().to_string();
    let args = ["effect", "--edit", "zero L5.mlp", "--null", "3", "--steps", "4", "--json", "--out", &out_text];
    let output = mixscope(args.into_iter().chain(PROMPT));
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(fs::read_to_string(out.join("effect.json")).unwrap(), stdout(&output));
    let number = |name: &str| json[name].as_f64().unwrap_or_else(|| panic!("{name}: {json}"));
    let positions = read(&out.join("effect_positions.csv"));
    let column = |at: usize| positions[1..].iter().filter_map(|row| row[at].parse::<f64>().ok()).collect::<Vec<_>>();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    assert!((mean(column(4)) - number("kl")).abs() < 1e-9 && number("kl") > 0.0);
    assert!((mean(column(3)) - number("loss_change")).abs() < 1e-6);
    assert_eq!(json["sites"].as_u64().unwrap() as usize, positions.len() - 1);
    for name in ["target_logit_change", "target_logprob_change"] {
        assert!(number(name).is_finite());
    }
    assert!(json["logit_difference_change"].is_null(), "there is no foil");
    assert_eq!(json["null"]["count"], 3);
    assert_eq!(json["null"]["places"]["kl"]["of"], 3);
    // The last block reaches no router: no flip, and only the last residual changes.
    assert_eq!(json["flips"], 0);
    let layers = read(&out.join("effect_layers.csv"));
    assert!(
        layers[1..6].iter().all(|row| row[4] == "0.0" || row[4] == "0") && layers[6][4].parse::<f64>().unwrap() > 0.0
    );
}

#[test]
fn an_edit_without_a_site_says_so() {
    let output = mixscope(["effect", "--edit", "scale L*.E* 1"].into_iter().chain(PROMPT));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("0 sites: it changed nothing"), "{}", stdout(&output));
    assert!(stdout(&output).contains("KL(A || B)                   0 nats"), "{}", stdout(&output));
}

#[test]
fn edits_of_generated_tokens_are_counted_and_edited_traces_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let args = ["effect", "--edit", "zero L5.mlp@generated", "--steps", "4", "--json"];
    let json: Value = serde_json::from_str(stdout(&mixscope(args.into_iter().chain(PROMPT)))).unwrap();
    assert!(json["edits"][0]["sites"].as_u64().unwrap() > 0, "{}", json["edits"]);
    for (name, edit) in [("plain", "scale L0.E0 1"), ("edited", "zero L5.mlp")] {
        let args = ["run", "--format", "trace", "--quiet", "--edit", edit, "--out", &at(name)];
        assert!(mixscope(args.into_iter().chain(PROMPT)).status.success());
    }
    let diff = mixscope(["diff", &at("plain"), &at("edited")]);
    assert!(stdout(&diff).contains("under the edit zero L5.mlp"), "{}", stdout(&diff));
    let figure = at("map.svg");
    let drawn = mixscope(["export", &at("edited"), "--view", "routing.map", "-o", &figure]);
    assert!(drawn.status.success(), "{}", stderr(&drawn));
    assert!(fs::read_to_string(&figure).unwrap().contains("zero L5.mlp"), "a figure says that the run was edited");
    let check = mixscope(["check", "demo", "--against", &at("edited")]);
    assert_eq!(check.status.code(), Some(1));
    assert!(stderr(&check).contains("the run was edited (zero L5.mlp)"), "{}", stderr(&check));
    assert!(stderr(&check).contains("under the same edits: --edit 'zero L5.mlp'"), "{}", stderr(&check));
    let few = mixscope(["effect", "--edit", "zero L5.mlp", "--null", "20"].into_iter().chain(PROMPT));
    assert!(stderr(&few).contains("there are only 5 different random edits"), "{}", stderr(&few));
    assert!(stdout(&few).contains("among 5 random edits"), "{}", stdout(&few));
}

#[test]
fn a_recording_under_edits_is_checked_under_the_same_edits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let list = folder.path().join("edits.txt");
    fs::write(&list, "topk L2 3\n").unwrap();
    let edits = ["--edits", &at("edits.txt"), "--edit", "zero L5.H4@last"];
    let args = ["run", "--format", "trace", "--capture", "all", "--quiet", "--out", &at("edited")];
    let output = mixscope(args.into_iter().chain(edits).chain(PROMPT));
    assert!(output.status.success(), "{}", stderr(&output));
    let output = mixscope(["check", "demo", "--against", &at("edited")].into_iter().chain(edits));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("agrees: the model computes what was recorded, operation by operation"), "{text}");
    assert_eq!(text.matches("\n   under the edit topk L2 3\n   under the edit zero L5.H4@last\n").count(), 2, "{text}");
    let output = mixscope(["check", "demo", "--json", "--against", &at("edited")].into_iter().chain(edits));
    let json: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(json["edits"], serde_json::json!(["topk L2 3", "zero L5.H4@last"]));
    assert_eq!((&json["ok"], &json["reference"]["edits"][0]["edit"]), (&Value::Bool(true), &json["edits"][0]));
    let alone = mixscope(["check", "demo", "--edit", "zero L5.H4"]);
    assert_eq!(alone.status.code(), Some(2));
    assert!(stderr(&alone).contains("--edit: it needs --against TRACE"), "{}", stderr(&alone));
    // A recording without edits differs from the model under some, at the first of them.
    let args = ["run", "--format", "trace", "--capture", "all", "--quiet", "--out", &at("plain")];
    assert!(mixscope(args.into_iter().chain(PROMPT)).status.success());
    let output = mixscope(["check", "demo", "--against", &at("plain"), "--edit", "zero L3.attn"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("the fault is in layer 3, `blocks.3.hook_attn_out`"), "{}", stdout(&output));
}

#[test]
fn runs_with_other_numbers_of_experts_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for (name, edits) in
        [("plain", &[][..]), ("wide", &["--edit", "topk L2 3"]), ("ragged", &["--edit", "topk L4@1 1"])]
    {
        let args = ["run", "--format", "trace", "--capture", "all", "--quiet", "--out", &at(name)];
        let output = mixscope(args.into_iter().chain(edits.iter().copied()).chain(PROMPT));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    for (a, b, said) in [
        ("plain", "wide", "layer 2: up to 2 a token in A, 3 in B: such a token counts as flipped"),
        ("wide", "plain", "layer 2: up to 3 a token in A, 2 in B: such a token counts as flipped"),
    ] {
        let output = mixscope(["diff", &at(a), &at(b)]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stdout(&output).contains(said), "{}", stdout(&output));
        let json: Value = serde_json::from_str(stdout(&mixscope(["diff", "--json", &at(a), &at(b)]))).unwrap();
        let layer = &json["comparison"]["routing"][2];
        assert_eq!((&layer["flips"], &layer["near_ties"]), (&json["comparison"]["tokens"], &serde_json::json!(0)));
        assert_eq!(layer["chosen"], serde_json::json!(if a == "plain" { [2, 3] } else { [3, 2] }));
        assert!(json["comparison"]["routing"][1].get("chosen").is_none());
    }
    // One token with fewer experts leaves an empty slot.
    let json: Value = serde_json::from_str(stdout(&mixscope(["diff", "--json", &at("plain"), &at("ragged")]))).unwrap();
    let layer = &json["comparison"]["routing"][4];
    assert_eq!((&layer["flips"], &layer["at"][0]["position"]), (&serde_json::json!(1), &serde_json::json!(1)));
    assert_eq!(layer["at"][0]["experts"][1].as_array().unwrap().len(), 1, "{layer}");
}

#[test]
fn a_piped_prompt_is_the_same_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").display().to_string();
    let piped = |args: &[&str]| {
        let mut command = crate::support::cli::command(folder.path());
        let command = command.args(args).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"one two three\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let run = piped(&["run", "--steps", "0", "--format", "json", "--out", &out]);
    assert!(run.status.success(), "{}", stderr(&run));
    let run: Value = serde_json::from_slice(&fs::read(folder.path().join("run/run.json")).unwrap()).unwrap();
    let effect = piped(&["effect", "--edit", "zero L5.mlp", "--json"]);
    let effect: Value = serde_json::from_str(stdout(&effect)).unwrap();
    assert_eq!(effect["prompt"], run["prompt"], "the text is used unchanged, its line end included");
    assert_eq!(effect["prompt"], "one two three\n");
}

#[test]
fn a_map_has_a_row_for_each_part_and_agrees_with_the_effect_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("map").display().to_string();
    let target = ["--target", "P", "--foil", "300"];
    let args = ["ablate", "--over", "experts", "--how", "ban", "--out", &out];
    let output = mixscope(args.into_iter().chain(PROMPT).chain(target));
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = read(&folder.path().join("map/ablate.csv"));
    assert_eq!(rows.len(), 1 + 6 * 8);
    let used = rows[1..].iter().filter(|row| row[4] != "0").max_by_key(|row| row[4].parse::<usize>().unwrap()).unwrap();
    let edit = format!("ban L{}.E{}", used[0], used[2]);
    let one = mixscope(["effect", "--json", "--edit", &edit].into_iter().chain(PROMPT).chain(target));
    let json: Value = serde_json::from_str(stdout(&one)).unwrap();
    let names = [
        "sites",
        "loss_change",
        "kl",
        "target_logit_change",
        "target_logprob_change",
        "logit_difference_change",
        "flips",
    ];
    for (column, name) in (4..).zip(names) {
        assert!(same(used[column].parse().unwrap(), json[name].as_f64().unwrap()), "{edit}: {name}");
    }
    let never: Vec<_> = rows[1..].iter().filter(|row| row[4] == "0").collect();
    assert!(!never.is_empty() && never.iter().all(|row| row[6] == "0.0" || row[6] == "0"), "{never:?}");
}

#[test]
fn patching_everything_before_the_first_layer_restores_the_clean_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("p").display().to_string();
    let prompts = ["--clean", "The capital of France is", "--corrupt", "The capital of Spain is"];
    let args = ["patch", "--over", "resid_pre", "--target", "Paris", "--foil", "Madrid", "--out", &out];
    let output = mixscope(args.into_iter().chain(prompts));
    // The words of these countries may be of different lengths in tokens.
    if !output.status.success() {
        assert!(stderr(&output).contains("patching needs equal lengths"), "{}", stderr(&output));
        return;
    }
    let rows = read(&folder.path().join("p/patch.csv"));
    let total: f64 = rows[1..].iter().filter(|row| row[0] == "0").map(|row| row[5].parse::<f64>().unwrap()).sum();
    assert!(total > 0.5, "the first layer's residuals differ at the country only: {total}");
}

#[test]
fn what_can_not_be_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let to = out.path().join("x").display().to_string();
    let short = ["--prompt", "one two"];
    for (args, status, part) in [
        (vec!["effect", "--edit", "ban L9.E5"], 2, "there is no L9: layers are L0..5"),
        (vec!["effect", "--edit", "bam L3.E5"], 2, "an edit begins with one of"),
        (vec!["effect", "--edit", "zero L3.H2@900"], 2, "there is no position 900"),
        (vec!["effect"], 2, "expected at least one edit"),
        (vec!["effect", "--edit", "zero L*.attn", "--null", "2"], 2, "more than half of the layers"),
        (vec!["effect", "--edit", "patch L0.z nowhere.safetensors"], 1, "nowhere.safetensors"),
        (vec!["effect", "--edits", "nowhere.txt"], 1, "cannot read the edits in nowhere.txt"),
        (vec!["effect", "--edit", "zero L0.attn", "--target", "5", "--foil", "5"], 2, "it is the target"),
        (vec!["effect", "--edit", "zero L0.attn", "--target", "99999999"], 2, "outside the vocabulary"),
        (vec!["ablate", "--over", "heads", "--how", "ban", "--out", &to], 2, "only experts are chosen"),
        (vec!["run", "--edit", "topk L1 9", "--out", &to], 2, "1 to 8 experts"),
    ] {
        let output = mixscope(args.iter().copied().chain(short));
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
    }
    let patch = ["patch", "--over", "heads", "--target", "5", "--foil", "6", "--out", &to];
    for (clean, corrupt, part) in [
        ("one two three", "one two", "patching needs equal lengths"),
        ("one two three", "one two three", "too close to divide by"),
    ] {
        let output = mixscope(patch.into_iter().chain(["--clean", clean, "--corrupt", corrupt]));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
