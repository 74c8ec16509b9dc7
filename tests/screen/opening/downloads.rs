//! Downloads while another model is in use.

use super::*;

/// A share above nothing and below everything, and a rate.
fn is_under_way(line: &str) -> bool {
    let share = line.split(" %").next().and_then(|before| before.split(' ').next_back()?.parse::<u8>().ok());
    share.is_some_and(|share| (1..100).contains(&share)) && line.contains("B/s") && line.contains(" left")
}

#[test]
fn a_download_leaves_the_model_in_use_and_is_stopped_and_goes_on() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let mut explorer = france().hub(&hub, folder.path()).start_with(FRANCE_LEN);
    open(&mut explorer, NAME);
    explorer.wait_until("progress in the header", |shot| {
        shot.header().starts_with(" mixscope  demo")
            && shot.header().contains("opening ")
            && shot.header().contains(" %")
    });
    // The picker shows more.
    explorer.press("o", PICKER);
    let small_are_done = |shot: &Shot| shot.lines.iter().all(|line| !line.contains(".json") || line.contains("done"));
    let shot = explorer
        .wait_until("share and rate", |shot| small_are_done(shot) && shot.lines.iter().any(|line| is_under_way(line)));
    assert!(shot.has(&format!("opening {NAME}")) && shot.has("of 2.07 MB"), "{}", shot.text());
    close(&mut explorer, PICKER);
    // The old model answers.
    explorer.press("2", "attention: [grid]");
    explorer.press("3", "lens: [post]");
    explorer.press("0", "token 0 ‘<s>’");
    explorer.press("$", "token 5 ‘·is’");
    explorer.send("space");
    explorer.wait_until("one more token", |shot| shot.tokens() == Some(FRANCE_LEN + 1));
    for (columns, rows) in [(40, 10), (80, 24), (160, 45), (120, 40)] {
        explorer.resize(columns, rows);
        let is_named = |shot: &Shot| shot.header().contains("opening") && shot.header().contains("mixscope");
        explorer.wait_until("the new size", is_named);
    }
    explorer.send("esc");
    let shot = explorer.wait_until("no more opening", |shot| shot.is_idle() && !shot.header().contains("opening"));
    assert!(shot.header().starts_with(" mixscope  demo") && shot.tokens() == Some(FRANCE_LEN + 1));
    // Opening it again goes on where it stopped.
    open(&mut explorer, NAME);
    let shot = wait_model(&mut explorer, NAME);
    assert_eq!(shot.strip_with_bytes(), FRANCE_SHOWN);
    let ranges = hub.ranges(SMALL_SHARD);
    let from =
        ranges[1].as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    assert!(ranges.len() == 2 && ranges[0].is_none() && from.is_some_and(|from| from >= 1000), "{ranges:?}");
}

#[test]
fn a_model_named_at_the_start_shows_its_download() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let mut explorer = Setup::of(NAME).prompt(FRANCE).hub(&hub, folder.path()).start();
    let shot = explorer.wait_until("share and rate", |shot| shot.lines.iter().any(|line| is_under_way(line)));
    assert!(shot.has(&format!("opening {NAME}")) && shot.header().contains("opening "), "{}", shot.text());
    for name in hub.files.keys() {
        let line = shot.line(name);
        let doing = if name.ends_with(".json") { "done" } else { "loading" };
        assert!(line.contains(doing) && line.contains(" %") && line.ends_with('B'), "{line}");
    }
    for (columns, rows) in [(40, 10), (160, 45), (30, 8), (80, 24)] {
        explorer.resize(columns, rows);
        let wanted = if columns < 40 { "40×10" } else { "opening" };
        explorer.wait_for(wanted);
    }
    explorer.wait_until("the files again", |shot| shot.has(SMALL_SHARD) && shot.has(NAME));
    // Keys that need a model do nothing; the help and the picker come.
    explorer.send("i space ctrl-g 2 5 f p u r");
    explorer.press("?", "keys ·");
    close(&mut explorer, "keys ·");
    explorer.press("o", PICKER);
    explorer.send("esc");
    explorer.wait_until("the progress again", |shot| !shot.has(PICKER) && shot.has(SMALL_SHARD));
    explorer.send("esc");
    let shot = explorer.wait_for("was cancelled");
    assert!(shot.has(&format!("opening {NAME} was cancelled")), "{}", shot.text());
    assert!(shot.has("continues from there") && shot.has("o opens another model"), "{}", shot.text());
    open(&mut explorer, "demo");
    wait_model(&mut explorer, "demo");
    assert_eq!(explorer.wait_tokens(FRANCE_LEN).strip(), FRANCE_SHOWN, "the prompt of the start");
    open(&mut explorer, NAME);
    wait_model(&mut explorer, NAME);
    assert!(hub.ranges(SMALL_SHARD)[1].is_some(), "{:?}", hub.ranges(SMALL_SHARD));
}

#[test]
fn another_choice_replaces_a_download_under_way() {
    let (hub, folder) = (slow(), tempfile::tempdir().unwrap());
    let mut explorer = france().hub(&hub, folder.path()).start_with(FRANCE_LEN);
    open(&mut explorer, NAME);
    explorer.wait_until("progress", |shot| shot.header().contains("opening ") && shot.header().contains(" %"));
    open(&mut explorer, "tests/fixtures/gguf/tiny-Q8_0.gguf");
    let shot = wait_model(&mut explorer, "tiny-Q8_0.gguf");
    assert!(!shot.header().contains("opening"), "{}", shot.header());
}

#[test]
fn a_repo_that_does_not_exist_leaves_the_model_in_use() {
    let refuse = |_: &Request| Act::Status(404, vec![("X-Error-Code", "RepoNotFound".to_owned())], String::new());
    let (hub, folder) = (Hub::with(Files::new(), refuse), tempfile::tempdir().unwrap());
    let mut explorer = france().hub(&hub, folder.path()).start_with(FRANCE_LEN);
    open(&mut explorer, "owner/absent");
    let shot = wait_failure(&mut explorer);
    assert!(shot.footer().contains("owner/absent is not found at http://127.0.0.1"), "{}", shot.footer());
    assert!(shot.header().starts_with(" mixscope  demo") && shot.tokens() == Some(FRANCE_LEN));
    let shot = explorer.press("!", "message · esc closes");
    assert!(shot.has("check the name"), "{}", shot.text());
    close(&mut explorer, "message · esc closes");
    close(&mut explorer, "✗ ");
    explorer.send("space");
    explorer.wait_tokens(FRANCE_LEN + 1);
    // A name that is none is answered with what it could be, without a request to anybody.
    hub.forget();
    open(&mut explorer, "models/absent/deeper");
    let shot = wait_failure(&mut explorer);
    assert!(shot.footer().contains("models/absent/deeper"), "{}", shot.footer());
    explorer.press("!", "owner/name:file.gguf");
    assert_eq!(hub.log(), []);

    let mut explorer = Setup::of("owner/absent").hub(&hub, folder.path()).start();
    let shot = explorer.wait_for("check the name");
    assert!(shot.header().contains("stopped") && shot.has("o opens another model"), "{}", shot.text());
    open(&mut explorer, "demo");
    explorer.wait_for(EDITOR);
    close(&mut explorer, EDITOR);
}
