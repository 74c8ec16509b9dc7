//! Opening models, downloads and saved runs, with the engine on its thread and a Hub on this machine.

mod downloads;
mod templates;

use crate::support::cli::{Run, command};
use crate::support::explorer::{Explorer, Setup};
use crate::support::fixture;
use crate::support::hub::{Act, Files, Hub, NAME, Request, SMALL_SHARD, slow, small_model};
use crate::support::shot::Shot;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const FRANCE: &str = "The capital of France is";
const FRANCE_SHOWN: &str = "<s>·The·capital·of·France·is";
const FRANCE_LEN: usize = 6;
const EDITOR: &str = "enter runs it";
const PICKER: &str = "open a model";

/// The demo model with `FRANCE` to read.
fn france() -> Setup {
    Setup::of("demo").prompt(FRANCE)
}

/// Opens the picker, types a name and accepts it.
fn open(explorer: &mut Explorer, name: &str) {
    explorer.press("o", PICKER);
    explorer.type_text(name);
    explorer.send("enter");
    explorer.wait_gone(PICKER);
}

/// Waits until this model has read a prompt.
#[track_caller]
fn wait_model(explorer: &mut Explorer, title: &str) -> Shot {
    explorer.wait_until(&format!("{title} with a prompt read"), |shot| {
        shot.header().starts_with(&format!(" mixscope  {title}")) && shot.is_idle() && shot.tokens() > Some(0)
    })
}

/// Presses esc and waits until what it closes is gone.
#[track_caller]
fn close(explorer: &mut Explorer, text: &str) {
    explorer.send("esc");
    explorer.wait_gone(text);
}

#[track_caller]
fn wait_failure(explorer: &mut Explorer) -> Shot {
    explorer.wait_until("the failure", |shot| shot.footer().starts_with("✗ ") && shot.is_idle())
}

#[test]
fn a_typed_path_is_completed_and_opened_and_the_prompt_runs_again() {
    let mut explorer = france().start_with(FRANCE_LEN);
    let shot = explorer.press("o", PICKER);
    assert!(shot.has_cursor() && shot.has("tab completes"), "{}", shot.text());
    explorer.wait_until("the demo on offer", |shot| shot.marked().contains("demo") && shot.has("in the program"));
    explorer.type_text("tests/fixtures/gg");
    explorer.wait_until("the folder", |shot| shot.lines.iter().any(|l| l.contains("gguf/") && l.contains("folder")));
    explorer.send("tab");
    explorer.wait_until("the folder typed", |shot| shot.is_typed("tests/fixtures/gguf/"));
    explorer.type_text("tiny-Q8");
    let shot = explorer.wait_until("one file", |shot| shot.has("269 kB") && !shot.has("tiny-F32.gguf"));
    assert!(shot.has("saved run") && !shot.has("extras"), "a trace can be opened, others not: {}", shot.text());
    explorer.send("down");
    explorer.wait_until("the file marked", |shot| shot.marked().contains("tiny-Q8_0.gguf"));
    explorer.send("tab");
    explorer.wait_until("the file typed", |shot| shot.is_typed("tests/fixtures/gguf/tiny-Q8_0.gguf"));
    explorer.send("enter");
    let shot = wait_model(&mut explorer, "tiny-Q8_0.gguf");
    assert!(shot.header().contains(" · Q8_0 ") && shot.header().contains(" % in memory"), "{}", shot.header());
    assert_eq!(shot.strip_with_bytes(), FRANCE_SHOWN, "the same prompt in other tokens");
    assert_ne!(shot.tokens(), Some(FRANCE_LEN));
    for (key, text) in [("2", "attention: [grid]"), ("3", "lens: [post]"), ("4", "▸   1"), ("5", "✓ tensors")] {
        explorer.press(key, text);
    }
    explorer.wait_for("policy hf");
    explorer.press("1", "routing: [token]");
    let count = shot.tokens().unwrap();
    explorer.send("space");
    explorer.wait_tokens(count + 1);
    // And back again: nothing typed marks the demo.
    explorer.press("o", PICKER);
    explorer.wait_until("the demo on offer", |shot| shot.marked().contains("demo"));
    explorer.send("enter");
    wait_model(&mut explorer, "demo");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN).strip(), FRANCE_SHOWN);
}

#[test]
fn the_mark_moves_among_the_choices_and_a_folder_leads_on() {
    let mut explorer = france().start_with(FRANCE_LEN);
    explorer.press("o", PICKER);
    explorer.type_text("tests/fixtures/gguf/tiny-");
    let shot = explorer.wait_for("tiny-Q8_0.gguf");
    assert!(!shot.has("▸ "), "what is typed counts");
    for (key, name) in [
        ("down", "tiny-BF16.gguf"),
        ("down", "tiny-BF16.reference"),
        ("down", "tiny-F16.gguf"),
        ("up", "tiny-BF16.reference"),
        ("down", "tiny-F16.gguf"),
    ] {
        explorer.send(key);
        explorer.wait_until(name, |shot| shot.marked().contains(name));
    }
    explorer.send("tab");
    explorer.wait_until("the marked one typed", |shot| shot.is_typed("/tiny-F16.gguf"));
    explorer.send("ctrl-u");
    explorer.type_text("tests/fixtures/tiny-f");
    explorer.wait_for("tests/fixtures/tiny-f32/");
    explorer.send("down down");
    explorer.wait_until("a folder marked", |shot| shot.marked().contains("tiny-f32/"));
    // Enter goes into a folder, and a model directory is no folder.
    explorer.send("enter");
    let shot = explorer.wait_for("model directory");
    assert!(shot.has(PICKER) && shot.is_typed("tests/fixtures/tiny-f32/"), "{}", shot.text());
    explorer.send("down");
    explorer.wait_until("the model marked", |shot| shot.marked().contains("tiny-f32/model"));
    explorer.send("enter");
    wait_model(&mut explorer, "model");
    // Esc closes it and changes nothing; nothing that is typed acts as keys.
    explorer.press("o", PICKER);
    explorer.send("q q q");
    explorer.wait_until("the text", |shot| shot.is_typed("qqq"));
    explorer.send("esc");
    let shot = explorer.wait_gone(PICKER);
    assert!(shot.header().starts_with(" mixscope  model") && !explorer.is_over, "{}", shot.header());
}

#[test]
fn pasted_paths_go_into_the_picker() {
    let mut explorer = france().start_with(FRANCE_LEN);
    explorer.press("o", PICKER);
    explorer.paste("  tests/fixtures/gguf/tiny-Q4_0.gguf\r\n");
    explorer.wait_until("the path", |shot| shot.is_typed("/tiny-Q4_0.gguf"));
    explorer.send("enter");
    wait_model(&mut explorer, "tiny-Q4_0.gguf");
}

#[test]
fn recent_models_and_the_cache_are_offered_later() {
    let (hub, folder) = (Hub::start(small_model()), tempfile::tempdir().unwrap());
    let cache = folder.path().join("hub");
    let setup = || france().hub(&hub, &cache).state(folder.path());
    let pull = command(folder.path())
        .args(["pull", "-q", NAME])
        .env_clear()
        .env("HF_ENDPOINT", &hub.url)
        .env("HF_HUB_CACHE", &cache)
        .output();
    assert!(pull.unwrap().status.success());
    let mut explorer = setup().start_with(FRANCE_LEN);
    open(&mut explorer, "tests/fixtures/gguf/tiny-Q8_0.gguf");
    wait_model(&mut explorer, "tiny-Q8_0.gguf");
    open(&mut explorer, "tests/fixtures/tiny-f32/model");
    wait_model(&mut explorer, "model");
    explorer.end();

    let mut explorer = setup().start_with(FRANCE_LEN);
    explorer.press("o", PICKER);
    let shot = explorer.wait_for(NAME);
    let line = |text: &str| shot.lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}"));
    let gguf = fixture("gguf/tiny-Q8_0.gguf");
    assert!(
        line("demo  ") < line("tiny-f32/model") && line("tiny-f32/model") < line("tiny-Q8_0.gguf"),
        "{}",
        shot.text()
    );
    assert!(shot.line(gguf.to_str().unwrap()).contains("recent"), "the whole path: {}", shot.text());
    assert!(shot.line(NAME).contains("Hub cache · 2.07 MB"), "{}", shot.line(NAME));
    // Typing filters them.
    explorer.type_text("MIXTR");
    explorer.wait_until("one of them", |shot| shot.has(NAME) && !shot.has("recent") && !shot.has("in the program"));
    explorer.send("down");
    explorer.wait_until("it is marked", |shot| shot.marked().contains(NAME));
    explorer.send("enter");
    let shot = wait_model(&mut explorer, NAME);
    assert_eq!(shot.strip_with_bytes(), FRANCE_SHOWN);
    // What was opened just now is the most recent, and offered once.
    explorer.press("o", PICKER);
    let shot = explorer.wait_until("the list", |shot| shot.has("recent") && shot.has(gguf.to_str().unwrap()));
    let rows =
        shot.lines.iter().filter(|line| line.contains("  recent") || line.contains("Hub cache")).collect::<Vec<_>>();
    assert!(rows.len() == 3 && rows[0].contains(NAME) && rows[0].contains("recent"), "{}", shot.text());
    explorer.end();

    // Without the Hub the cache is still there.
    hub.forget();
    let mut explorer = setup().offline().start_with(FRANCE_LEN);
    explorer.press("o", PICKER);
    explorer.wait_for(NAME);
    explorer.send("down enter");
    wait_model(&mut explorer, NAME);
    assert_eq!(hub.log(), []);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The message page as one text, without blanks.
fn page(shot: &Shot) -> String {
    let inside = shot.lines.iter().filter_map(|line| line.strip_prefix('│'));
    let words = inside.flat_map(|line| line.trim_end_matches('│').split_whitespace());
    words.collect::<String>().to_lowercase()
}

#[test]
fn malformed_models_are_refused_by_name_and_the_model_in_use_stays() {
    let entries: Vec<Value> = serde_json::from_slice(&fs::read(fixture("malformed/expected.json")).unwrap()).unwrap();
    let mut explorer = france().size(100, 40).start_with(FRANCE_LEN);
    let mut refused = 0;
    for entry in entries.iter().filter(|entry| entry["kind"] == "refuse") {
        let name = entry["name"].as_str().unwrap();
        open(&mut explorer, &format!("tests/fixtures/malformed/{name}"));
        let shot = wait_failure(&mut explorer);
        let footer = shot.footer();
        assert!(footer.contains(&format!("cannot open tests/fixtures/malformed/{name}")), "{footer}");
        assert!(shot.header().starts_with(" mixscope  demo") && shot.tokens() == Some(FRANCE_LEN), "{}", shot.header());
        let shot = explorer.press("!", "message · esc closes");
        for word in entry["must_mention"].as_array().unwrap() {
            let word = word.as_str().unwrap().to_lowercase();
            assert!(page(&shot).contains(&word), "{name}: no {word} in {}", shot.text());
        }
        close(&mut explorer, "message · esc closes");
        close(&mut explorer, "✗ ");
        refused += 1;
    }
    assert!(refused >= 9);
}

#[test]
fn doubtful_models_are_warned_about_although_a_prompt_runs_at_once() {
    let mut explorer = france().start_with(FRANCE_LEN);
    open(&mut explorer, "tests/fixtures/malformed/dtype-mismatch");
    wait_model(&mut explorer, "dtype-mismatch");
    let shot = explorer.wait_until("the warning", |shot| shot.footer().starts_with("! "));
    let footer = shot.footer().to_lowercase();
    assert!(footer.contains("bf16") && footer.contains("f16,"), "{footer}");
    open(&mut explorer, "tests/fixtures/malformed/nan-weight");
    let shot = explorer.wait_until("what is wrong", |shot| {
        shot.header().starts_with(" mixscope  nan-weight") && shot.is_idle() && shot.footer().starts_with("✗ ")
    });
    assert!(shot.footer().contains("NaN"), "{}", shot.footer());
    open(&mut explorer, "tests/fixtures/malformed/context-16");
    wait_model(&mut explorer, "context-16");
    explorer.press("i", EDITOR);
    explorer.type_text(" not");
    explorer.send("enter");
    let shot = explorer.wait_until("what is wrong", |shot| shot.footer().starts_with("✗ "));
    assert!(shot.footer().contains("context is 16 (max_position_embeddings)"), "{}", shot.footer());
    explorer.press("i", EDITOR);
    explorer.send("ctrl-u");
    explorer.type_text("The");
    explorer.send("enter");
    explorer.wait_until("a shorter prompt", |shot| shot.is_idle() && shot.strip_with_bytes() == "<s>·The");
    let mut explorer = Setup::of("tests/fixtures/malformed/dtype-mismatch").prompt("The").start();
    wait_model(&mut explorer, "dtype-mismatch");
    explorer.wait_until("the warning", |shot| shot.footer().starts_with("! ") && shot.footer().contains("BF16"));
}

#[test]
fn a_warning_about_the_model_is_shown() {
    let mut explorer = Setup::of("tests/fixtures/malformed/dtype-mismatch").start();
    explorer.wait_for(EDITOR);
    let shot = explorer.wait_until("the warning", |shot| shot.footer().starts_with("! "));
    let footer = shot.footer().to_lowercase();
    assert!(footer.contains("bf16") && (footer.contains("f16") || footer.contains("float16")), "{footer}");
    assert!(footer.contains("!: all of it"));
    close(&mut explorer, EDITOR);
    let shot = explorer.press("!", "message · esc closes");
    assert!(shot.has("BF16") || shot.has("bf16"));
    close(&mut explorer, "message · esc closes");
    explorer.press("5", "! ");
}

#[test]
fn a_model_that_cannot_be_opened_says_why() {
    for (columns, rows) in [(120, 40), (80, 24), (40, 10)] {
        let mut explorer = Setup::of("tests/fixtures/malformed/missing-tensor").size(columns, rows).start();
        let shot = explorer.wait_for("stopped");
        let text: String = shot.lines.iter().map(|line| line.trim()).collect();
        assert!(text.contains("model.layers.0.block_sparse_moe.experts.1.w2.weight"), "{}", shot.text());
        assert!(shot.footer().starts_with("✗ cannot"), "{}", shot.text());
        // On the smallest screen the end is a page away.
        if rows > 10 {
            assert!(shot.has("disagree") && shot.has("q quits"), "{}", shot.text());
        }
        explorer.press("!", "message · esc closes");
        explorer.send("space");
        explorer.screen();
        explorer.send("space");
        explorer.wait_until("the end of the message", |shot| !shot.has("↓ more"));
        close(&mut explorer, "message · esc closes");
        // Keys that need a model do nothing.
        explorer.send("i space ctrl-g 2 5 f p u r");
        explorer.press("s", "temperature");
        close(&mut explorer, "temperature");
        explorer.send("q");
        assert!(explorer.is_over);
    }
}

#[test]
fn a_start_without_a_model_offers_others() {
    let mut explorer = Setup::of("tests/fixtures/malformed/truncated-file").start();
    explorer.wait_for("o opens another model");
    open(&mut explorer, "tests/fixtures/gguf/kq-Q4_K_M.gguf");
    let shot = explorer.wait_for(EDITOR);
    assert!(shot.header().starts_with(" mixscope  kq-Q4_K_M.gguf"), "{}", shot.header());
    explorer.type_text("hi");
    explorer.send("enter");
    explorer.wait_until("the prompt", |shot| shot.is_idle() && shot.strip_with_bytes() == "<s>·hi");
    let mut explorer = Setup::of("demo").start();
    explorer.wait_for(EDITOR);
    close(&mut explorer, EDITOR);
    open(&mut explorer, "tests/fixtures/gguf/kq-Q4_K_M.gguf");
    let shot = explorer.wait_until("an editor for it", |shot| shot.header().contains("kq-Q4_K_M") && shot.has(EDITOR));
    assert!(!shot.has("fills in an example"), "the examples are the demo's: {}", shot.text());
}

#[test]
fn a_saved_run_shows_every_view_without_its_model_and_a_model_can_be_opened_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    Run::into(&out, &["--prompt", "drum apple seven blue owl key | drum apple seven", "--format", "trace", "--quiet"]);
    let trace = out.join("trace.safetensors");
    let mut explorer = Setup::of(text(&trace)).size(160, 45).start();
    let shot = explorer.wait_until("the run", |shot| shot.is_idle() && shot.has("·key"));
    let made_by = format!("saved run · policy hf · made by mixscope {}", env!("CARGO_PKG_VERSION"));
    assert!(shot.header().contains(&made_by), "{}", shot.header());
    assert!(shot.has("margin") && shot.has("[.") && !shot.has(EDITOR));
    explorer.press("2", "mean entropy");
    explorer.wait_until("attention", |shot| shot.has("looks at · layer 5") && !shot.has("not in this trace"));
    explorer.press("3", "final answer");
    explorer.wait_until("the lens", |shot| shot.has("leads") && !shot.has(" …") && !shot.has("not in this trace"));
    let shot = explorer.press("4", "p at T1");
    assert!(shot.has("▸") && shot.has("o opens a model"));
    explorer.send("left");
    explorer.press("5", "a saved run of demo, made by mixscope");
    explorer.press("space", "this is a saved run without a model: o opens a model");
    close(&mut explorer, "o opens a model");
    // The next model reads the prompt of the saved run.
    explorer.press("o", "demo");
    explorer.type_text("demo");
    explorer.send("enter");
    let is_demo = |shot: &Shot| shot.is_idle() && !shot.has("saved run") && shot.tokens() > Some(0);
    let shot = explorer.wait_until("the demo", is_demo);
    assert!(shot.strip().starts_with("<s>·drum"), "{}", shot.strip());
    // And back, from the explorer.
    explorer.send("o");
    explorer.type_text(text(&trace));
    explorer.send("enter");
    explorer.wait_until("the run again", |shot| shot.header().contains("saved run") && shot.tokens() > Some(0));
}

#[test]
fn a_trace_of_another_program_says_what_it_lacks_and_a_damaged_one_why() {
    let trace = fixture("precision-lab/reference_bf16.safetensors");
    let mut explorer = Setup::of(text(&trace)).size(180, 45).start();
    let shot = explorer.wait_until("the run", |shot| shot.is_idle() && shot.has("<id 353>"));
    assert!(shot.has("made by huggingface transformers 5."), "{}", shot.header());
    assert!(shot.has("margin") && shot.has("[."), "routing follows from its logits");
    for view in ["2", "3", "4"] {
        let shot = explorer.press(view, "not in this trace");
        assert!(!shot.has("0.00 nats"));
    }
    explorer.press("5", "mean loss of this run: not in this trace");
    let temp = tempfile::tempdir().unwrap();
    let cut = temp.path().join("cut.safetensors");
    let whole = fs::read(fixture("tiny-f32/reference.safetensors")).unwrap();
    fs::write(&cut, &whole[..whole.len() - 4]).unwrap();
    let mut explorer = Setup::of(text(&cut)).size(160, 40).start();
    explorer.wait_for("is not a readable trace");
}
