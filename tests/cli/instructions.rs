//! `MIXSCOPE_ISA`: every instruction set of this machine writes the same run, and a wrong name is refused.

use crate::support::cli::{assert_fails, command, stderr};
use crate::support::fixture;
use mixscope::model::kernels::{FORCED, Isa};
use std::collections::BTreeMap;
use std::path::Path;

/// The tables and the trace of a run under an instruction set.
fn run(model: &str, isa: Isa, more: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let (state, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = temp.path().join("out");
    let ids: Vec<String> = (0..70).map(|i| (3 + i * 7 % 200).to_string()).collect();
    let output = command(state.path())
        .env(FORCED, isa.name())
        .args(["run", model, "--prompt-ids", &ids.join(","), "--steps", "6", "--out"])
        .arg(&out)
        .args(more)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{isa}: {}", stderr(&output));
    let entries = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    // run.json tells how long it took.
    entries
        .filter(|path| !path.ends_with("run.json"))
        .map(|path| (name(&path), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn all_write_the_same_run() {
    let file = |name: &str| fixture(&format!("gguf/{name}.gguf")).to_str().unwrap().to_owned();
    let models = [
        ("demo".to_owned(), vec!["--capture", "all"]),
        ("demo".to_owned(), vec!["--precision", "f32"]),
        (file("tiny-Q8_0"), vec![]),
        (file("tiny-Q4_0"), vec![]),
        (file("kq-Q4_K_M"), vec!["--capture", "all"]),
        (file("tiny-F16"), vec![]),
        (file("tiny-Q4_0"), vec!["--precision", "ggml"]),
        (file("tiny-Q8_0"), vec!["--precision", "ggml"]),
        (file("kq-Q4_K_M"), vec!["--precision", "ggml"]),
    ];
    for (model, more) in &models {
        let want = run(model, Isa::Portable, more);
        assert!(want.len() > 5, "{:?}", want.keys());
        for isa in Isa::supported() {
            let got = run(model, isa, more);
            assert!(got.keys().eq(want.keys()), "{isa} {model}");
            for (name, bytes) in &got {
                assert!(*bytes == want[name], "{isa} {model} {more:?}: {name} differs");
            }
        }
    }
}

#[test]
fn a_name_that_is_no_instruction_set_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let info = |name: &str| command(state.path()).env(FORCED, name).args(["info", "demo"]).output().unwrap();
    assert_fails(&info("sse9"), 1, "MIXSCOPE_ISA is `sse9`, which is not an instruction set; this CPU has portable");
    for isa in Isa::supported() {
        assert_eq!(info(isa.name()).status.code(), Some(0));
    }
}
