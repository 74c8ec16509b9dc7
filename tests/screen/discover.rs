//! Whether people find things: the footer of each view, the palette and its arguments, the help, titles to be clicked.

use crate::replies::common_run;
use crate::support::still::{demo, message};
use mixscope::analysis::Measure;
use mixscope::analysis::view::{FileFormat, Layout, Tab, View};
use mixscope::app::Still;
use mixscope::state::input::{Action, Extent};
use mixscope::state::{
    Arrangement, Effect, Event, Gesture, Overlay, Save, ShownMeasure, ThemeName, UsageMeasure, update,
};
use mixscope::trace::{LensSite, Policy};
use mixscope::ui::Depth;

const PROMPT: &str = "The capital of France is Paris. The capital of Spain is";

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

fn screen(still: &mut Still, width: u16, height: u16) -> Vec<String> {
    let buf = still.screen(width, height, Depth::True);
    let line = |y: u16| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

/// The first action that the palette offers for a text.
#[track_caller]
fn first(query: &str) -> Action {
    let mut still = still(":");
    still.type_text(query);
    let Some(Overlay::Palette(palette)) = still.state.overlays.last() else { panic!("no palette") };
    let rows = still.state.commands(palette);
    rows.first().unwrap_or_else(|| panic!("nothing fits “{query}”")).action
}

#[test]
fn the_palette_knows_the_words_people_use() {
    for (query, action) in [
        ("export", Action::SaveView),
        ("save run", Action::SaveRun),
        ("export run", Action::SaveRun),
        ("save screen", Action::SaveScreen),
        ("save", Action::SaveView),
        ("help", Action::Help),
        ("zoom", Action::Zoom),
        ("sampling", Action::Sampling),
        ("temperature", Action::Sampling),
        ("screenshot", Action::SaveScreen),
        ("undo", Action::Undo),
        ("quit", Action::Quit),
        ("theme", Action::NextTheme),
        ("split", Action::Split),
        ("go", Action::Go),
        ("edit", Action::EditPrompt),
        ("intervene", Action::Edits),
        ("dashboard", Action::Arrange(Arrangement::Dashboard)),
        ("induction", Action::ShowMeasure(ShownMeasure::Heads(Measure::Induction))),
        ("pairs", Action::ShowLayout(Layout::of(View::RoutingPairs))),
        ("routing.map", Action::ShowLayout(Layout::of(View::RoutingMap))),
        ("patching", Action::ShowLayout(Layout::of(View::EffectsPatching))),
        ("theme light", Action::ShowTheme(ThemeName::Light)),
        ("policy f32", Action::RunUnder(Policy::F32)),
        ("copy", Action::Copy(Extent::Cell)),
        ("search", Action::Search),
    ] {
        assert_eq!(first(query), action, "{query}");
    }
    let mut still = still(":");
    still.type_text("compare");
    let Some(Overlay::Palette(palette)) = still.state.overlays.last() else { panic!("no palette") };
    let rows = still.state.commands(palette);
    assert!(rows[..3].iter().any(|row| row.action == Action::SecondPrompt), "{rows:?}");
    assert!(rows[..3].iter().any(|row| row.action == Action::ShowLayout(Layout::of(View::Compare))), "{rows:?}");
}

#[test]
fn an_unknown_command_with_an_argument_is_no_other_action() {
    for query in ["policy f16", "foo bar", "theme blue", "temperature 1"] {
        let mut still = still(":");
        still.type_text(query);
        let Some(Overlay::Palette(palette)) = still.state.overlays.last() else { panic!("no palette") };
        assert_eq!(still.state.commands(palette), [], "{query}");
    }
}

#[test]
fn commands_take_arguments() {
    let mut still = still("");
    let command = |still: &mut Still, text: &str| {
        still.press(":").unwrap();
        still.type_text(text);
        still.press("enter").unwrap();
        assert!(still.state.overlays.is_empty(), "{text}");
    };
    command(&mut still, "layer 2");
    assert_eq!(still.state.cursor.layer, 2);
    command(&mut still, "L1H4");
    assert_eq!((still.state.cursor.layer, still.state.cursor.head), (1, 4));
    command(&mut still, "5.3");
    assert_eq!((still.state.cursor.layer, still.state.cursor.head), (5, 3));
    command(&mut still, "token 3");
    assert_eq!(still.state.cursor.token, 3);
    command(&mut still, "E7");
    assert_eq!(still.state.cursor.expert, 7);
    command(&mut still, "E8");
    assert_eq!((message(&still), still.state.cursor.expert), ("there is no expert 8: 0 to 7", 7));
    command(&mut still, "lens");
    assert_eq!(still.state.tab(), Tab::Lens);
    command(&mut still, "view both");
    assert_eq!(still.state.pane().lens.site, None);
    command(&mut still, "measure induction");
    assert_eq!((still.state.view(), still.state.pane().heads.measure), (View::AttentionGrid, Measure::Induction));
    command(&mut still, "arrangement two");
    assert_eq!(still.state.panes.all().len(), 2);
    command(&mut still, "theme light");
    assert_eq!(still.state.theme, ThemeName::Light);
    still.press("w t").unwrap();
    assert_eq!(still.state.theme, ThemeName::ColourVisionSafe);
}

#[test]
fn a_view_is_exported_in_the_format_and_look_that_is_typed() {
    let mut still = still("");
    let mut order = |text: &str| {
        still.press(":").unwrap();
        still.type_text(text);
        let effects = update(&mut still.state, Event::Key("enter".parse().unwrap()));
        let files = effects.into_iter().map(|effect| match effect {
            Effect::Save(Save::View(files)) => files,
            other => panic!("{text}: {other:?}"),
        });
        let found = files.map(|files| (files.spec.view, files.formats, files.look.scale)).next();
        update(&mut still.state, Event::Saved(Ok("wrote it".to_owned())));
        found
    };
    assert_eq!(order("export routing.map svg scale=3"), Some((View::RoutingMap, vec![FileFormat::Svg], 3.0)));
    let own = Some((View::RoutingToken, vec![FileFormat::Png, FileFormat::Csv], 2.0));
    assert_eq!(order("export scale=2"), own, "the view with the focus");
    assert_eq!(order("export effects.map"), None, "a map is computed in its own view");
    // What cannot be read is said, and stays to be mended.
    assert_eq!(order("export routing.map scale=big"), None);
    let Some(Overlay::Palette(palette)) = still.state.overlays.last() else { panic!("closed") };
    let rows = still.state.commands(palette);
    assert!(rows[0].text.starts_with("scale: expected a number, found `big`; export [view]"), "{}", rows[0].text);
}

#[test]
fn sorted_pairs_leave_out_the_never_chosen_and_keys_follow_their_order() {
    let mut still = still("v v v v A");
    assert_eq!(still.state.view(), View::RoutingPairs);
    let order = still.state.expert_order(still.state.pane());
    let usage = still.state.shown_usage().layer(still.state.cursor.layer).unwrap();
    let counts: Vec<u32> = order.iter().map(|expert| usage.chosen[*expert]).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b) && counts.iter().all(|count| *count > 0), "{counts:?}");
    let hidden = 8 - order.len();
    let title = screen(&mut still, 160, 45).join("\n");
    assert!(hidden > 0, "the text is short");
    assert!(title.contains(&format!("sorted, {hidden} never chosen hidden")), "{title}");
    // From the first to the last, and no further.
    still.state.cursor.expert = order[0];
    for expert in order.iter().skip(1).chain(order.last()) {
        still.press(".").unwrap();
        assert_eq!(still.state.cursor.expert, *expert);
    }
    still.press(",").unwrap();
    assert_eq!(still.state.cursor.expert, order[order.len() - 2]);
}

#[test]
fn the_footer_names_the_keys_of_the_view_and_only_those_that_do_something() {
    let footer = |keys: &str, width: u16| screen(&mut still(keys), width, 45).pop().unwrap();
    for (keys, has, lacks) in [
        ("1", &["} near-tie", "t close calls"][..], &["X row/column", "+ follow"][..]),
        ("2", &["b best", "A sort", "x mean/max", "R random tokens"], &["t close calls"]),
        ("3", &["+ follow", "a measure"], &["t close calls", "X row/column"]),
        ("4", &["+ follow", "F foil"], &["a measure", "v layout"]),
        ("5", &["p policy", "P policies"], &["t close calls"]),
        ("6", &["enter compute", "O over", "W how"], &["t close calls"]),
    ] {
        let line = footer(keys, 200);
        assert!(has.iter().all(|hint| line.contains(hint)), "{keys}: {line}");
        assert!(lacks.iter().all(|hint| !line.contains(hint)), "{keys}: {line}");
    }
    for width in [40, 80, 120] {
        let line = footer("1", width);
        assert!(line.ends_with("? help") && line.starts_with(" space step"), "{width}: {line}");
    }
    let mut saved = Still::of_saved(common_run());
    let line = screen(&mut saved, 200, 45).pop().unwrap();
    for refused in ["step", "go", "prompt", "back", "edit"] {
        assert!(!line.split("  ").any(|hint| hint.trim().ends_with(&format!(" {refused}"))), "{refused}: {line}");
    }
}

#[test]
fn the_help_has_sections_by_task_and_is_searched() {
    let mut still = still("?");
    let shown = screen(&mut still, 160, 45).join("\n");
    for heading in ["prompt and generation", "moving, searching, selecting"] {
        assert!(shown.contains(heading), "{shown}");
    }
    still.press("/").unwrap();
    still.type_text("near-tie");
    let shown = screen(&mut still, 160, 45).join("\n");
    assert!(shown.contains("next near-tie") && !shown.contains("generate one token"), "{shown}");
    still.press("enter").unwrap();
    assert!(screen(&mut still, 160, 45).join("\n").contains("keys with: near-tie"));
    still.press("esc").unwrap();
    assert!(screen(&mut still, 160, 45).join("\n").contains("generate one token"), "all keys again");
    still.press("esc").unwrap();
    assert!(still.state.overlays.is_empty());
    // No line is cut: what does not fit continues on the next one.
    for (width, height) in [(40, 12), (80, 24), (160, 45)] {
        let mut still = crate::support::still::still(PROMPT, "?");
        for _ in 0..40 {
            let shown = screen(&mut still, width, height).join("\n");
            assert!(!shown.lines().any(|line| line.trim_end_matches('│').trim_end().ends_with('…')), "{shown}");
            still.press("space").unwrap();
        }
    }
}

/// Clicks the first place where `text` is on the screen.
#[track_caller]
fn click(still: &mut Still, text: &str, (width, height): (u16, u16)) {
    let lines = screen(still, width, height);
    let found = lines.iter().enumerate().find_map(|(y, line)| Some((y, line[..line.find(text)?].chars().count())));
    let (y, x) = found.unwrap_or_else(|| panic!("no {text} in\n{}", lines.join("\n")));
    still.mouse(Gesture::Press, (x as u16, y as u16), width, height);
}

#[test]
fn titles_list_layouts_and_measures_to_be_clicked() {
    let size = (160, 45);
    let mut still = still("");
    click(&mut still, "usage pairs", size);
    assert_eq!(still.state.view(), View::RoutingUsage);
    click(&mut still, "weight ·", size);
    assert_eq!(still.state.pane().usage, UsageMeasure::Weight);
    click(&mut still, "map [", size);
    assert_eq!(still.state.view(), View::RoutingMap);
    still.press("3").unwrap();
    click(&mut still, "mid both", size);
    assert_eq!(still.state.pane().lens.site, Some(LensSite::ResidMid));
    // On a narrow screen the measure that is shown has its number, and a click goes on.
    let shown = still.state.shown_measure(still.state.pane());
    click(&mut still, "1/4", (50, 24));
    assert_ne!(still.state.shown_measure(still.state.pane()), shown);
}

#[test]
fn layouts_and_measures_turn_both_ways() {
    let mut still = still("");
    let mut there = Vec::new();
    for _ in 0..5 {
        there.push(still.state.view());
        still.press(">").unwrap();
    }
    for view in there.into_iter().rev() {
        still.press("<").unwrap();
        assert_eq!(still.state.view(), view);
    }
    still.press("2 ) )").unwrap();
    assert_eq!(still.state.pane().heads.measure, Measure::ALL[2]);
    still.press("( ( (").unwrap();
    assert_eq!(still.state.pane().heads.measure, Measure::ALL[Measure::ALL.len() - 1]);
}

#[test]
fn typing_a_prompt_counts_its_tokens() {
    let mut still = Still::new(demo(), None);
    still.press("i").unwrap();
    let title = |still: &mut Still| screen(still, 100, 30).into_iter().find(|line| line.contains(" prompt ")).unwrap();
    assert!(!title(&mut still).contains("tokens"));
    still.type_text("The capital of France is");
    screen(&mut still, 100, 30);
    still.press("enter").unwrap();
    let tokens = still.state.tokens.len();
    still.press("i").unwrap();
    screen(&mut still, 100, 30);
    assert!(title(&mut still).contains(&format!(" {tokens} tokens ")), "{}", title(&mut still));
}

#[test]
fn the_whole_cell_is_shown_on_demand() {
    let mut still = still("3 ;");
    let shown = screen(&mut still, 100, 30).join("\n");
    assert!(shown.contains("the cell at the cursor") && shown.contains("lens after layer 5"), "{shown}");
    still.press("esc").unwrap();
    assert!(still.state.overlays.is_empty());
}
