//! Choosing and downloading models in the real program, in a pseudo-terminal.

use crate::support::hub::{Act, Asked, Files, Hub, NAME};
use crate::support::pty::{Pty, Setup, Shot, find};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const NONE: [&str; 0] = [];
const ESC: &str = "\x1b";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const CTRL_T: &str = "\x14";
const CTRL_U: &str = "\x15";

const FRANCE: &str = "The capital of France is";
const FRANCE_SHOWN: &str = "<s>·The·capital·of·France·is";
const FRANCE_LEN: usize = 8;
const EDITOR: &str = "enter runs it";
const PICKER: &str = "open a model";
const SHARD: &str = "model-00001-of-00003.safetensors";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The files of a model with three shards.
fn sharded() -> Files {
    let entries = fs::read_dir(fixture("gqa-headdim/model")).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A Hub that sends the shards so slowly that no test sees their end, when they are first asked for.
fn slow() -> Hub {
    let is_slow = |asked: &Asked| asked.gets(".safetensors") && asked.nth == 0;
    Hub::with(sharded(), move |asked| if is_slow(asked) { Act::Drip(1000) } else { Act::Serve })
}

/// The program with this Hub and a cache in `folder`.
fn with_hub<const N: usize>(hub: &Hub, folder: &Path, args: [&str; N]) -> Setup {
    Setup::program(args).env("HF_ENDPOINT", &hub.url).env("HF_HUB_CACHE", folder.join("hub"))
}

/// The demo model with `FRANCE` read.
fn france(setup: Setup) -> Pty {
    let pty = setup.start();
    pty.wait_tokens(FRANCE_LEN);
    pty
}

fn demo() -> Pty {
    france(Setup::program(["--prompt", FRANCE]))
}

/// Opens the picker, types a name and accepts it.
fn open(pty: &Pty, name: &str) {
    pty.press("o", PICKER);
    pty.send(name);
    pty.wait_until("the name", |shot| shot.before_cursor().ends_with(&name[name.len().saturating_sub(20)..]));
    pty.send("\r");
    pty.wait_gone(PICKER);
}

/// Waits until this model has read a prompt.
#[track_caller]
fn wait_model(pty: &Pty, title: &str) -> Shot {
    pty.wait_until(&format!("{title} with a prompt read"), |shot| {
        shot.header().starts_with(&format!(" mixscope  {title}")) && shot.is_idle() && shot.tokens() > Some(0)
    })
}

/// The strip's text, bytes that are tokens of their own written as the characters they are.
fn said(shot: &Shot) -> String {
    let strip = shot.strip();
    let mut pieces = strip.split('‹');
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (byte, rest) = piece.split_once('›').unwrap();
        text.push(u8::from_str_radix(byte, 16).unwrap().into());
        text += rest;
    }
    text
}

/// The marked choice of the picker.
fn marked(shot: &Shot) -> &str {
    shot.lines.iter().find(|line| line.contains("▸ ")).map_or("", String::as_str)
}

fn footer(shot: &Shot) -> &str {
    shot.lines.last().unwrap()
}

/// Presses esc and waits until what it closes is gone: followed at once by another key it would be alt.
#[track_caller]
fn close(pty: &Pty, text: &str) {
    pty.send(ESC);
    pty.wait_gone(text);
}

fn leave(pty: &Pty) {
    pty.send("q");
    let (code, raw) = pty.end_restored();
    assert_eq!(code, 0);
    assert!(find(&raw, b"panicked").is_none());
}

#[test]
fn a_typed_path_is_completed_and_opened_and_the_prompt_runs_again() {
    let pty = demo();
    let shot = pty.press("o", PICKER);
    assert!(shot.has_cursor() && shot.has("tab completes"), "{}", shot.text());
    pty.wait_until("the demo on offer", |shot| marked(shot).contains("demo") && shot.has("in the program"));
    pty.send("tests/fixtures/gg");
    pty.wait_until("the folder", |shot| shot.lines.iter().any(|l| l.contains("gguf/") && l.contains("folder")));
    pty.send("\t");
    let at = |text: &'static str| move |shot: &Shot| shot.before_cursor().ends_with(text);
    pty.wait_until("the folder typed", at("tests/fixtures/gguf/"));
    pty.send("tiny-Q8");
    let shot = pty.wait_until("one file", |shot| shot.has("269 kB") && !shot.has("tiny-F32.gguf"));
    assert!(shot.has("saved run") && !shot.has("extras"), "a trace can be opened, others not: {}", shot.text());
    pty.send(DOWN);
    pty.wait_until("the file marked", |shot| marked(shot).contains("tiny-Q8_0.gguf"));
    pty.send("\t");
    pty.wait_until("the file typed", at("tests/fixtures/gguf/tiny-Q8_0.gguf"));
    pty.send("\r");
    let shot = wait_model(&pty, "tiny-Q8_0.gguf");
    assert!(shot.header().contains(" · Q8_0 ") && shot.header().contains(" % in memory"), "{}", shot.header());
    assert_eq!(said(&shot), FRANCE_SHOWN, "the same prompt in other tokens");
    assert_ne!(shot.tokens(), Some(FRANCE_LEN));
    for (key, text) in [("2", "attention · all heads"), ("3", "lens · resid_post"), ("4", "▸   1"), ("5", "✓ tensors")]
    {
        pty.press(key, text);
    }
    pty.wait_for("policy hf");
    pty.press("1", "routing · token");
    let count = shot.tokens().unwrap();
    pty.send(" ");
    pty.wait_tokens(count + 1);
    // And back again: nothing typed marks the demo.
    pty.press("o", PICKER);
    pty.wait_until("the demo on offer", |shot| marked(shot).contains("demo"));
    pty.send("\r");
    wait_model(&pty, "demo");
    assert_eq!(pty.wait_tokens(FRANCE_LEN).strip(), FRANCE_SHOWN);
    leave(&pty);
}

#[test]
fn the_mark_moves_among_the_choices_and_a_folder_leads_on() {
    let pty = demo();
    pty.press("o", PICKER);
    pty.send("tests/fixtures/gguf/tiny-");
    pty.wait_for("tiny-Q8_0.gguf");
    assert!(!pty.screen().has("▸ "), "what is typed is meant");
    for (key, name) in [
        (DOWN, "tiny-BF16.gguf"),
        (DOWN, "tiny-BF16.reference"),
        (DOWN, "tiny-F16.gguf"),
        (UP, "tiny-BF16.reference"),
        (DOWN, "tiny-F16.gguf"),
    ] {
        pty.send(key);
        pty.wait_until(name, |shot| marked(shot).contains(name));
    }
    pty.send("\t");
    pty.wait_until("the marked one typed", |shot| shot.before_cursor().ends_with("/tiny-F16.gguf"));
    pty.send(&format!("{CTRL_U}tests/fixtures/tiny-f"));
    pty.wait_for("tests/fixtures/tiny-f32/");
    pty.send(&format!("{DOWN}{DOWN}"));
    pty.wait_until("a folder marked", |shot| marked(shot).contains("tiny-f32/"));
    // Enter goes into a folder, and a model directory is no folder.
    pty.send("\r");
    let shot = pty.wait_for("model directory");
    assert!(shot.has(PICKER) && shot.before_cursor().ends_with("tests/fixtures/tiny-f32/"), "{}", shot.text());
    pty.send(DOWN);
    pty.wait_until("the model marked", |shot| marked(shot).contains("tiny-f32/model"));
    pty.send("\r");
    wait_model(&pty, "model");
    // Esc closes it and changes nothing; nothing that is typed acts as keys.
    pty.press("o", PICKER);
    pty.send("qqq");
    pty.wait_until("the text", |shot| shot.before_cursor().ends_with("qqq"));
    pty.send(ESC);
    let shot = pty.wait_gone(PICKER);
    assert!(shot.header().starts_with(" mixscope  model"), "{}", shot.header());
    leave(&pty);
}

#[test]
fn pasted_paths_go_into_the_picker() {
    let pty = demo();
    pty.press("o", PICKER);
    pty.paste("  tests/fixtures/gguf/tiny-Q4_0.gguf\r\n");
    pty.wait_until("the path", |shot| shot.before_cursor().ends_with("/tiny-Q4_0.gguf"));
    pty.send("\r");
    wait_model(&pty, "tiny-Q4_0.gguf");
    leave(&pty);
}

/// A share above nothing and below everything, and a rate.
fn is_under_way(line: &str) -> bool {
    let share = line.split(" %").next().and_then(|before| before.split(' ').next_back()?.parse::<u8>().ok());
    share.is_some_and(|share| (1..100).contains(&share)) && line.contains("B/s") && line.contains(" left")
}

#[test]
fn a_download_leaves_the_model_in_use_and_is_stopped_and_goes_on() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = france(with_hub(&hub, folder.path(), ["--prompt", FRANCE]));
    open(&pty, NAME);
    pty.wait_until("progress in the header", |shot| {
        shot.header().starts_with(" mixscope  demo")
            && shot.header().contains("opening ")
            && shot.header().contains(" %")
    });
    // The picker tells more.
    pty.press("o", PICKER);
    let shot = pty.wait_until("share and rate", |shot| shot.lines.iter().any(|line| is_under_way(line)));
    assert!(shot.has(&format!("opening {NAME}")) && shot.has("of 2.07 MB"), "{}", shot.text());
    close(&pty, PICKER);
    // The old model answers.
    pty.press("2", "attention · all heads");
    pty.press("3", "lens · resid_post");
    pty.press("0", "token 0 ‘<s>’");
    pty.press("$", "token 7 ‘·is’");
    pty.send(" ");
    pty.wait_until("one more token", |shot| shot.tokens() == Some(FRANCE_LEN + 1));
    for (columns, rows) in [(40, 10), (80, 24), (160, 45), (120, 40)] {
        pty.resize(columns, rows);
        pty.wait_until("the new size", |shot| shot.header().contains("opening") && shot.header().contains("mixscope"));
    }
    pty.send(ESC);
    let shot = pty.wait_until("no more opening", |shot| shot.is_idle() && !shot.header().contains("opening"));
    assert!(shot.header().starts_with(" mixscope  demo") && shot.tokens() == Some(FRANCE_LEN + 1));
    // Opening it again goes on where it stopped.
    open(&pty, NAME);
    let shot = wait_model(&pty, NAME);
    assert_eq!(said(&shot), FRANCE_SHOWN);
    let ranges = hub.ranges(SHARD);
    let from =
        ranges[1].as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    assert!(ranges.len() == 2 && ranges[0].is_none() && from.is_some_and(|from| from >= 1000), "{ranges:?}");
    leave(&pty);
}

#[test]
fn a_model_named_on_the_command_line_shows_its_download() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = with_hub(&hub, folder.path(), [NAME, "--prompt", FRANCE]).start();
    let shot = pty.wait_until("share and rate", |shot| shot.lines.iter().any(|line| is_under_way(line)));
    assert!(shot.has(&format!("opening {NAME}")) && shot.header().contains("opening "), "{}", shot.text());
    for name in hub.files.keys() {
        let line = shot.line(name);
        let doing = if name.ends_with(".json") { "done" } else { "loading" };
        assert!(line.contains(doing) && line.contains(" %") && line.ends_with('B'), "{line}");
    }
    for (columns, rows) in [(40, 10), (160, 45), (30, 8), (80, 24)] {
        pty.resize(columns, rows);
        let wanted = if columns < 40 { "40×10" } else { "opening" };
        pty.wait_until("the new size", |shot| shot.lines.iter().any(|line| line.contains(wanted)));
    }
    pty.wait_until("the files again", |shot| shot.has(SHARD) && shot.has(NAME));
    // Keys that need a model do nothing; the help and the picker come.
    pty.send("i g25fpur");
    pty.press("?", "keys ·");
    close(&pty, "keys ·");
    pty.press("o", PICKER);
    pty.send(ESC);
    pty.wait_until("the progress again", |shot| !shot.has(PICKER) && shot.has(SHARD));
    pty.send(ESC);
    let shot = pty.wait_for("was cancelled");
    assert!(shot.has(&format!("opening {NAME} was cancelled")), "{}", shot.text());
    assert!(shot.has("goes on from there") && shot.has("o opens another model"), "{}", shot.text());
    open(&pty, "demo");
    wait_model(&pty, "demo");
    assert_eq!(pty.wait_tokens(FRANCE_LEN).strip(), FRANCE_SHOWN, "the prompt of the command line");
    open(&pty, NAME);
    wait_model(&pty, NAME);
    assert!(hub.ranges(SHARD)[1].is_some(), "{:?}", hub.ranges(SHARD));
    leave(&pty);
}

#[test]
fn it_can_be_left_while_it_downloads() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = with_hub(&hub, folder.path(), [NAME]).start();
    pty.wait_for(SHARD);
    leave(&pty);
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = france(with_hub(&hub, folder.path(), ["--prompt", FRANCE]));
    open(&pty, NAME);
    pty.wait_until("progress", |shot| shot.header().contains("opening ") && shot.header().contains(" %"));
    leave(&pty);
}

#[test]
fn another_choice_replaces_a_download_under_way() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let pty = france(with_hub(&hub, folder.path(), ["--prompt", FRANCE]));
    open(&pty, NAME);
    pty.wait_until("progress", |shot| shot.header().contains("opening ") && shot.header().contains(" %"));
    open(&pty, "tests/fixtures/gguf/tiny-Q8_0.gguf");
    let shot = wait_model(&pty, "tiny-Q8_0.gguf");
    assert!(!shot.header().contains("opening"), "{}", shot.header());
    leave(&pty);
}

#[test]
fn a_repo_that_is_not_there_leaves_the_model_in_use() {
    let refuse = |_: &Asked| Act::Status(404, vec![("X-Error-Code", "RepoNotFound".to_owned())], String::new());
    let (hub, folder) = (Hub::with(Files::new(), refuse), tempfile::tempdir().unwrap());
    let pty = france(with_hub(&hub, folder.path(), ["--prompt", FRANCE]));
    open(&pty, "owner/absent");
    let shot = pty.wait_until("the failure", |shot| footer(shot).starts_with("✗ "));
    assert!(footer(&shot).contains("owner/absent is not found at http://127.0.0.1"), "{}", footer(&shot));
    assert!(shot.header().starts_with(" mixscope  demo") && shot.is_idle() && shot.tokens() == Some(FRANCE_LEN));
    let shot = pty.press("!", "message · esc closes");
    assert!(shot.has("check the name"), "{}", shot.text());
    close(&pty, "message · esc closes");
    close(&pty, "✗ ");
    pty.send(" ");
    pty.wait_tokens(FRANCE_LEN + 1);
    // A name that is none is told what it could be, without asking anybody.
    hub.forget();
    open(&pty, "models/absent/deeper");
    let shot = pty.wait_until("the failure", |shot| footer(shot).starts_with("✗ "));
    assert!(footer(&shot).contains("models/absent/deeper"), "{}", footer(&shot));
    pty.press("!", "owner/name:file.gguf");
    assert_eq!(hub.log(), []);
    close(&pty, "message · esc closes");
    leave(&pty);

    let pty = with_hub(&hub, folder.path(), ["owner/absent"]).start();
    let shot = pty.wait_for("check the name");
    assert!(shot.header().contains("stopped") && shot.has("o opens another model"), "{}", shot.text());
    open(&pty, "demo");
    pty.wait_for(EDITOR);
    close(&pty, EDITOR);
    leave(&pty);
}

#[test]
fn recent_models_and_the_cache_are_offered_later() {
    let (hub, folder) = (Hub::start(sharded()), tempfile::tempdir().unwrap());
    let start = || with_hub(&hub, folder.path(), ["--prompt", FRANCE]).state(folder.path());
    let pull = Command::new(env!("CARGO_BIN_EXE_mixscope"))
        .args(["pull", "-q", NAME])
        .env_clear()
        .env("HF_ENDPOINT", &hub.url)
        .env("HF_HUB_CACHE", folder.path().join("hub"))
        .output();
    assert!(pull.unwrap().status.success());
    let pty = france(start());
    open(&pty, "tests/fixtures/gguf/tiny-Q8_0.gguf");
    wait_model(&pty, "tiny-Q8_0.gguf");
    open(&pty, "tests/fixtures/tiny-f32/model");
    wait_model(&pty, "model");
    leave(&pty);

    let pty = france(start());
    pty.press("o", PICKER);
    let shot = pty.wait_for(NAME);
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
    pty.send("MIXTR");
    pty.wait_until("one of them", |shot| shot.has(NAME) && !shot.has("recent") && !shot.has("in the program"));
    pty.send(DOWN);
    pty.wait_until("it is marked", |shot| marked(shot).contains(NAME));
    pty.send("\r");
    let shot = wait_model(&pty, NAME);
    assert_eq!(said(&shot), FRANCE_SHOWN);
    // What was opened just now is the most recent, and offered once.
    pty.press("o", PICKER);
    let shot = pty.wait_until("the list", |shot| shot.has("recent") && shot.has(gguf.to_str().unwrap()));
    let rows =
        shot.lines.iter().filter(|line| line.contains("  recent") || line.contains("Hub cache")).collect::<Vec<_>>();
    assert!(rows.len() == 3 && rows[0].contains(NAME) && rows[0].contains("recent"), "{}", shot.text());
    close(&pty, PICKER);
    leave(&pty);

    // Without the Hub the cache is still there.
    hub.forget();
    let pty = france(start().env("HF_HUB_OFFLINE", "1"));
    pty.press("o", PICKER);
    pty.wait_for(NAME);
    pty.send(&format!("{DOWN}\r"));
    wait_model(&pty, NAME);
    assert_eq!(hub.log(), []);
    leave(&pty);
}

/// The gist of Mixtral-Instruct's.
const INSTRUCT: &str = "{{ bos_token }}{% for message in messages %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
    {% endfor %}";

/// A small model with a chat template.
fn with_template(template: &str) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("tiny-f32/model")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), temp.path().join(entry.file_name())).unwrap();
    }
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": template});
    fs::write(temp.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    temp
}

#[test]
fn ctrl_t_puts_the_prompt_into_the_chat_template() {
    let model = with_template(INSTRUCT);
    let pty = Setup::program([model.path()]).start();
    pty.wait_for(EDITOR);
    assert!(!pty.screen().has("in the chat template"), "a prompt is taken as it is unless asked otherwise");
    pty.press(CTRL_T, "prompt · in the chat template (ctrl-t: as it is)");
    pty.send("Which one?\r");
    let title = model.path().file_name().unwrap().to_str().unwrap();
    let shot = wait_model(&pty, &title[..4]);
    assert_eq!(said(&shot), "<s>·[INST]·Which·one?·[/INST]");
    let inside = shot.tokens();
    // It stays so until asked otherwise; the editor has the message, not what the template made of it.
    pty.press("i", "in the chat template");
    pty.wait_until("the message", |shot| shot.before_cursor().ends_with("Which one?"));
    pty.send(CTRL_T);
    pty.wait_gone("in the chat template");
    pty.send("\r");
    let shot =
        pty.wait_until("it as it is", |shot| shot.is_idle() && shot.tokens().is_some() && shot.tokens() != inside);
    assert_eq!(said(&shot), "<s>·Which·one?");
    // A model without a template gets it as it is.
    pty.press("i", EDITOR);
    pty.press(CTRL_T, "in the chat template");
    pty.send("\r");
    pty.wait_until("it in the template", |shot| shot.is_idle() && said(shot).contains("[INST]"));
    open(&pty, "demo");
    let shot = wait_model(&pty, "demo");
    assert_eq!(said(&shot), "<s>·Which·one?");
    pty.press("i", EDITOR);
    assert!(!pty.screen().has("in the chat template"));
    pty.press(CTRL_T, "this model has no chat template");
    close(&pty, "this model has no chat template");
    // And the next one with a template uses it again.
    open(&pty, model.path().to_str().unwrap());
    let shot = wait_model(&pty, &title[..4]);
    assert_eq!(said(&shot), "<s>·[INST]·Which·one?·[/INST]");
    leave(&pty);
}

#[test]
fn the_template_is_asked_for_on_the_command_line() {
    let model = with_template(INSTRUCT);
    let pty = Setup::program([model.path().to_str().unwrap(), "--chat", "--prompt", "hi"]).start();
    pty.wait_until("the prompt", |shot| shot.is_idle() && said(shot) == "<s>·[INST]·hi·[/INST]");
    leave(&pty);
    let refuses = with_template("{{ raise_exception('Conversation roles must alternate') }}");
    let pty = Setup::program([refuses.path().to_str().unwrap(), "--chat", "--prompt", "hi"]).start();
    let shot = pty.wait_until("the failure", |shot| footer(shot).starts_with("✗ "));
    assert!(footer(&shot).contains("chat template could not be applied"), "{}", footer(&shot));
    pty.press("!", "Conversation roles must alternate");
    close(&pty, "message · esc closes");
    pty.press("i", "in the chat template");
    pty.send(&format!("{CTRL_T}\r"));
    pty.wait_until("it as it is", |shot| shot.is_idle() && said(shot) == "<s>·hi");
    leave(&pty);
    let pty = Setup::program(["--chat", "--prompt", "hi"]).start();
    let shot = pty.wait_until("the failure", |shot| footer(shot).starts_with("✗ "));
    assert!(footer(&shot).contains("no chat template"), "{}", footer(&shot));
    leave(&pty);
}

/// The message page as one text, without blanks.
fn page(shot: &Shot) -> String {
    let inside = shot.lines.iter().filter_map(|line| line.strip_prefix('│'));
    inside
        .map(|line| line.trim_end_matches('│'))
        .flat_map(|line| line.split_whitespace())
        .collect::<String>()
        .to_lowercase()
}

#[test]
fn malformed_models_are_refused_by_name_and_the_model_in_use_stays() {
    let entries: Vec<Value> = serde_json::from_slice(&fs::read(fixture("malformed/expected.json")).unwrap()).unwrap();
    let pty = france(Setup::program(["--prompt", FRANCE]).size(100, 40));
    let mut refused = 0;
    for entry in entries.iter().filter(|entry| entry["kind"] == "refuse") {
        let name = entry["name"].as_str().unwrap();
        open(&pty, &format!("tests/fixtures/malformed/{name}"));
        let shot = pty.wait_until(name, |shot| footer(shot).starts_with("✗ ") && shot.is_idle());
        assert!(footer(&shot).contains(&format!("cannot open tests/fixtures/malformed/{name}")), "{}", footer(&shot));
        assert!(shot.header().starts_with(" mixscope  demo") && shot.tokens() == Some(FRANCE_LEN), "{}", shot.header());
        let shot = pty.press("!", "message · esc closes");
        for word in entry["must_mention"].as_array().unwrap() {
            let word = word.as_str().unwrap().to_lowercase();
            assert!(page(&shot).contains(&word), "{name}: no {word} in {}", shot.text());
        }
        pty.send(ESC);
        pty.wait_gone("message · esc closes");
        pty.send(ESC);
        pty.wait_gone("✗ ");
        refused += 1;
    }
    assert!(refused >= 9);
    leave(&pty);
}

#[test]
fn doubtful_models_are_warned_about_although_a_prompt_runs_at_once() {
    let pty = demo();
    open(&pty, "tests/fixtures/malformed/dtype-mismatch");
    wait_model(&pty, "dtype-mismatch");
    let shot = pty.wait_until("the warning", |shot| footer(shot).starts_with("! "));
    let text = footer(&shot).to_lowercase();
    assert!(text.contains("bf16") && text.contains("f16,"), "{text}");
    open(&pty, "tests/fixtures/malformed/nan-weight");
    let shot = pty.wait_until("what is wrong", |shot| {
        shot.header().starts_with(" mixscope  nan-weight") && shot.is_idle() && footer(shot).starts_with("✗ ")
    });
    assert!(footer(&shot).contains("NaN"), "{}", footer(&shot));
    open(&pty, "tests/fixtures/malformed/context-16");
    wait_model(&pty, "context-16");
    pty.press("i", EDITOR);
    pty.send(" not\r");
    let shot = pty.wait_until("what is wrong", |shot| footer(shot).starts_with("✗ "));
    assert!(footer(&shot).contains("context is 16 (max_position_embeddings)"), "{}", footer(&shot));
    pty.press("i", EDITOR);
    pty.send(&format!("{CTRL_U}The\r"));
    pty.wait_until("a shorter prompt", |shot| shot.is_idle() && said(shot) == "<s>·The");
    leave(&pty);
    let pty = Setup::program(["tests/fixtures/malformed/dtype-mismatch", "--prompt", "The"]).start();
    wait_model(&pty, "dtype-mismatch");
    pty.wait_until("the warning", |shot| footer(shot).starts_with("! ") && footer(shot).contains("BF16"));
    leave(&pty);
}

#[test]
fn a_start_without_a_model_that_can_be_had_offers_others() {
    let pty = Setup::program(["tests/fixtures/malformed/truncated-file"]).start();
    pty.wait_for("o opens another model");
    open(&pty, "tests/fixtures/gguf/kq-Q4_K_M.gguf");
    let shot = pty.wait_for(EDITOR);
    assert!(shot.header().starts_with(" mixscope  kq-Q4_K_M.gguf"), "{}", shot.header());
    pty.send("hi\r");
    pty.wait_until("the prompt", |shot| shot.is_idle() && said(shot) == "<s>·hi");
    leave(&pty);
    let pty = Setup::program(NONE).start();
    pty.wait_for(EDITOR);
    close(&pty, EDITOR);
    open(&pty, "tests/fixtures/gguf/kq-Q4_K_M.gguf");
    let shot = pty.wait_until("an editor for it", |shot| shot.header().contains("kq-Q4_K_M") && shot.has(EDITOR));
    assert!(!shot.has("fills in an example"), "the examples are the demo's: {}", shot.text());
    close(&pty, EDITOR);
    leave(&pty);
}
