//! A session that is written when the explorer ends, and gone on with.

use crate::support::cli::read_json;
use crate::support::explorer::{Explorer, Setup};
use crate::support::shot::Shot;
use mixscope::app::Saved;
use std::path::Path;

const FRANCE: &str = "The capital of France is";
const FRANCE_LEN: usize = 6;
const EDITOR: &str = "enter runs it";

/// A run with a forced token, in a view, layout and place that are not the first ones.
fn prepare(state: &Path) -> (Explorer, Shot) {
    let mut explorer = Setup::of("demo").prompt(FRANCE).state(state).start_with(FRANCE_LEN);
    explorer.send("space");
    explorer.wait_tokens(FRANCE_LEN + 1);
    explorer.press("f", "read next");
    explorer.type_text("xyz");
    explorer.send("enter");
    explorer.wait_until("the forced token", |shot| shot.is_idle() && shot.tokens() > Some(FRANCE_LEN + 1));
    explorer.press("3", "lens: [post]");
    explorer.press("v", "[mid]");
    explorer.send("left left left j j ] ] ] c");
    let is_there = |shot: &Shot| shot.is_idle() && shot.has("layer 3") && shot.has("colour: loss");
    let shot = explorer.wait_until("the lens", is_there);
    (explorer, shot)
}

/// Text, cursor, view and layout, as far as the screen shows them.
fn place(shot: &Shot) -> (String, Vec<String>) {
    (shot.strip(), shot.lines[1..shot.strip_rows().end + 2].to_vec())
}

#[test]
fn a_session_comes_back_after_quitting() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("session.json");
    let (mut explorer, before) = prepare(state.path());
    explorer.send("q");
    assert!(explorer.is_over);
    explorer.end();
    let saved = read_json(&file);
    assert_eq!((&saved["version"], &saved["model"]), (&2.into(), &"demo".into()));
    assert_eq!(saved["panes"]["panes"][0]["view"], "lens");
    let saved: Saved = serde_json::from_value(saved).unwrap();
    let setup = Setup::of("demo").state(state.path()).with(|options| options.resume = Some(saved));
    let mut explorer = setup.start();
    let shot = explorer.wait_until(&format!("a screen as before:\n{}", before.text()), |shot| {
        shot.is_idle() && place(shot) == place(&before) && shot.tokens() == before.tokens()
    });
    assert_eq!(shot.italics, before.italics, "generated and forced tokens still differ");
    // Actions of the earlier session are undone and done again.
    explorer.send("z");
    let is_undone = |shot: &Shot| shot.is_idle() && shot.tokens() == Some(FRANCE_LEN + 1);
    explorer.wait_until("the forced text undone", is_undone);
    explorer.send("z");
    explorer.wait_tokens(FRANCE_LEN);
    explorer.send("Z Z");
    explorer.wait_until("both done again", |shot| shot.is_idle() && shot.tokens() == before.tokens());
    // The text goes on from there, and the editor starts from the prompt.
    explorer.send("space");
    explorer.wait_tokens(before.tokens().unwrap() + 1);
    let shot = explorer.press("i", EDITOR);
    assert!(shot.has(FRANCE));
    explorer.send("ctrl-c");
    assert!(explorer.is_over);
    explorer.end();
    // Quitting at once keeps the session, and without a request to resume it nothing of it is read.
    let mut explorer = Setup::of("demo").state(state.path()).start();
    assert_eq!(explorer.wait_for(EDITOR).tokens(), Some(0));
    explorer.send("ctrl-c");
    explorer.end();
    assert_eq!(read_json(&file)["tokens"].as_array().unwrap().len(), before.tokens().unwrap() + 1);
}
