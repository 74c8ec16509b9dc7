//! What people expect of a terminal program: palette, pairs of keys, search, bookmarks, undo, copying. With the real
//! engine and the model in the program, without a terminal.

use crate::support::still::{demo, message};
use mixscope::analysis::tables::{Row, TokenText, candidates, routing, write_csv};
use mixscope::analysis::view::Tab;
use mixscope::analysis::{HeadMap, Pick};
use mixscope::app::Still;
use mixscope::state::input::{Action, Extent, Scope};
use mixscope::state::{Effect, Event, Gesture, Overlay, Selection, Spot, update};
use mixscope::trace::{LensSite, Records};
use mixscope::ui::Depth;

const PROMPT: &str = "The capital of France is Paris. The capital of Spain is";

fn still() -> Still {
    Still::new(demo(), Some(PROMPT))
}

fn screen(still: &mut Still, width: u16, height: u16) -> String {
    let buf = still.screen(width, height, Depth::Mono);
    let line = |y: u16| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

/// Presses keys and returns what was copied.
#[track_caller]
fn copied(still: &mut Still, keys: &str) -> Option<String> {
    let (last, first) = (keys.split(' ').next_back().unwrap(), keys.rsplit_once(' ').map_or("", |(first, _)| first));
    still.press(first).unwrap();
    let effects = update(&mut still.state, Event::Key(last.parse().unwrap()));
    match effects.as_slice() {
        [] => None,
        [Effect::Copy(text)] => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_prefix_shows_what_can_follow_and_ends_with_the_second_key() {
    let mut still = still();
    still.press("y").unwrap();
    for size in [(160, 45), (80, 24), (40, 10)] {
        let shown = screen(&mut still, size.0, size.1);
        assert!(["c", "r", "v"].iter().all(|key| shown.contains(&format!("│ {key}  copy"))), "{shown}");
    }
    still.press("esc").unwrap();
    assert!(!screen(&mut still, 80, 24).contains("copy the row"));
    still.press("y x").unwrap();
    assert!(message(&still).contains("y x means nothing") && message(&still).contains("c r v"), "{}", message(&still));
    assert_eq!(still.state.pending, None);
    still.press("y").unwrap();
    assert_eq!(update(&mut still.state, Event::Key("ctrl-c".parse().unwrap())), [Effect::Quit], "works anywhere");
}

#[test]
fn the_palette_finds_actions_runs_them_and_remembers_them() {
    let mut still = still();
    for key in [":", "ctrl-p"] {
        still.press(key).unwrap();
        assert!(matches!(still.state.overlays[..], [Overlay::Palette(_)]));
        assert!(screen(&mut still, 80, 24).contains("command palette"));
        still.press("esc").unwrap();
    }
    still.press(":").unwrap();
    still.type_text("lens what");
    let shown = screen(&mut still, 80, 24);
    assert!(shown.contains("▸ Lens: what the model would say at each layer"), "{shown}");
    still.press("enter").unwrap();
    assert_eq!((still.state.tab(), still.state.overlays.len()), (Tab::Lens, 0));

    still.press(": down up").unwrap();
    assert!(screen(&mut still, 80, 24).contains("▸ Lens: what"), "used last stands on top");
    still.press("esc :").unwrap();
    still.type_text("4");
    let Some(Overlay::Palette(palette)) = still.state.overlays.last() else { panic!() };
    let rows = still.state.commands(palette);
    assert_eq!(rows[0].action, Action::GoTo(mixscope::state::input::Address::token(4)));
    assert_eq!(rows[1].action, Action::Show(Tab::Next), "typed keys are found as well");
    still.press("enter").unwrap();
    assert_eq!(still.state.cursor.token, 4);

    still.press(":").unwrap();
    still.type_text("qqqqq");
    assert!(screen(&mut still, 80, 24).contains("no action fits"));
    still.press("enter down up pgdn").unwrap();
    assert!(matches!(still.state.overlays[..], [Overlay::Palette(_)]), "nothing to do");
}

#[test]
fn the_palette_offers_every_action_of_the_views() {
    let still = still();
    let all = still.state.commands(&Default::default());
    for entry in still.state.keymap.of(Scope::Explore).filter(|entry| entry.action != Action::Palette) {
        assert!(all.iter().any(|command| command.action == entry.action), "{}", entry.help);
    }
}

#[test]
fn search_jumps_around_the_ends_and_marks_what_it_found() {
    let mut still = still();
    let find = |still: &mut Still, text: &str| {
        still.press("/").unwrap();
        still.type_text(text);
        still.press("enter").unwrap();
    };
    let at = |still: &Still| still.state.shown[still.state.cursor.token].0.clone();
    still.press("home").unwrap();
    find(&mut still, "capital of");
    let (first, state) = (still.state.cursor.token, &still.state);
    assert_eq!(
        (state.search.as_ref().unwrap().matches().len(), message(&still).starts_with("match 1 of 2")),
        (2, true)
    );
    assert!(still.state.shown[first].0.starts_with('·'));
    still.press("n").unwrap();
    let second = still.state.cursor.token;
    assert!(second > first && message(&still).starts_with("match 2 of 2"));
    still.press("n").unwrap();
    assert_eq!(still.state.cursor.token, first, "around the end");
    still.press("N").unwrap();
    assert_eq!(still.state.cursor.token, second, "and around the start");
    find(&mut still, "paris");
    assert!(message(&still).starts_with("match 1 of 1"), "from the cursor around the end: {}", message(&still));
    find(&mut still, "PARIS");
    assert!(message(&still).contains("not in the text"), "capitals count if some are typed: {}", message(&still));

    // Later tokens are searched with the request for the next match.
    find(&mut still, "the");
    let before = still.state.search.as_ref().unwrap().matches().len();
    still.press("f").unwrap();
    still.type_text(" the the");
    still.press("enter n").unwrap();
    assert_eq!(still.state.search.as_ref().unwrap().matches().len(), before + 2);
    still.press("home right right U").unwrap();
    let matches = still.state.search.as_ref().unwrap().matches();
    assert!(matches.iter().all(|found| found.end <= still.state.tokens.len()));
    still.press("esc").unwrap();
    assert!(still.state.search.is_none(), "esc ends it");
    still.press("n").unwrap();
    assert!(message(&still).contains("/ starts one"));
    assert!(!at(&still).is_empty());
}

#[test]
fn bookmarks_are_visited_in_turn_and_go_with_their_tokens() {
    let mut still = still();
    still.press("home right right m").unwrap();
    still.press("right right right m right right m").unwrap();
    assert_eq!(still.state.bookmarks.iter().copied().collect::<Vec<_>>(), [2, 5, 7]);
    assert_eq!(screen(&mut still, 80, 24).matches('◆').count(), 3);
    for (key, token) in [("'", 2), ("'", 5), ("\"", 2), ("\"", 7), ("\"", 5)] {
        still.press(key).unwrap();
        assert_eq!(still.state.cursor.token, token);
    }
    still.press("p").unwrap();
    assert_eq!(still.state.bookmarks.len(), 3, "the same text under another policy keeps them");
    still.press("home right right right U").unwrap();
    assert_eq!(still.state.bookmarks.iter().copied().collect::<Vec<_>>(), [2], "forgotten with their tokens");
    still.press("left m '").unwrap();
    assert!(message(&still).starts_with("no bookmarks yet"), "{}", message(&still));
}

#[test]
fn undo_brings_back_run_and_prompt() {
    let mut still = still();
    let ids = |still: &Still| still.state.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    let first = ids(&still);
    still.press("space space").unwrap();
    let longer = ids(&still);
    still.press("i ctrl-u").unwrap();
    still.type_text("Once upon");
    still.press("enter").unwrap();
    let other = ids(&still);
    still.press("z").unwrap();
    assert_eq!((ids(&still), still.state.prompt.as_str()), (longer.clone(), PROMPT));
    assert!(message(&still).starts_with("undid the prompt"), "{}", message(&still));
    still.press("z z").unwrap();
    assert_eq!(ids(&still), first);
    still.press("Z Z Z").unwrap();
    assert_eq!((ids(&still), still.state.prompt.as_str()), (other, "Once upon"));
    still.press("Z").unwrap();
    assert!(message(&still).contains("nothing to redo"), "{}", message(&still));
    still.press("z z z z").unwrap();
    assert!(still.state.tokens.is_empty() && still.state.prompt.is_empty(), "before the first prompt");
    still.press("z").unwrap();
    assert!(message(&still).contains("nothing to undo"), "{}", message(&still));
    still.press("space").unwrap();
    let shown = screen(&mut still, 80, 24);
    assert!(shown.contains("there is no text to continue yet"), "the editor says why it opens:\n{shown}");
}

#[test]
fn a_forced_candidate_in_the_middle_is_one_action() {
    let mut still = still();
    let ids = |still: &Still| still.state.tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    let before = ids(&still);
    still.press("4 home right right down enter").unwrap();
    assert_eq!(still.state.tokens.len(), 4);
    still.press("z").unwrap();
    assert_eq!(ids(&still), before);
}

fn whole<R: Row>(rows: impl Iterator<Item = R>) -> String {
    let mut out = Vec::new();
    write_csv(rows, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn copies_of_tables_are_lines_of_the_files() {
    let mut still = still();
    let trace = Records { meta: demo().meta.clone(), tokens: still.state.tokens.clone() };
    let layers = trace.meta.dims.layers;
    let chosen = |file: &str, keep: &dyn Fn(&[&str]) -> bool| {
        let lines = file.split_inclusive("\r\n").enumerate();
        lines
            .filter(|(i, line)| *i == 0 || keep(&line.split(',').collect::<Vec<_>>()))
            .map(|(_, line)| line)
            .collect::<String>()
    };
    let places = (0..trace.tokens.len()).flat_map(|pos| (0..layers).map(move |layer| (pos, layer)));
    let routing = whole(places.flat_map(|(pos, layer)| routing(&trace.tokens[pos], pos, layer).unwrap()));
    still.press("home right right right down .").unwrap();
    let row = copied(&mut still, "y r").unwrap();
    assert_eq!(row, chosen(&routing, &|cells| cells[..2] == ["3", "4"]));
    let text = copied(&mut still, "y c").unwrap();
    let cell = row.lines().find(|line| line.starts_with("3,4,1,")).unwrap();
    assert_eq!(text, format!("E1 {}", cell.split(',').nth(4).unwrap()));
    assert_eq!(message(&still), format!("copied {text}"));
    assert_eq!(copied(&mut still, "y v").unwrap(), chosen(&routing, &|cells| cells[0] == "3"));
    assert_eq!(copied(&mut still, "v y v").unwrap(), chosen(&routing, &|cells| cells[1] == "4"));
    assert_eq!(copied(&mut still, "v y v").unwrap(), routing);

    let tokens = trace.tokens.iter().enumerate();
    let candidates = whole(tokens.flat_map(|(pos, token)| candidates(token, pos, TokenText::Exact)));
    let table = copied(&mut still, "4 y v").unwrap();
    assert_eq!(table, chosen(&candidates, &|cells| cells[0] == "3"));
    assert_eq!(copied(&mut still, "down y r").unwrap().lines().nth(1), table.lines().nth(2));
    let second = still.state.tokens[3].next.top[1].clone();
    let spelled = second.piece.replace('▁', "·");
    assert_eq!(copied(&mut still, "y c").unwrap(), format!("{spelled} {}", second.prob));

    // The lens: what has been derived for the screen.
    still.press("3").unwrap();
    assert_eq!(copied(&mut still, "y c"), None);
    assert!(message(&still).contains("not derived yet"), "{}", message(&still));
    still.screen(400, 60, Depth::Mono);
    let table = copied(&mut still, "y v").unwrap();
    assert_eq!(table.lines().count(), 1 + still.state.tokens.len() * layers);
    assert!(table.starts_with("position,layer,site,k,token_id,token,logit,prob,text\r\n0,0,resid_post,1,"));
    assert_eq!(copied(&mut still, "y r").unwrap(), chosen(&table, &|cells| cells[1] == "4"));
    assert_eq!(still.state.pane().lens.site, Some(LensSite::ResidPost));
}

#[test]
fn attention_is_copied_exactly_or_not_at_all() {
    let mut still = still();
    still.press("2 left left").unwrap();
    still.screen(160, 45, Depth::Mono);
    let (n, pos) = (still.state.tokens.len(), still.state.cursor.token);
    let row = copied(&mut still, "y r").unwrap();
    assert_eq!(row.lines().count(), 1 + pos + 1);
    let weight = |line: &str| line.rsplit(',').next().unwrap().parse::<f32>().unwrap();
    let sum: f32 = row.lines().skip(1).map(weight).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    let best = row.lines().skip(1).map(weight).fold(0.0, f32::max);
    let cell = copied(&mut still, "y c").unwrap();
    assert_eq!(cell.rsplit(' ').next().unwrap().parse::<f32>().unwrap(), best, "{cell}");
    let grid = copied(&mut still, "y v").unwrap();
    assert!(grid.contains(row.lines().nth(1).unwrap()));
    assert_eq!(grid.lines().count(), 1 + 8 * (pos + 1));
    still.press("v").unwrap();
    still.screen(160, 45, Depth::Mono);
    let head = copied(&mut still, "y v").unwrap();
    assert_eq!(head.lines().count(), 1 + n * (n + 1) / 2);
    assert!(row.lines().skip(1).all(|line| head.contains(line)));
    let map: &HeadMap = still.state.derived.exact_map(5, Pick::One(0), n).unwrap();
    assert_eq!(weight(head.lines().last().unwrap()), map.cells[n * n - 1]);
}

#[test]
fn what_is_too_large_is_not_copied() {
    let long = "one two three four five six seven eight nine ten ".repeat(30);
    let mut still = Still::new(demo(), Some(&long));
    assert_eq!(copied(&mut still, "v v y v"), None);
    assert_eq!(message(&still), "too large for the clipboard (over 75 kB): e writes it to a file");
    still.screen(40, 10, Depth::Mono);
    still.press("2 v").unwrap();
    still.screen(40, 10, Depth::Mono);
    assert_eq!(copied(&mut still, "y v"), None, "a pooled head has no exact values on the screen");
    assert!(message(&still).contains("pooled"), "{}", message(&still));
}

#[test]
fn the_report_is_copied_whole() {
    let mut still = still();
    let report = copied(&mut still, "5 y v").unwrap();
    assert_eq!(report.lines().next(), Some("level,subject,expected,found,advice"));
    assert!(report.lines().count() > still.state.meta().unwrap().report.findings.len());
    assert_eq!(copied(&mut still, "y c"), None);
}

#[test]
fn selected_text_is_copied_as_it_reads() {
    let mut still = Still::new(demo(), Some("def f(x):\n    return x"));
    let to = still.state.tokens.len() - 1;
    still.state.selection =
        Some(Selection { from: to, to: 1, unit: mixscope::state::input::Unit::Tokens, follows: false });
    let text = copied(&mut still, "y c").unwrap();
    assert_eq!(text.trim_start(), "def f(x):\n    return x");
    assert_eq!(message(&still), format!("copied {to} tokens of text"));
}

#[test]
fn palette_and_hints_can_be_clicked() {
    let mut still = still();
    let click = |still: &mut Still, spot| update(&mut still.state, Event::Mouse(Gesture::Press, spot));
    let row = |row| Some(Spot { row: Some(row), ..Spot::default() });
    still.press(":").unwrap();
    still.type_text("attention where");
    click(&mut still, row(1));
    let Some(Overlay::Palette(palette)) = still.state.overlays.last() else { panic!() };
    assert_eq!(palette.marked, 1, "a click marks");
    click(&mut still, row(0));
    click(&mut still, row(0));
    assert_eq!((still.state.tab(), still.state.overlays.len()), (Tab::Attention, 0), "a second one does it");
    still.press("1 y").unwrap();
    let effects = click(&mut still, Some(Spot { action: Some(Action::Copy(Extent::Row)), ..Spot::default() }));
    assert!(matches!(effects[..], [Effect::Copy(_)]) && still.state.pending.is_none(), "{effects:?}");
    still.press("y").unwrap();
    assert!(click(&mut still, None).is_empty() && still.state.pending.is_none(), "elsewhere it ends");
}
