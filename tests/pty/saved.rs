//! Saved runs in a pseudo-terminal: the explorer without a model.

use crate::support::cli::Run;
use crate::support::fixture;
use crate::support::pty::{Setup, Shot};

const ESC: &str = "\x1b";
const LEFT: &str = "\x1b[D";

#[test]
fn a_saved_run_shows_every_view_without_its_model_and_a_model_can_be_opened_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    Run::into(&out, &["--prompt", "drum apple seven blue owl key | drum apple seven", "--format", "trace", "--quiet"]);
    let trace = out.join("trace.safetensors");
    let pty = Setup::program(["open".as_ref(), trace.as_os_str()]).size(160, 45).start();
    let shot = pty.wait_until("the run", |shot| shot.is_idle() && shot.has("·key"));
    let made_by = format!("saved run · policy hf · made by mixscope {}", env!("CARGO_PKG_VERSION"));
    assert!(shot.header().contains(&made_by), "{}", shot.header());
    assert!(shot.has("margin") && shot.has("[.") && !shot.has("enter runs it"));
    pty.press("2", "mean entropy");
    pty.wait_until("attention", |shot| shot.has("looks at · layer 5") && !shot.has("not in this trace"));
    pty.press("3", "final answer");
    pty.wait_until("the lens", |shot| shot.has("leads") && !shot.has(" …") && !shot.has("not in this trace"));
    let shot = pty.press("4", "p at T1");
    assert!(shot.has("▸") && shot.has("o opens a model"));
    pty.send(LEFT);
    pty.press("5", "a saved run of demo, made by mixscope");
    pty.press(" ", "this is a saved run without a model: o opens a model");
    pty.send(ESC);
    pty.wait_gone("o opens a model");
    // The next model reads the prompt of the saved run.
    pty.press("o", "demo");
    pty.send("demo\r");
    let shot = pty.wait_until("the demo", |shot| shot.is_idle() && !shot.has("saved run") && shot.tokens() > Some(0));
    assert!(shot.strip().starts_with("<s>·drum"), "{}", shot.strip());
    // And back, from the explorer.
    pty.send("o");
    pty.send(trace.to_str().unwrap());
    pty.send("\r");
    pty.wait_until("the run again", |shot: &Shot| shot.header().contains("saved run") && shot.tokens() > Some(0));
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}

#[test]
fn a_trace_of_another_program_says_what_it_lacks_and_a_damaged_one_why() {
    let pty = Setup::program([fixture("precision-lab/reference_bf16.safetensors")]).size(180, 45).start();
    let shot = pty.wait_until("the run", |shot| shot.is_idle() && shot.has("<id 353>"));
    assert!(shot.has("made by huggingface transformers 5."), "{}", shot.header());
    assert!(shot.has("margin") && shot.has("[."), "routing follows from its logits");
    for view in ["2", "3", "4"] {
        let shot = pty.press(view, "not in this trace");
        assert!(!shot.has("0.00 nats"));
    }
    pty.press("5", "mean loss of this run: not in this trace");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
    let temp = tempfile::tempdir().unwrap();
    let cut = temp.path().join("cut.safetensors");
    let whole = std::fs::read(fixture("tiny-f32/reference.safetensors")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 4]).unwrap();
    let pty = Setup::program(["open".as_ref(), cut.as_os_str()]).size(160, 40).start();
    pty.wait_for("is not a readable trace");
    pty.send("q");
    assert_eq!(pty.end_restored().0, 0);
}
