//! What the screen looks like: styled snapshots of every view at three sizes and three colour depths.

use crate::support::cells::styled;
use insta::assert_snapshot;
use mixscope::app::Still;
use mixscope::model::{Loaded, Location, open};
use mixscope::protocol::Failure;
use mixscope::state::{Event, View};
use mixscope::trace::Policy;
use mixscope::ui::Depth;
use ratatui::style::Color;
use std::sync::{Arc, OnceLock};

const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (160, 45)];
const DEPTHS: [(&str, Depth); 3] = [("true", Depth::True), ("256", Depth::Indexed), ("mono", Depth::Mono)];
const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";

fn demo() -> Arc<Loaded> {
    static DEMO: OnceLock<Arc<Loaded>> = OnceLock::new();
    DEMO.get_or_init(|| Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap())).clone()
}

fn still(keys: &str) -> Still {
    let mut still = Still::new(demo(), Some(PROMPT));
    still.press(keys).unwrap();
    still
}

/// Every size and depth of one situation, as snapshots of their own.
fn snapshot(name: &str, keys: &str) {
    let mut still = still(keys);
    for (w, h) in SIZES {
        for (depth_name, depth) in DEPTHS {
            let screen = still.screen(w, h, depth);
            if depth == Depth::Mono {
                let coloured = screen.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
                assert!(!coloured, "{name} {w}×{h}: a colour where there are none");
            }
            assert_snapshot!(format!("{name}-{w}x{h}-{depth_name}"), styled(&screen));
        }
    }
}

#[test]
fn routing_token() {
    snapshot("routing-token", "space left left down .");
}

#[test]
fn routing_layer() {
    snapshot("routing-layer", "v");
}

#[test]
fn routing_map() {
    snapshot("routing-map", "v v left");
}

#[test]
fn routing_load() {
    snapshot("routing-load", "v v v a a");
}

#[test]
fn routing_pairs() {
    snapshot("routing-pairs", "v v v v .");
}

#[test]
fn closest_calls() {
    snapshot("closest-calls", "t down");
}

#[test]
fn contributions() {
    snapshot("contributions", "D j");
}

#[test]
fn attention_sorted_on_random_tokens() {
    snapshot("attention-sorted", "2 a a a R A b");
}

#[test]
fn attention_column_on_a_logarithmic_scale() {
    snapshot("attention-column", "2 v x % X left left");
}

#[test]
fn lens_of_both_residuals() {
    snapshot("lens-both", "3 v v a");
}

#[test]
fn lens_plot() {
    snapshot("lens-plot", "4 down + 3 v v v %");
}

#[test]
fn two_panes() {
    snapshot("two-panes", "v v w s w w");
}

#[test]
fn search_and_bookmarks() {
    snapshot("search", "home right m / a p p l e enter");
}

#[test]
fn palette_and_hints() {
    let mut palette = still(": g e n");
    let mut hints = still("y");
    for (w, h) in SIZES {
        assert_snapshot!(format!("palette-{w}x{h}"), styled(&palette.screen(w, h, Depth::True)));
        assert_snapshot!(format!("which-key-{w}x{h}"), styled(&hints.screen(w, h, Depth::True)));
    }
}

#[test]
fn attention_grid() {
    snapshot("attention-grid", "2 ]");
}

#[test]
fn attention_head() {
    snapshot("attention-head", "2 v");
}

#[test]
fn lens() {
    snapshot("lens", "3 down");
}

#[test]
fn next() {
    snapshot("next", "space 4 left down");
}

#[test]
fn fidelity_flips() {
    snapshot("fidelity-flips", "5 v p left left left");
}

#[test]
fn fidelity_loss() {
    snapshot("fidelity-loss", "5 v v p");
}

#[test]
fn fidelity_lab() {
    snapshot("fidelity-lab", "5 v v v enter");
}

#[test]
fn policies() {
    snapshot("policies", "5 p P down");
}

#[test]
fn fidelity() {
    snapshot("fidelity", "5");
}

#[test]
fn prompt_editor() {
    let mut still = Still::new(demo(), None);
    still.type_text("Once upon\ta 時間");
    for (w, h) in SIZES {
        assert_snapshot!(format!("prompt-{w}x{h}"), styled(&still.screen(w, h, Depth::True)));
    }
}

#[test]
fn help_and_sampling() {
    let mut with_help = still("?");
    let mut with_form = still("s down");
    for (w, h) in SIZES {
        assert_snapshot!(format!("help-{w}x{h}"), styled(&with_help.screen(w, h, Depth::Ansi)));
        assert_snapshot!(format!("sampling-{w}x{h}"), styled(&with_form.screen(w, h, Depth::Ansi)));
    }
}

#[test]
fn failures_are_readable_and_leave_the_views() {
    let mut still = still("");
    let failure = Failure {
        summary: "the disk\u{1b}[2J is on fire".into(),
        causes: vec!["first cause".into(), "second cause".into()],
    };
    still.take(Event::Trouble(failure.clone()));
    let screen = still.screen(80, 24, Depth::True);
    let text = styled(&screen);
    assert!(text.contains("the disk␛[2J is on fire") && text.contains("E4"), "{text}");
    still.press("!").unwrap();
    assert_snapshot!("message-80x24", styled(&still.screen(80, 24, Depth::True)));

    let mut failed = Still::new(demo(), None);
    failed.state.phase = mixscope::state::Phase::Failed(failure);
    failed.state.overlays.clear();
    assert_snapshot!("load-failed-80x24", styled(&failed.screen(80, 24, Depth::True)));
}

#[test]
fn every_size_from_nothing_to_huge_draws_every_view() {
    let mut still = still("space");
    for view in View::ALL {
        still.state.view = view;
        for (w, h) in [
            (1, 1),
            (20, 5),
            (39, 10),
            (40, 9),
            (40, 10),
            (41, 11),
            (99, 28),
            (100, 27),
            (100, 28),
            (400, 100),
            (400, 10),
            (40, 100),
        ] {
            let screen = still.screen(w, h, Depth::True);
            let text: String = screen.content().iter().map(ratatui::buffer::Cell::symbol).collect();
            if w < 40 || h < 10 {
                let needs = if w >= 20 { text.contains("40×10") } else { !text.trim().is_empty() };
                assert!(needs, "{w}×{h}: {text}");
            } else {
                assert!(text.contains("mixscope") && text.contains("drum"), "{view:?} {w}×{h}: {text}");
            }
        }
    }
}

#[test]
fn the_same_state_gives_the_same_cells() {
    let mut still = still("space 3");
    assert_eq!(still.screen(120, 40, Depth::True), still.screen(120, 40, Depth::True));
}

#[test]
fn heat_and_brackets_show_the_routers_own_numbers() {
    let mut still = still("");
    let screen = still.screen(160, 45, Depth::Mono);
    let token = still.state.tokens.last().unwrap();
    let top = still.state.meta().unwrap().dims.layers - 1;
    let probs = token.row(mixscope::trace::HookKind::ExpertWeights, top).unwrap();
    let chosen = token.experts(top).unwrap();
    let line: String = (0..160).map(|x| screen[(x, 11)].symbol().to_owned()).collect();
    for (expert, p) in probs.iter().enumerate() {
        let rounded = format!("{p:.2}");
        let short = match rounded.as_str() {
            "0.00" => "<.01",
            "1.00" => ">.99",
            _ => rounded.trim_start_matches('0'),
        };
        let shown = if chosen.contains(&(expert as u32)) { format!("[{short}]") } else { format!(" {short} ") };
        assert!(line.contains(&shown), "expert {expert} {shown} in {line}");
    }
}
