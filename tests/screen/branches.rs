//! Branches in the explorer: with the model, from the keyboard, and in the session that comes back.

use crate::snapshot::overlay;
use crate::support::cli::read_json;
use crate::support::explorer::Setup;
use crate::support::still::{demo, message};
use mixscope::app::{Saved, Still};
use mixscope::state::Gesture;

const PROMPT: &str = "The capital of France is";
const LEN: usize = 6;
const LIST: &str = "branches · enter goes there";

/// Two ways on from the prompt, one of them with an edit, and another prompt.
fn still() -> Still {
    let mut still = crate::support::still::still(PROMPT, "r ctrl-u 1 2 enter u u u u 4 down enter space space");
    still.press("1 I enter").unwrap();
    still.press("Y home down n").unwrap();
    still.type_text("the usual way");
    still.press("enter q i ctrl-u").unwrap();
    still.type_text("One two");
    still.press("enter").unwrap();
    still
}

#[test]
fn branches_as_a_tree() {
    overlay("branches", &mut still(), &mut {
        let mut above = still();
        above.press("Y up").unwrap();
        above
    });
}

#[test]
fn a_click_marks_a_branch_and_a_second_one_goes_there() {
    let mut still = still();
    still.press("Y").unwrap();
    let (w, h) = (100, 30);
    let row = |still: &mut Still| {
        let buffer = still.screen(w, h, mixscope::ui::Depth::True);
        let lines = crate::support::cells::rows(&buffer, buffer.area);
        lines.iter().position(|line| line.contains("the usual way")).expect("in the list") as u16
    };
    let y = row(&mut still);
    still.mouse(Gesture::Press, (20, y), w, h);
    assert_eq!(still.state.overlays.len(), 1, "marked");
    assert_eq!(row(&mut still), y);
    still.mouse(Gesture::Press, (20, y), w, h);
    assert!(still.state.overlays.is_empty());
    assert!(message(&still).starts_with("went to ‘"), "{}", message(&still));
    assert_eq!(still.state.prompt, PROMPT);
}

#[test]
fn without_a_run_the_list_says_how_to_begin() {
    let mut still = Still::new(demo(), None);
    still.press("esc Y").unwrap();
    let buffer = still.screen(80, 24, mixscope::ui::Depth::True);
    let text = crate::support::cells::rows(&buffer, buffer.area).join("\n");
    assert!(text.contains("no run yet"), "{text}");
}

#[test]
fn branches_are_listed_gone_to_and_kept_in_the_session() {
    let state = tempfile::tempdir().unwrap();
    let mut explorer = Setup::of("demo").prompt(PROMPT).state(state.path()).start_with(LEN);
    explorer.send("space");
    explorer.wait_tokens(LEN + 1);
    explorer.send("space");
    explorer.wait_tokens(LEN + 2);
    let generated = explorer.screen().strip();
    explorer.send("z z");
    explorer.wait_tokens(LEN);
    explorer.press("f", "read next");
    explorer.type_text(" Berlin and Rome");
    explorer.send("enter");
    let forced = explorer.wait_until("the forced text", |shot| shot.is_idle() && shot.tokens() > Some(LEN + 2));
    // The generation that the undo left is still there.
    let shot = explorer.press("Y", "└─ forced text");
    assert!(shot.has("├─ generation"), "{}", shot.text());
    explorer.send("end up n");
    explorer.wait_for("name of the branch");
    explorer.type_text("Paris");
    explorer.press("enter", "├─ Paris");
    explorer.send("enter");
    let shot = explorer.wait_for("went to ‘Paris’: 8 tokens · z goes back");
    assert_eq!((shot.strip(), shot.tokens()), (generated, Some(LEN + 2)));
    // It is compared with the other one, token by token.
    explorer.press("Y", LIST);
    explorer.press("end c", "·Berlin ");
    explorer.press("1", "routing");
    explorer.send("q");
    assert!(explorer.is_over);
    explorer.end();

    let json = read_json(&state.path().join("session.json"));
    assert_eq!(json["tree"]["nodes"].as_array().unwrap().len(), 3);
    let saved: Saved = serde_json::from_value(json).unwrap();
    let mut explorer = Setup::of("demo").with(|options| options.resume = Some(saved)).start_with(LEN + 2);
    let shot = explorer.press("Y", "├─ Paris");
    assert!(shot.has("└─ forced text"), "{}", shot.text());
    explorer.send("end enter");
    let shot = explorer.wait_until("the forced text", |shot| shot.is_idle() && shot.tokens() == forced.tokens());
    assert_eq!(shot.strip(), forced.strip());
    explorer.send("z");
    explorer.wait_tokens(LEN + 2);
}
