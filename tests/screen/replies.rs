//! What the explorer says to a key, how long that stays, and what keys mean in each view.

use mixscope::analysis::view::{Tab, View};
use mixscope::app::{Still, photograph};
use mixscope::export::Screen;
use mixscope::protocol::{Ask, Failure};
use mixscope::state::{Effect, Event, Gesture, Save, update};
use mixscope::ui::{Depth, Theme};
use ratatui::layout::Rect;

const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

fn message(still: &Still) -> Option<&str> {
    still.state.message.as_ref().map(|message| message.failure.summary.as_str())
}

fn footer(still: &mut Still, width: u16, height: u16) -> String {
    line(still, width, height, height - 1)
}

fn line(still: &mut Still, width: u16, height: u16, y: u16) -> String {
    let screen = still.screen(width, height, Depth::True);
    (0..width).map(|x| screen[(x, y)].symbol()).collect::<String>().trim_end().to_owned()
}

#[test]
fn a_success_is_reported_until_the_next_key() {
    let mut still = still("m");
    assert_eq!(footer(&mut still, 100, 30), "· bookmark on token 10 ‘·seven’ · 1 in all", "no alarm, and all of it");
    still.press("y").unwrap();
    assert!(message(&still).is_some(), "the first of two keys does nothing yet");
    still.press("esc left").unwrap();
    assert_eq!(message(&still), None);
    assert!(footer(&mut still, 100, 30).contains("help"), "the keys are back");
    still.press("m").unwrap();
    assert!(footer(&mut still, 40, 10).ends_with("!: more"), "cut");
    still.press("!").unwrap();
    assert!(message(&still).is_some(), "it is being read");
    still.press("esc").unwrap();
    assert_eq!(message(&still), None, "and was");
    still.press("m").unwrap();
    still.mouse(Gesture::Press, (1, 1), 80, 24);
    assert_eq!((message(&still), still.state.cursor.token), (None, 0), "a click does something, too");
}

#[test]
fn what_failed_stays_until_it_is_put_away() {
    let mut still = still("");
    still.take(Event::Trouble(Failure { summary: "boom".into(), causes: Vec::new() }));
    still.press("left v 3").unwrap();
    assert_eq!(footer(&mut still, 80, 24), "✗ boom  esc: dismiss", "there is no more of it");
    still.press("esc").unwrap();
    assert_eq!(message(&still), None);
}

#[test]
fn keys_that_mean_nothing_say_so() {
    for (keys, sentence) in [
        ("a", "one measure only"),
        ("v a", "one measure only"),
        ("v v a", "one measure only"),
        ("v v v v a", "one measure only"),
        ("4 a", "one measure only"),
        ("4 v", "one layout only"),
        ("5 d", "has no details"),
        ("5 v v v d", "has no details"),
        ("5 a", "one measure only"),
        ("5 v }", "no second run"),
        ("5 v e", "no second run"),
        ("5 v v v e", "has not been run"),
        ("%", "scale"),
        ("3 %", "scale"),
        ("x", "2 shows it"),
        ("3 X", "2 shows it"),
        ("U", "nothing comes after"),
        ("!", "no message"),
        ("w s d", "w s ends the split"),
        ("w z D", "w z brings back"),
    ] {
        let still = still(keys);
        assert!(message(&still).is_some_and(|said| said.contains(sentence)), "{keys}: {:?}", message(&still));
    }
    for keys in ["v v v a", "2 a", "3 a", "2 %", "3 v v v %", "2 x", "c c c 1 X", "d", "D", "5 v d", "5 v v v"] {
        assert_eq!(message(&still(keys)), None, "{keys} does something");
    }
}

#[test]
fn without_a_model_keys_say_how_to_get_one() {
    let mut still = still("");
    still.state.phase = mixscope::state::Phase::Failed(Failure { summary: "gone".into(), causes: Vec::new() });
    for key in ["i", "space", "ctrl-g", "r", "u", "z", "f", "p", "T", "t", "/"] {
        let key: mixscope::state::input::Key = key.parse().unwrap();
        still.state.message = None;
        assert_eq!(update(&mut still.state, Event::Key(key)), []);
        assert_eq!(message(&still), Some("no model is open: o opens one"), "{key}");
        assert!(still.state.overlays.is_empty(), "{key}");
    }
}

#[test]
fn details_are_shown_or_hidden_for_each_view_alone() {
    let mut still = still("4 d 1");
    assert_eq!(still.state.pane().details.flipped, [Tab::Next].into());
    let shown = |still: &mut Still| (0..30).any(|y| line(still, 100, 30, y).contains("─ layer 5, ‘"));
    assert!(!shown(&mut still), "Routing keeps its own way");
    still.press("d").unwrap();
    assert!(shown(&mut still));
    still.press("4").unwrap();
    assert!((0..30).all(|y| !line(&mut still, 100, 30, y).contains("what would follow")), "still hidden");
    still.press("d 1 d").unwrap();
    assert!(still.state.pane().details.flipped.is_empty());
}

#[test]
fn layers_are_moved_in_next_too() {
    let mut still = still("4 down J J");
    assert_eq!((still.state.cursor.layer, still.state.cursor.candidate), (3, 1));
    still.press("shift-up").unwrap();
    assert_eq!(still.state.cursor.layer, 4);
}

#[test]
fn a_click_on_the_contributions_moves_the_cursor() {
    let mut still = still("4 D");
    let (w, h) = (160, 45);
    let rows: Vec<String> = (0..h).map(|y| line(&mut still, w, h, y)).collect();
    let place = |name: &str| {
        let y = rows.iter().position(|row| row.contains(name)).unwrap_or_else(|| panic!("{name} in {rows:#?}"));
        let x = rows[y].split(name).next().unwrap().chars().count();
        (x as u16, y as u16)
    };
    still.mouse(Gesture::Press, place("│ H3 "), w, h);
    assert_eq!(still.state.cursor.head, 0, "the frame is not a row");
    let (x, y) = place("│ H3 ");
    still.mouse(Gesture::Press, (x + 3, y), w, h);
    assert_eq!((still.state.cursor.head, still.state.cursor.layer), (3, 5));
    let (x, y) = place("│ L2 ");
    still.mouse(Gesture::Press, (x + 3, y), w, h);
    assert_eq!(still.state.cursor.layer, 2);
}

#[test]
fn sorted_heads_are_walked_as_they_stand() {
    let mut still = still("2 A b");
    assert_eq!(still.state.view(), View::AttentionGrid);
    // The first frames measure, which sorts; the cursor goes to the best of what was measured.
    still.screen(100, 30, Depth::Mono);
    still.press("b").unwrap();
    let order: Vec<(usize, usize)> =
        still.state.ranking(&still.state.pane().heads).iter().map(|r| (r.layer, r.head)).collect();
    let at = |still: &Still| (still.state.cursor.layer, still.state.cursor.head);
    assert_eq!(at(&still), order[0]);
    let best = format!("L{}H{} ", order[0].0, order[0].1);
    let rows: Vec<String> = (0..30).map(|y| line(&mut still, 100, 30, y)).collect();
    let row = rows.iter().skip(6).find(|row| row.contains(&best)).unwrap();
    let across = row.split("│").nth(1).unwrap().split_whitespace().count() / 2;
    assert!(across > 1, "{row}");
    still.press("down").unwrap();
    assert_eq!(at(&still), order[across], "right below in {row}");
    still.press("]").unwrap();
    assert_eq!(at(&still), order[across + 1]);
    still.press("up [").unwrap();
    assert_eq!(at(&still), order[0]);
    for _ in 0..order.len() {
        still.press("down").unwrap();
    }
    assert!(order.iter().position(|head| *head == at(&still)).unwrap() / across == (order.len() - 1) / across);
    still.press("v b").unwrap();
    let (layer, head) = at(&still);
    still.press(if layer == 0 { "up" } else { "down" }).unwrap();
    assert_eq!(at(&still), (layer.abs_diff(1), head), "a head drawn large stands in no row: layers are moved");
}

#[test]
fn the_colour_is_named_where_the_text_has_no_title() {
    let mut still = still("");
    still.screen(100, 30, Depth::True);
    still.press("c").unwrap();
    assert_eq!(message(&still), None, "the title says it");
    still.screen(80, 24, Depth::True);
    still.press("c").unwrap();
    assert_eq!(message(&still), Some("text: entropy before the token, 0 to 8 nats"));
}

#[test]
fn a_saved_run_refuses_at_once_what_needs_a_model() {
    let run = common_run();
    let mut still = Still::of_saved(run);
    for key in ["i", "space", "ctrl-g", "r", "u", "U", "z", "Z", "f", "s", "p", "T"] {
        still.state.message = None;
        let key: mixscope::state::input::Key = key.parse().unwrap();
        let effects = update(&mut still.state, Event::Key(key));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Ask(..))), "{key}");
        assert!(still.state.overlays.is_empty(), "{key} opens what can only fail");
        assert_eq!(message(&still), Some("this is a saved run without a model: o opens a model"), "{key}");
    }
    still.press("4 enter").unwrap();
    assert!(message(&still).is_some_and(|said| said.contains("o opens a model")));
    still.take(Event::Paste("text".into()));
    assert!(still.state.overlays.is_empty(), "pasted text has no model to read it");
}

pub fn common_run() -> mixscope::engine::Replay {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-f32/reference.safetensors");
    mixscope::engine::Replay::open(&path).unwrap()
}

#[test]
fn the_last_message_can_be_read_whenever() {
    let mut still = still("!");
    assert_eq!(message(&still), Some("there is no message to show"));
    still.take(Event::Trouble(Failure { summary: "boom".into(), causes: vec!["a fuse".into()] }));
    // Put away, and other things done.
    still.press("esc right 2 3").unwrap();
    assert_eq!(message(&still), None);
    still.press("!").unwrap();
    let screen = still.screen(80, 24, Depth::Mono);
    let text: String = screen.content().iter().map(|cell| cell.symbol()).collect();
    assert!(text.contains("message · esc closes") && text.contains("boom") && text.contains("a fuse"), "{text}");
    still.press("esc").unwrap();
    assert_eq!((message(&still), still.state.overlays.len()), (None, 0));
}

#[test]
fn text_that_is_cut_ends_in_an_ellipsis() {
    let mut still = still(":");
    for (width, height) in [(40, 10), (80, 24)] {
        let rows = (1..height - 1).map(|y| line(&mut still, width, height, y));
        let cut = rows.filter(|line| line.contains("generate until")).collect::<Vec<_>>();
        assert!(!cut.is_empty(), "{width}");
        assert!(cut.iter().all(|line| line.contains("pause if it runs") || line.contains('…')), "{cut:?}");
    }
}

#[test]
fn panes_without_frames_do_not_touch() {
    let mut still = still("w s");
    let rows: Vec<Vec<String>> = {
        let screen = still.screen(80, 24, Depth::Mono);
        (0..24).map(|y| (0..80).map(|x| screen[(x, y)].symbol().to_owned()).collect()).collect()
    };
    let title = rows.iter().position(|row| row.concat().contains("routing:")).unwrap();
    for row in &rows[title..22] {
        assert_eq!(row[39], " ", "{}", row.concat());
    }
}

#[test]
fn a_picture_of_the_screen_does_not_show_that_it_is_written() {
    let mut still = still("");
    let theme = Theme::new(Depth::True);
    let area = Rect::new(0, 0, 100, 30);
    let before = photograph(&mut still.state, &theme, area);
    let effects = update(&mut still.state, Event::Key("S".parse().unwrap()));
    assert_eq!(effects, [Effect::Save(Save::Screen)]);
    let text = |screen: &Screen| screen.cells.iter().map(|cell| cell.symbol.as_str()).collect::<String>();
    let picture = photograph(&mut still.state, &theme, area);
    assert_eq!(text(&picture), text(&before));
    assert!(!text(&picture).contains("writing") && still.state.saving.is_some());
}

#[test]
fn a_dropped_path_is_opened() {
    for text in ["'/tmp/a b/model'\n", "/tmp/a\\ b/model", "file:///tmp/a%20b/model\r\n"] {
        let open = |still: &mut Still| {
            let effects = update(&mut still.state, Event::Key("enter".parse().unwrap()));
            assert!(
                effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Ask(_, Ask::Open(name)) if name == "/tmp/a b/model")),
                "{text:?}: {effects:?}"
            );
        };
        let mut pasted = still("o");
        pasted.take(Event::Paste(text.to_owned()));
        open(&mut pasted);
        let mut typed = still("o");
        typed.type_text(text.trim());
        open(&mut typed);
    }
}
