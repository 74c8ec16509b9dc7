//! Panes, jumps and selections: the keys of editors.

use crate::support::still::{demo, message};
use mixscope::analysis::view::{Tab, View};
use mixscope::app::Still;
use mixscope::state::input::Unit;
use mixscope::state::{Arrangement, FirstArrangement, UsageMeasure};
use mixscope::ui::Depth;

const PROMPT: &str = "Once upon a time, there was a little girl named Lily. She had a red ball.";

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

fn screen(still: &mut Still, width: u16, height: u16) -> String {
    let buf = still.screen(width, height, Depth::Mono);
    let line = |y: u16| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn vim_and_helix_keys_do_what_they_do_there() {
    let mut still = still("g g");
    assert_eq!(still.state.cursor.token, 0);
    still.press("G").unwrap();
    let last = still.state.tokens.len() - 1;
    assert_eq!(still.state.cursor.token, last);
    still.press("g g g e").unwrap();
    assert_eq!(still.state.cursor.token, last);
    // Half of the six layers that are shown.
    screen(&mut still, 160, 45);
    still.press("ctrl-d").unwrap();
    assert_eq!(still.state.cursor.layer, 2);
    still.press("ctrl-u").unwrap();
    assert_eq!(still.state.cursor.layer, 5);
    still.press("ctrl-u").unwrap();
    assert_eq!(still.state.cursor.layer, 5);
}

#[test]
fn jumps_lead_back_and_forward() {
    let mut still = still("g g");
    still.press("3 /").unwrap();
    still.type_text("Lily");
    still.press("enter").unwrap();
    let found = still.state.cursor.token;
    assert!(found > 0);
    still.press("1 G ctrl-o").unwrap();
    assert_eq!((still.state.cursor.token, still.state.tab()), (found, Tab::Routing));
    still.press("ctrl-o").unwrap();
    assert_eq!((still.state.cursor.token, still.state.tab()), (0, Tab::Lens), "in the view of that time");
    still.press("alt-o").unwrap();
    assert_eq!(still.state.cursor.token, found);
    still.press("ctrl-o ctrl-o ctrl-o").unwrap();
    assert!(message(&still).contains("no jump to go back from"), "{}", message(&still));
}

#[test]
fn what_takes_tokens_of_the_prompt_away_says_so() {
    let mut still = still("space u");
    assert_eq!(message(&still), "", "a generated token is forgotten without a word");
    still.press("u").unwrap();
    assert!(message(&still).contains("1 token of the prompt away: z brings"), "{}", message(&still));
    let len = still.state.tokens.len();
    still.press("z").unwrap();
    assert_eq!(still.state.tokens.len(), len + 1);
    still.press("g g U").unwrap();
    assert!(message(&still).contains(&format!("took {len} tokens of the prompt away")), "{}", message(&still));
}

#[test]
fn a_selection_grows_with_the_cursor_and_by_lines_prompt_and_generated_part() {
    let mut still = still("space space space g g l l V l l l");
    assert_eq!(still.state.selected(), Some(2..6));
    let title = screen(&mut still, 160, 45);
    assert!(title.contains("tokens 2 to 5 selected: 4") && title.contains("others"), "{title}");
    still.press("V").unwrap();
    assert_eq!(still.state.selection.unwrap().unit, Unit::Lines);
    assert_eq!(still.state.selected().unwrap(), still.state.lines.tokens(0));
    let (prompt, all) = (still.state.tokens.len() - 3, still.state.tokens.len());
    still.press("V").unwrap();
    assert_eq!(still.state.selected(), Some(0..prompt));
    still.press("V").unwrap();
    assert_eq!(still.state.selected(), Some(prompt..all));
    still.press("G space").unwrap();
    assert_eq!(still.state.selected(), Some(prompt..all + 1), "it grows with the run");
    // The usage that grew token by token is that of the tokens.
    let meta = still.state.meta().unwrap().clone();
    let of = |range: std::ops::Range<usize>| {
        mixscope::analysis::RunUsage::of(&still.state.tokens[range], &meta.dims, meta.router_dtype())
    };
    let selected = still.state.selected_usage.as_ref().unwrap();
    assert_eq!(selected.inside, of(prompt..all + 1));
    assert_eq!(selected.outside, of(0..prompt));
    still.press("esc").unwrap();
    assert!(still.state.selection.is_none() && still.state.selected_usage.is_none());
}

#[test]
fn the_usage_of_a_selection_is_compared_with_that_of_all_other_tokens() {
    let mut still = still("space space space space space space");
    still.press("V V V V > > > a a a").unwrap();
    assert_eq!(
        (still.state.view(), still.state.usage_measure(still.state.pane())),
        (View::RoutingUsage, UsageMeasure::Difference)
    );
    let shown = screen(&mut still, 160, 45);
    assert!(shown.contains("selected − others"), "{shown}");
    let layers = still.state.meta().unwrap().dims.layers;
    for layer in 0..layers {
        let sum: f64 = (0..8).filter_map(|expert| still.state.share_difference(layer, expert)).sum();
        assert!(sum.abs() < 1e-9, "shares sum to 1 on both sides: {sum}");
    }
    still.press("esc").unwrap();
    assert_eq!(still.state.usage_measure(still.state.pane()), UsageMeasure::Chosen, "nothing to compare any more");
}

#[test]
fn a_large_screen_begins_with_the_dashboard_from_which_numbers_lead_to_one_view_and_back() {
    let mut still = Still::new(demo(), Some(PROMPT));
    still.state.begin_with(FirstArrangement::Auto, 139, 45);
    assert_eq!(still.state.panes.arrangement(), Arrangement::One);
    still.state.begin_with(FirstArrangement::Auto, 140, 40);
    let views = |still: &Still| still.state.panes.all().iter().map(|pane| pane.view()).collect::<Vec<_>>();
    assert_eq!(views(&still), [View::RoutingMap, View::AttentionHead, View::LensGrid]);
    for (width, height) in [(140, 40), (160, 45), (240, 70)] {
        let shown = screen(&mut still, width, height);
        for part in ["routing:", "attention:", "lens:", "next after"] {
            assert!(shown.contains(part), "{width}×{height} lacks {part}\n{shown}");
        }
    }
    for (number, tab) in [("2", Tab::Attention), ("3", Tab::Lens), ("4", Tab::Next), ("1", Tab::Routing)] {
        still.press(number).unwrap();
        assert_eq!((still.state.panes.all().len(), still.state.tab()), (1, tab));
        still.press(number).unwrap();
        assert_eq!(views(&still), [View::RoutingMap, View::AttentionHead, View::LensGrid]);
    }
    still.press("2 1").unwrap();
    assert_eq!((still.state.panes.all().len(), still.state.tab()), (1, Tab::Routing), "another number: another view");
    still.press("1").unwrap();
    assert_eq!(still.state.panes.all().len(), 3);
    // On a small screen the view with the focus has all the room.
    let shown = screen(&mut still, 80, 24);
    assert!(shown.contains("routing") && !shown.contains("lens:"), "{shown}");
    still.press("w d").unwrap();
    assert_eq!(still.state.panes.all().len(), 1);
}

#[test]
fn arrangements_are_gone_through_in_a_circle() {
    let mut still = still("");
    for count in [2, 2, 3, 3, 1] {
        still.press("w a").unwrap();
        assert_eq!(still.state.panes.all().len(), count, "{}", message(&still));
        screen(&mut still, 160, 45);
        screen(&mut still, 80, 24);
    }
}
