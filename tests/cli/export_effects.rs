//! `export` of the views of effects: the numbers of `ablate` and `patch`, computed from a saved run and its model.

use crate::support::cli::{assert_fails, mixscope, stderr};
use mixscope::trace::TraceFile;
use std::fs;
use std::path::{Path, PathBuf};

const PROMPT: &str = "The capital of France is";
const SECOND: &str = "The capital of Italy is";

fn saved(folder: &Path) -> PathBuf {
    let out = folder.join("run");
    let ran = mixscope([
        "run",
        "demo",
        "--prompt",
        PROMPT,
        "--steps",
        "0",
        "--format",
        "trace",
        "-q",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(ran.status.success(), "{}", stderr(&ran));
    out
}

fn export(trace: &Path, view: &str, options: &[&str], file: &Path) -> String {
    let mut args = vec!["export", trace.to_str().unwrap(), "--view", view, "-o", file.to_str().unwrap()];
    args.extend(options);
    let ran = mixscope(&args);
    assert!(ran.status.success(), "{view}: {}", stderr(&ran));
    String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()
}

#[test]
fn maps_are_the_tables_of_ablate_and_patch() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let trace = saved(folder.path());
    for (over, how) in [("experts", "ban"), ("heads", "mean")] {
        let out = at(&format!("{over}-{how}"));
        let ran = mixscope([
            "ablate",
            "--prompt",
            PROMPT,
            "--over",
            over,
            "--how",
            how,
            "-q",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert!(ran.status.success(), "{}", stderr(&ran));
        let table = export(&trace, "effects.map", &["--over", over, "--how", how], &at(&format!("{over}.csv")));
        assert_eq!(table, fs::read_to_string(out.join("ablate.csv")).unwrap(), "{over} {how}");
    }
    let out = at("patched");
    let patch = [
        "patch",
        "--clean",
        PROMPT,
        "--corrupt",
        SECOND,
        "--over",
        "resid_pre",
        "--target",
        "376",
        "--foil",
        "392",
        "-q",
    ];
    let ran = mixscope([&patch[..], &["--out", out.to_str().unwrap()]].concat());
    assert!(ran.status.success(), "{}", stderr(&ran));
    let options = ["--corrupt", SECOND, "--target", "376", "--foil", "392"];
    let table = export(&trace, "effects.patching", &options, &at("patching.csv"));
    assert_eq!(table, fs::read_to_string(out.join("patch.csv")).unwrap());
}

#[test]
fn every_view_of_effects_is_a_picture_and_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let trace = saved(folder.path());
    let at = |name: &str| folder.path().join(name);
    for (view, options) in [
        ("effects.map", vec!["--over", "blocks", "--measure", "kl"]),
        ("effects.routing", vec!["--measure", "loss"]),
        ("effects.patching", vec!["--corrupt", SECOND, "--over", "heads"]),
        ("effects.contributions", vec!["--target", "376", "--foil", "392"]),
    ] {
        let picture = export(&trace, view, &options, &at(&format!("{view}.svg")));
        assert!(picture.contains("<svg") && picture.contains("The capital of France is"), "{view}");
        let table = export(&trace, view, &options, &at(&format!("{view}.csv")));
        assert!(table.lines().count() > 10, "{view}: {table}");
    }
    let routing = fs::read_to_string(at("effects.routing.csv")).unwrap();
    let tokens = TraceFile::read(&trace.join("trace.safetensors")).unwrap().tensors["tokens"].shape[0];
    assert_eq!(routing.lines().count(), 1 + 6 * tokens, "one row for each token and layer");
}

#[test]
fn a_trace_names_no_model_to_download() {
    let folder = tempfile::tempdir().unwrap();
    let file = saved(folder.path()).join("trace.safetensors");
    let bytes = fs::read(&file).unwrap();
    // Of the same length, so that the header stays valid.
    let (old, new) = (br#""model":"demo""#, br#""model":"a/bc""#);
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    let named = [&bytes[..at], &new[..], &bytes[at + old.len()..]].concat();
    fs::write(&file, named).unwrap();
    let args = ["export", file.to_str().unwrap(), "--view", "effects.map", "-o", "x.csv"];
    assert_fails(&mixscope(args), 1, "give --model a/bc to open it");
}

#[test]
fn options_without_a_use_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let trace = saved(folder.path());
    let trace = trace.to_str().unwrap();
    let cases: [(&str, &[&str], &str); 6] = [
        ("effects.patching", &[], "--corrupt TEXT"),
        ("effects.map", &["--how", "ban", "--over", "heads"], "only experts are chosen"),
        ("effects.map", &["--over", "layers"], "`layers` is not one of experts, heads, blocks"),
        ("effects.routing", &["--target", "5"], "--target: it applies to --view effects.map"),
        ("routing.map", &["--model", "demo"], "--model: it applies to --view effects.map"),
        ("effects.map", &["--measure", "speed"], "`speed` is not one of target, difference"),
    ];
    for (view, options, message) in cases {
        let args = [&["export", trace, "--view", view, "-o", "x.csv"], options].concat();
        assert_fails(&mixscope(&args), 2, message);
    }
    let args = ["export", trace, "--view", "effects.map", "--model", "no/such/folder", "-o", "x.csv"];
    assert_fails(&mixscope(args), 1, "no/such/folder");
}
