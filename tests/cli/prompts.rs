//! Where prompts come from: files with marks of their encoding, and stdin.

use crate::support::cli::*;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

/// `mixscope run ARGS --out OUT` with this text on stdin.
fn piped(out: &Path, args: &[&str], text: &[u8]) -> Output {
    let mut command = command(out);
    command.arg("run").args(args).args(["--format", "csv,json", "--out"]).arg(out.join("run"));
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A command that does not read stdin may have ended.
    let _ = child.stdin.take().unwrap().write_all(text);
    child.wait_with_output().unwrap()
}

fn prompt(out: &Path) -> String {
    read_json(&out.join("run/run.json"))["prompt"].as_str().unwrap().to_owned()
}

#[test]
fn text_that_is_piped_to_stdin_is_the_prompt() {
    for args in [&["--prompt-file", "-"][..], &[]] {
        let temp = tempfile::tempdir().unwrap();
        let output = piped(temp.path(), args, b"the router\r\n");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        assert_eq!(prompt(temp.path()), "the router\r\n", "as it is");
    }
    let temp = tempfile::tempdir().unwrap();
    let output = piped(temp.path(), &["--prompt", "given"], b"not read");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(prompt(temp.path()), "given");
    let temp = tempfile::tempdir().unwrap();
    assert_fails(&piped(temp.path(), &[], b""), 2, "text piped to stdin");
    assert_fails(
        &piped(temp.path(), &[], b"\xff\xfet\0"),
        1,
        "the prompt from stdin: expected UTF-8 text, found UTF-16",
    );
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_prompt() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("prompt.txt");
    let args = ["--prompt-file", file.to_str().unwrap()];
    std::fs::write(&file, b"\xef\xbb\xbfthe router\r\n").unwrap();
    let run = Run::ok(&args);
    assert_eq!(run.json()["prompt"], "the router\r\n");
    for bytes in [&b"\xff\xfet\0h\0e\0"[..], b"\xfe\xff\0t\0h\0e", b"t\0h\0e\0"] {
        std::fs::write(&file, bytes).unwrap();
        assert_fails(&Run::of(&args).output, 1, "prompt.txt: expected UTF-8 text, found UTF-16");
    }
}

#[test]
fn tables_for_spreadsheets_begin_with_a_byte_order_mark() {
    let args = ["--prompt", "-1 is", "--format", "csv,trace", "--spreadsheet-safe"];
    let (safe, plain) = (Run::ok(&args), Run::ok(&args[..4]));
    for (name, header) in CSV {
        assert!(safe.files[name].starts_with(format!("\u{feff}{header}\r\n").as_bytes()), "{name}");
        assert!(plain.files[name].starts_with(header.as_bytes()), "{name}");
    }
    let temp = tempfile::tempdir().unwrap();
    let trace = temp.path().join("trace.safetensors");
    std::fs::write(&trace, &safe.files["trace.safetensors"]).unwrap();
    let args = ["export", trace.to_str().unwrap(), "--view", "next", "--format", "csv", "-o", "-"];
    let [safe, plain] = [&["--spreadsheet-safe"][..], &[]].map(|more| mixscope([&args, more].concat()).stdout);
    // Cells that would be formulas begin with an apostrophe.
    let without = |bytes: &[u8]| bytes.iter().copied().filter(|&byte| byte != b'\'').collect::<Vec<u8>>();
    assert_eq!(without(&safe), [b"\xef\xbb\xbf", &without(&plain)[..]].concat());
}
