//! `mixscope lab` as scripts see it: exit codes, streams, files and their columns.

use crate::support::cli::*;
use crate::support::model_dir;
use crate::support::still::demo;
use mixscope::trace::Policy;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Output;

const PROMPT: [&str; 2] = ["--prompt", "The capital of France is Paris, and the capital of"];

/// Tables and their header rows.
const TABLES: [(&str, &str); 4] = [
    (
        "lab.csv",
        "policy,mean_loss,loss_change,flips,near_ties,attn_out,router_logits,mlp_out,resid_post,isolated_flips,\
         isolated_near_ties,isolated_attn_out,isolated_router_logits,isolated_mlp_out,isolated_resid_post,choices,\
         differs_at,token_id,token,base_token_id,base_token,text,base_text",
    ),
    (
        "lab_layers.csv",
        "policy,mode,layer,flips,choices,near_ties,attn_out_equal,attn_out_values,router_logits_equal,\
         router_logits_values,mlp_out_equal,mlp_out_values,resid_post_equal,resid_post_values",
    ),
    ("lab_flips.csv", "policy,layer,position,token_id,token,margin_base,margin,left,came,exact_tie,text"),
    ("lab_tokens.csv", "policy,position,token_id,token,nll,text"),
];

type Totals = (usize, usize, [f64; 4]);
type Parting = (usize, Option<usize>, Option<u32>, Option<String>, Option<u32>, Option<String>);
type Texts = (Option<String>, Option<String>);
type PolicyRow = (String, Option<f64>, Option<f64>, Totals, Totals, Parting, Texts);
type LayerRow = (String, String, usize, usize, usize, usize, [(usize, usize); 4]);
type FlipRow = (String, usize, usize, u32, String, f32, f32, String, String, u8, String);
type TokenRow = (String, usize, u32, String, Option<f32>, String);

/// `mixscope lab ARGS --out FOLDER` and the files it left there.
struct Lab {
    output: Output,
    files: BTreeMap<String, Vec<u8>>,
}

impl Lab {
    fn into(folder: &Path, args: &[&str]) -> Self {
        let args = args.iter().map(OsStr::new).chain(["--out".as_ref(), folder.as_os_str()]);
        let output = mixscope(["lab".as_ref()].into_iter().chain(args));
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
        let file =
            |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        Self { output, files: entries.map(file).collect() }
    }

    fn of(args: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self::into(&temp.path().join("out"), args)
    }

    fn ok(args: &[&str]) -> Self {
        let lab = Self::of(args);
        assert_eq!(lab.output.status.code(), Some(0), "{}", stderr(&lab.output));
        lab
    }

    fn table<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let bytes = self.files[name].as_slice();
        let header = TABLES.iter().find(|(table, _)| *table == name).unwrap().1;
        assert!(bytes.starts_with(format!("{header}\r\n").as_bytes()), "{name}: the header row");
        let rows = csv::Reader::from_reader(bytes).into_deserialize();
        rows.map(|row| row.unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.files["lab.json"]).unwrap()
    }
}

#[test]
fn help_names_every_option_file_and_policy() {
    let output = mixscope(["lab", "--help"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
    let help = stdout(&output);
    let words: BTreeSet<&str> = help.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    let options = "--base --dtype --threads --prompt --prompt-file --prompt-ids --chat --steps --policies --out --format \
        --spreadsheet-safe --json --force --quiet lab.csv lab_layers.csv lab_flips.csv lab_tokens.csv lab.json lab.png";
    for word in options.split_whitespace().chain(Policy::all().map(Policy::name)) {
        assert!(words.contains(word), "lab --help does not mention {word}");
    }
    assert!(!words.contains("--precision"), "--base is its name here");
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    assert!(stdout(&mixscope(["--help"])).contains("mixscope lab"));
}

#[test]
fn the_files_agree() {
    let lab = Lab::ok(&[&PROMPT[..], &["--steps", "5", "--format", "csv,json,png,svg"]].concat());
    let names: Vec<&str> = lab.files.keys().map(String::as_str).collect();
    let all = ["lab.csv", "lab.json", "lab.png", "lab.svg", "lab_flips.csv", "lab_layers.csv", "lab_tokens.csv"];
    assert_eq!(names, all);
    let written = stderr(&lab.output);
    assert!(written.contains("wrote lab.csv, lab.json") && written.contains("lab.svg"), "{written}");

    let policies: Vec<PolicyRow> = lab.table("lab.csv");
    let layers: Vec<LayerRow> = lab.table("lab_layers.csv");
    let flips: Vec<FlipRow> = lab.table("lab_flips.csv");
    let tokens: Vec<TokenRow> = lab.table("lab_tokens.csv");
    let (json, text) = (lab.json(), stdout(&lab.output));
    let order: Vec<&str> = policies.iter().map(|row| row.0.as_str()).collect();
    let others = |policy: &Policy| !matches!(policy, Policy::Bf16 | Policy::Ggml);
    let expected: Vec<&str> = Policy::all().filter(others).map(Policy::name).collect();
    assert_eq!(order, expected, "the base first; bf16 is what hf is on bf16 weights, and nothing here is quantised");
    assert!(text.contains("left out") && text.contains("bf16 (= hf)"), "{text}");
    let left_out =
        serde_json::json!([{"policy": "ggml", "why": "no weights are quantised"}, {"policy": "bf16", "why": "= hf"}]);
    assert_eq!(json["left_out"], left_out);

    let ids = ids_of(&json["prompt_ids"]);
    let n = ids.len();
    assert_eq!(json["rows"].as_array().unwrap().len(), policies.len());
    for ((name, mean, change, end_to_end, isolated, parting, texts), json) in
        policies.iter().zip(json["rows"].as_array().unwrap())
    {
        assert_eq!(json["policy"], **name);
        let mine: Vec<&TokenRow> = tokens.iter().filter(|row| row.0 == *name).collect();
        assert_eq!(mine.iter().map(|row| row.2).collect::<Vec<_>>(), ids);
        assert_eq!(mine.iter().map(|row| row.1).collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        assert!(mine[0].4.is_none());
        // The spelling has a space as ▁, and the special token before the text keeps its name.
        assert!(mine.iter().all(|row| row.5 == row.3.replace('▁', " ")), "{mine:?}");
        let nll: Vec<f64> = mine[1..].iter().map(|row| f64::from(row.4.unwrap())).collect();
        assert_eq!(mean.unwrap(), nll.iter().sum::<f64>() / (n - 1) as f64, "{name}");
        assert_eq!(change.unwrap(), mean.unwrap() - policies[0].1.unwrap(), "{name}");
        assert!(text.contains(&format!("{:.5}", mean.unwrap())), "{name}: {text}");
        assert!(same(json["mean_loss"].as_f64().unwrap(), mean.unwrap()));

        for (mode, totals) in [("end_to_end", end_to_end), ("isolated", isolated)] {
            let here: Vec<&LayerRow> = layers.iter().filter(|row| row.0 == *name && row.1 == mode).collect();
            assert_eq!(here.iter().map(|row| row.2).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
            assert!(here.iter().all(|row| row.4 == n));
            assert_eq!(here.iter().map(|row| row.3).sum::<usize>(), totals.0, "{name} {mode}");
            assert_eq!(here.iter().map(|row| row.5).sum::<usize>(), totals.1, "{name} {mode}");
            for (i, width) in [128, 8, 128, 128].into_iter().enumerate() {
                assert!(here.iter().all(|row| row.6[i].1 == n * width && row.6[i].0 <= row.6[i].1));
                let equal = here.iter().map(|row| row.6[i].0).sum::<usize>();
                assert_eq!(totals.2[i], equal as f64 / (6 * n * width) as f64, "{name} {mode}");
            }
            let of_json = json[mode].as_array().unwrap().iter().map(|layer| layer["flips"].as_u64().unwrap() as usize);
            assert!(of_json.eq(here.iter().map(|row| row.3)), "{name} {mode}");
        }
        let mine: Vec<&FlipRow> = flips.iter().filter(|row| row.0 == *name).collect();
        assert_eq!(mine.len(), end_to_end.0, "{name}");
        for row in mine {
            assert_eq!(row.3, ids[row.2]);
            assert!(row.5 >= 0.0 && !row.7.is_empty() && row.7 != row.8, "{row:?}");
            assert_eq!(row.10, row.4.replace('▁', " "));
        }

        let generated = |row: &Value| -> Vec<u32> {
            let tokens = row["generated"].as_array().unwrap();
            tokens.iter().map(|token| token["id"].as_u64().unwrap() as u32).collect()
        };
        let (own, base) = (generated(json), generated(&lab.json()["rows"][0]));
        assert!(!own.is_empty() && own.len() <= 5);
        let at = own.iter().zip(&base).position(|(own, base)| own != base);
        assert_eq!(parting.1, at, "{name}");
        assert_eq!((parting.2, parting.4), (at.map(|at| own[at]), at.map(|at| base[at])), "{name}");
        let text = |token: &Option<String>| token.as_ref().map(|token| token.replace('▁', " "));
        assert_eq!(*texts, (text(&parting.3), text(&parting.5)), "{name}");
        assert_eq!(parting.0, 6 * n);
    }
    // Rounding nowhere leaves no value as it was; another router leaves what comes before it in every layer alone.
    let row = |name: &str| policies.iter().find(|row| row.0 == name).unwrap();
    assert!(row("f32").4.2[0] < 0.01 && row("router-q4").4.2[0] == 1.0 && row("router-q4").3.2[0] < 1.0);
    assert!(row("router-q4").4.0 > 0, "four bits flip experts");

    assert!(lab.files["lab.png"].starts_with(b"\x89PNG"));
    let svg = std::str::from_utf8(&lab.files["lab.svg"]).unwrap();
    for name in expected {
        assert!(svg.contains(&format!(">{name}<")), "{name} is not in the drawing");
    }
    let again = Lab::ok(&[&PROMPT[..], &["--steps", "5", "--threads", "1"]].concat());
    for name in ["lab.csv", "lab_layers.csv", "lab_flips.csv", "lab_tokens.csv", "lab.png"] {
        assert!(lab.files[name] == again.files[name], "{name} is not the same the second time");
    }
}

#[test]
fn policies_base_and_formats_can_be_chosen() {
    let args = ["--base", "f32", "--policies", "router-q8,hf,router-q8", "--format", "csv", "--steps", "0", "--quiet"];
    let lab = Lab::ok(&[&PROMPT[..], &args].concat());
    assert!(lab.output.stderr.is_empty(), "{}", stderr(&lab.output));
    assert_eq!(lab.files.len(), 4);
    let policies: Vec<PolicyRow> = lab.table("lab.csv");
    assert_eq!(policies.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["f32", "router-q8", "hf"]);
    assert!(policies.iter().all(|row| row.5.1.is_none()), "nothing was generated");
    let text = stdout(&lab.output);
    assert!(text.contains("tokens · base f32 · dtype bf16\n"), "{text}");
    assert!(!text.contains("left out") && !text.contains("first difference"), "{text}");
    let args = ["--precision", "f32", "--policies", "router-q8,hf", "--format", "csv", "--steps", "0"];
    let named = Lab::ok(&[&PROMPT[..], &args].concat());
    assert!(named.files["lab.csv"] == lab.files["lab.csv"], "--precision is the base by the other commands' name");
    let one = Lab::ok(&["--prompt-ids", "1", "--policies", "f32", "--steps", "1"]);
    assert!(stdout(&one.output).contains("\n1 token · "), "{}", stdout(&one.output));
    let rows: Vec<PolicyRow> = one.table("lab.csv");
    assert!(rows.iter().all(|row| row.1.is_none() && row.2.is_none()), "one token has no loss");

    let (dir, _temp) = model_dir("tiny-f32");
    let lab = Lab::ok(&[dir.to_str().unwrap(), "--prompt-ids", "1,5,9,13", "--format", "json", "--json"]);
    assert_eq!(lab.files.keys().collect::<Vec<_>>(), ["lab.json"]);
    assert_eq!(lab.output.stdout, lab.files["lab.json"]);
    let json = lab.json();
    let left_out: Vec<&str> =
        json["left_out"].as_array().unwrap().iter().map(|one| one["policy"].as_str().unwrap()).collect();
    assert_eq!(
        left_out,
        ["f32", "f32-router", "ggml", "hf4"],
        "they round f32 weights as another row does, or 8 bits for none"
    );
    assert_eq!((&json["prompt"], &json["steps"], &json["compute_dtype"]), (&Value::Null, &16.into(), &"f32".into()));
    for key in ["mixscope", "model", "config", "dims", "weights_dtype", "device", "tokens", "timings", "validation"] {
        assert!(!json[key].is_null(), "{key}");
    }
}

#[test]
fn without_a_folder_the_lab_is_only_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = command(folder.path());
    lab.current_dir(folder.path()).args(["lab", "--steps", "2", "--policies", "f32"]).args(PROMPT);
    let printed = lab.output().unwrap();
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("first difference in 2 tokens"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file");
}

#[test]
fn wrong_usage_is_status_2_and_what_cannot_be_done_status_1() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let lab = |args: &[&str]| mixscope([&["lab", "--out", out.to_str().unwrap()], args].concat());
    let with_prompt = |args: &[&str]| lab(&[&PROMPT[..], args].concat());
    for option in [&["--format", "csv"][..], &["--force"]] {
        assert_fails(&mixscope([&["lab", "--prompt", "hi"], option].concat()), 2, "--out");
    }
    assert_fails(&lab(&[]), 2, "--prompt");
    assert_fails(&with_prompt(&["--prompt-ids", "1"]), 2, "--prompt-ids");
    assert_fails(&with_prompt(&["--policies", "f32,int8"]), 2, "int8");
    assert_fails(&with_prompt(&["--policies", ""]), 2, "--policies");
    assert_fails(&with_prompt(&["--policies", "hf"]), 2, "--policies");
    assert_fails(&with_prompt(&["--base", "f64"]), 2, "--base");
    assert_fails(&with_prompt(&["--precision", "f64"]), 2, "f64");
    assert_fails(&with_prompt(&["--format", "trace"]), 2, "--format");
    assert_fails(&with_prompt(&["--steps", "-1"]), 2, "-1");
    assert!(!out.exists(), "nothing was begun");

    let context = demo().meta.dims.context;
    let long = join(&vec![5; context + 1]);
    assert_fails(&lab(&["--prompt-ids", &long]), 1, &format!("the model's context is {context}"));
    assert_fails(&lab(&["--prompt-ids", "1,999999"]), 2, "999999");
    assert_fails(&lab(&["--prompt-file", "no-such-file"]), 1, "no-such-file");
    assert_fails(&lab(&["no-such-model", "--prompt", "hi"]), 1, "no-such-model");
    assert_fails(&lab(&["trace.safetensors", "--prompt", "hi"]), 1, "saved run");

    let output = lab(&["--prompt-ids", &join(&vec![5; context - 2]), "--policies", "f32", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("at most 2 are generated"), "{}", stderr(&output));
    let json = read_json(&out.join("lab.json"));
    assert_eq!(json["steps"], 2);
    assert!(json["rows"].as_array().unwrap().iter().all(|row| row["generated"].as_array().unwrap().len() <= 2));
}

#[test]
fn files_of_an_earlier_lab_stay_unless_forced() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("lab_flips.csv"), "mine").unwrap();
    let lab = Lab::into(temp.path(), &PROMPT);
    assert_fails(&lab.output, 1, "lab_flips.csv");
    assert_eq!(lab.files.keys().collect::<Vec<_>>(), ["lab_flips.csv"], "nothing else was written");
    assert_eq!(lab.files["lab_flips.csv"], b"mine");
    let args = [&PROMPT[..], &["--policies", "f32", "--steps", "1"]].concat();
    let lab = Lab::into(temp.path(), &[&args[..], &["--format", "json"]].concat());
    assert_eq!(lab.output.status.code(), Some(0), "no file that is written was there: {}", stderr(&lab.output));
    let lab = Lab::into(temp.path(), &[&args[..], &["--force"]].concat());
    assert_eq!(lab.output.status.code(), Some(0), "{}", stderr(&lab.output));
    assert!(lab.files["lab_flips.csv"].starts_with(b"policy,"));
}
