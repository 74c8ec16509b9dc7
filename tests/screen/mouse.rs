//! What the mouse does: on the screen as it is drawn, at three sizes.

use mixscope::analysis::view::Tab;
use mixscope::app::Still;
use mixscope::state::{Gesture, Overlay, Pane};
use mixscope::ui::Depth;

const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";
const WIDE: (u16, u16) = (160, 45);

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

/// The cell of `text` on the screen, the `nth` time (from 0) in reading order.
fn find(still: &mut Still, (w, h): (u16, u16), text: &str, nth: usize) -> (u16, u16) {
    let screen = still.screen(w, h, Depth::True);
    let mut found = Vec::new();
    for y in 0..h {
        let cells: Vec<&str> = (0..w).map(|x| screen[(x, y)].symbol()).collect();
        let wanted: Vec<String> = text.chars().map(String::from).collect();
        let starts = cells.windows(wanted.len()).enumerate().filter(|(_, here)| wanted.iter().eq(here.iter()));
        found.extend(starts.map(|(x, _)| (x as u16, y)));
    }
    *found.get(nth).unwrap_or_else(|| panic!("no {nth}. {text:?} on the screen"))
}

fn click(still: &mut Still, size: (u16, u16), text: &str, nth: usize) {
    let at = find(still, size, text, nth);
    still.mouse(Gesture::Press, at, size.0, size.1);
    still.mouse(Gesture::Release, at, size.0, size.1);
}

#[test]
fn a_click_in_the_text_moves_the_cursor_at_every_size() {
    for size in [(40, 10), (80, 24), WIDE] {
        let mut still = still("");
        click(&mut still, size, "owl", 0);
        assert_eq!(still.state.cursor.token, 5, "{size:?}");
        assert!(still.state.selection.is_none());
    }
}

#[test]
fn tabs_hints_and_cells_can_be_clicked() {
    let mut still = still("");
    click(&mut still, WIDE, "3 Lens", 0);
    assert_eq!(still.state.tab(), Tab::Lens);
    click(&mut still, WIDE, "1 Routing", 0);
    click(&mut still, WIDE, "L2", 0);
    assert_eq!((still.state.tab(), still.state.cursor.layer), (Tab::Routing, 2));
    let (x, _) = find(&mut still, WIDE, "E6", 0);
    let (_, y) = find(&mut still, WIDE, "L4", 0);
    still.mouse(Gesture::Press, (x, y), WIDE.0, WIDE.1);
    assert_eq!((still.state.cursor.layer, still.state.cursor.expert), (4, 6), "a cell is its row and its column");
    click(&mut still, WIDE, "help", 0);
    assert!(matches!(still.state.overlays.last(), Some(Overlay::Page(_))));
}

#[test]
fn every_layout_of_routing_knows_its_cells() {
    let mut still = still("v");
    let (x, _) = find(&mut still, WIDE, "·blue", 1);
    let (_, y) = find(&mut still, WIDE, "E3", 0);
    still.mouse(Gesture::Press, (x, y), WIDE.0, WIDE.1);
    assert_eq!((still.state.cursor.token, still.state.cursor.expert), (4, 3));
    still.press("v").unwrap();
    click(&mut still, WIDE, "L1", 0);
    assert_eq!((still.state.cursor.token, still.state.cursor.layer), (4, 1), "a label has no token");
    let (x, y) = find(&mut still, WIDE, "L5", 0);
    still.mouse(Gesture::Press, (x + 4, y), WIDE.0, WIDE.1);
    assert_eq!((still.state.cursor.token, still.state.cursor.layer), (0, 5));
    still.press("v").unwrap();
    let (x, _) = find(&mut still, WIDE, "E7", 0);
    let (_, y) = find(&mut still, WIDE, "L3", 0);
    still.mouse(Gesture::Press, (x, y), WIDE.0, WIDE.1);
    assert_eq!((still.state.cursor.layer, still.state.cursor.expert), (3, 7));
}

#[test]
fn heads_and_candidates_can_be_clicked() {
    let mut still = still("2");
    let (x, _) = find(&mut still, WIDE, "H3", 0);
    let (_, y) = find(&mut still, WIDE, "L4", 0);
    still.mouse(Gesture::Press, (x, y), WIDE.0, WIDE.1);
    assert_eq!((still.state.cursor.layer, still.state.cursor.head), (4, 3));
    still.press("4").unwrap();
    let (x, y) = find(&mut still, WIDE, "▸   1", 0);
    still.mouse(Gesture::Press, (x, y + 2), WIDE.0, WIDE.1);
    assert_eq!(still.state.cursor.candidate, 2);
}

#[test]
fn a_drag_over_the_text_selects_tokens_and_says_what_they_are() {
    let mut still = still("");
    let (from, to) = (find(&mut still, WIDE, "apple", 0), find(&mut still, WIDE, "owl", 0));
    still.mouse(Gesture::Press, from, WIDE.0, WIDE.1);
    still.mouse(Gesture::Drag, to, WIDE.0, WIDE.1);
    still.mouse(Gesture::Release, to, WIDE.0, WIDE.1);
    let selection = still.state.selected().expect("a selection");
    assert_eq!((selection, still.state.cursor.token), (2..6, 5));
    find(&mut still, WIDE, "tokens 2 to 5 selected: 4", 0);
    let nll: Vec<f32> = still.state.tokens[2..6].iter().map(|token| token.score.unwrap().nll).collect();
    let mean = nll.iter().sum::<f32>() / 4.0;
    find(&mut still, WIDE, &format!("mean loss {mean:.2} (others "), 0);
    still.press("esc").unwrap();
    assert!(still.state.selection.is_none());
    // Backwards, and cut off by stepping back.
    still.mouse(Gesture::Press, to, WIDE.0, WIDE.1);
    still.mouse(Gesture::Drag, from, WIDE.0, WIDE.1);
    assert_eq!(still.state.selected().unwrap(), 2..6);
    still.press("home U").unwrap();
    assert!(still.state.selection.is_none() && still.state.tokens.len() == 1);
}

#[test]
fn the_wheel_moves_along_the_text_over_it_and_through_layers_elsewhere() {
    let mut still = still("");
    let text = find(&mut still, WIDE, "owl", 0);
    still.mouse(Gesture::WheelUp, text, WIDE.0, WIDE.1);
    assert_eq!(still.state.cursor.token, 9);
    let view = find(&mut still, WIDE, "L3", 0);
    still.mouse(Gesture::WheelDown, view, WIDE.0, WIDE.1);
    assert_eq!((still.state.cursor.token, still.state.cursor.layer), (9, 4));
    still.press("?").unwrap();
    still.mouse(Gesture::WheelDown, view, WIDE.0, WIDE.1);
    assert!(matches!(still.state.overlays.last(), Some(Overlay::Page(page)) if page.line == 1));
}

#[test]
fn lists_are_marked_by_a_click_accepted_by_the_next_and_closed_by_one_outside() {
    let mut still = still("s");
    click(&mut still, WIDE, "top-k", 0);
    assert!(matches!(still.state.overlays.last(), Some(Overlay::Form(form)) if form.field == 1));
    still.mouse(Gesture::Press, (0, 0), WIDE.0, WIDE.1);
    assert!(still.state.overlays.is_empty());
    still.press("t").unwrap();
    let (x, y) = find(&mut still, WIDE, "logit gap", 0);
    let y = y + 3;
    still.mouse(Gesture::Press, (x, y), WIDE.0, WIDE.1);
    assert!(matches!(still.state.overlays.last(), Some(Overlay::ClosestCalls(list)) if list.at == 2));
    still.mouse(Gesture::Press, (x, y), WIDE.0, WIDE.1);
    assert!(still.state.overlays.is_empty(), "the second click goes there");
}

#[test]
fn a_click_in_the_other_pane_gives_it_the_focus() {
    let mut still = still("w s");
    let tabs = |still: &Still| still.state.panes.all().iter().map(Pane::tab).collect::<Vec<_>>();
    assert_eq!((tabs(&still), still.state.panes.focus()), (vec![Tab::Routing, Tab::Attention], 1));
    click(&mut still, WIDE, "L2", 0);
    assert_eq!((still.state.tab(), still.state.cursor.layer), (Tab::Routing, 2));
    assert_eq!((tabs(&still), still.state.panes.focus()), (vec![Tab::Routing, Tab::Attention], 0));
    still.press("w z").unwrap();
    let screen = still.screen(WIDE.0, WIDE.1, Depth::True);
    let text: String = screen.content().iter().map(ratatui::buffer::Cell::symbol).collect();
    assert!(!text.contains("attention:") && text.contains("routing: [token]"), "zoomed");
    still.press("w z w s").unwrap();
    assert_eq!(still.state.panes.all().len(), 1);
}
