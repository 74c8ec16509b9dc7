//! What the screen looks like: a snapshot of every situation.

use crate::snapshot::{SIZES, compare, lines_of, overlay, page, panel, part, strip, tabs};
use crate::support::cells::{rows, styles};
use crate::support::still::demo;
use mixscope::analysis::view::Tab;
use mixscope::app::Still;
use mixscope::protocol::Failure;
use mixscope::state::Event;
use mixscope::ui::Depth;

const PROMPT: &str = "drum apple seven blue owl key | drum apple seven";

fn still(keys: &str) -> Still {
    crate::support::still::still(PROMPT, keys)
}

#[test]
fn routing_token() {
    panel("routing-token", &mut still("space left left down ."));
}

#[test]
fn routing_layer() {
    panel("routing-layer", &mut still("v"));
}

#[test]
fn routing_map() {
    panel("routing-map", &mut still("v v left"));
}

#[test]
fn routing_load() {
    panel("routing-load", &mut still("v v v a a"));
}

#[test]
fn routing_pairs() {
    panel("routing-pairs", &mut still("v v v v ."));
}

#[test]
fn contributions() {
    panel("contributions", &mut still("D j"));
}

#[test]
fn effects_of_experts() {
    panel("effects-map", &mut still("6 enter"));
}

#[test]
fn effects_of_heads_ranked() {
    panel("effects-ranked", &mut still("6 enter O A b"));
}

#[test]
fn effects_of_exchanged_choices() {
    panel("effects-routing", &mut still("6 enter v left"));
}

#[test]
fn effects_contributions() {
    panel("effects-contributions", &mut still("6 v v v j"));
}

#[test]
fn two_prompts_side_by_side() {
    panel("compare", &mut still("C space b l u e enter"));
}

#[test]
fn attention_sorted_on_random_tokens() {
    panel("attention-sorted", &mut still("2 a a a R A b"));
}

#[test]
fn attention_column_on_a_logarithmic_scale() {
    panel("attention-column", &mut still("2 v x % X left left"));
}

#[test]
fn lens_of_both_residuals() {
    panel("lens-both", &mut still("3 v v a"));
}

#[test]
fn lens_plot() {
    panel("lens-plot", &mut still("4 down + 3 v v v %"));
}

#[test]
fn two_panes() {
    panel("two-panes", &mut still("v v w s w w"));
}

#[test]
fn attention_grid() {
    panel("attention-grid", &mut still("2 ]"));
}

#[test]
fn attention_head() {
    panel("attention-head", &mut still("2 v"));
}

#[test]
fn attention_scores() {
    panel("attention-scores", &mut still("2 v v a a a R"));
}

#[test]
fn lens() {
    panel("lens", &mut still("3 down"));
}

#[test]
fn next() {
    panel("next", &mut still("space 4 left down"));
}

#[test]
fn fidelity_flips() {
    panel("fidelity-flips", &mut still("5 v p left left left"));
}

#[test]
fn fidelity_loss() {
    panel("fidelity-loss", &mut still("5 v v p"));
}

#[test]
fn fidelity_lab() {
    panel("fidelity-lab", &mut still("5 v v v enter"));
}

#[test]
fn fidelity() {
    panel("fidelity", &mut still("5"));
}

#[test]
fn closest_calls() {
    overlay("closest-calls", &mut still(""), &mut still("t down"));
}

#[test]
fn policies() {
    overlay("policies", &mut still("5 p"), &mut still("5 p P down"));
}

#[test]
fn palette() {
    overlay("palette", &mut still(""), &mut still(": g e n"));
}

#[test]
fn keys_after_a_prefix() {
    overlay("which-key", &mut still(""), &mut still("y"));
}

#[test]
fn help() {
    overlay("help", &mut still(""), &mut still("?"));
}

#[test]
fn sampling() {
    overlay("sampling", &mut still(""), &mut still("s down"));
}

#[test]
fn search_and_bookmarks() {
    strip("search", &mut still("home right m / a p p l e enter"));
}

#[test]
fn prompt_editor() {
    let mut still = Still::new(demo(), None);
    still.type_text("Once upon\ta 時間");
    page("prompt", &mut still);
}

/// The lines around the panels, which their snapshots leave out.
#[test]
fn header_text_and_tabs() {
    let mut text = String::new();
    for keys in ["", "space left", "2", "2 c", "3 c c", "4 c c c", "5 p", "w s"] {
        let mut still = still(keys);
        for (w, h) in SIZES {
            let buffer = still.screen(w, h, Depth::True);
            let lines = rows(&buffer, lines_of(&buffer, 0, tabs(&buffer) + 1));
            text += &format!("{w}×{h}, keys: {keys}\n{}\n\n", lines.join("\n"));
        }
    }
    compare("header", &text);
}

#[test]
fn candidates_below_the_panels() {
    part("candidates", &mut still("space left"), |buffer| {
        let lines = rows(buffer, buffer.area);
        let end = lines.len() - 1;
        let top = lines.iter().rposition(|line| line.starts_with("┌─ next after")).unwrap_or(end - 1);
        lines_of(buffer, top, end)
    });
}

/// Every footer once, with the keys that lead to it.
#[test]
fn hints_in_the_footer() {
    let of_views = ["", "v", "2", "2 v", "3", "4", "5", "5 v", "5 v v v", "space", "w s", "home V l l", "left home m"];
    let of_inputs = ["i", "f", "s", "r", "/", ":", "?", "t", "y", "o", "5 P", "! a", "x y z"];
    let mut footers: Vec<(String, Vec<&str>)> = Vec::new();
    for keys in of_views.into_iter().chain(of_inputs) {
        let mut still = still(keys);
        let mut footer = String::new();
        for (w, h) in SIZES {
            let buffer = still.screen(w, h, Depth::True);
            let last = usize::from(h) - 1;
            footer += &format!("{w:3} {}\n", rows(&buffer, lines_of(&buffer, last, last + 1)).concat());
        }
        match footers.iter_mut().find(|(known, _)| *known == footer) {
            Some((_, all)) => all.push(keys),
            None => footers.push((footer, vec![keys])),
        }
    }
    let text: String = footers.iter().map(|(footer, keys)| format!("keys: {}\n{footer}\n", keys.join(" | "))).collect();
    compare("footer", &text);
}

#[test]
fn colours_at_every_depth() {
    let mut text = String::new();
    for keys in ["v v v a a", "2 ]"] {
        let mut still = still(keys);
        for depth in [Depth::True, Depth::Indexed, Depth::Ansi, Depth::Mono] {
            let buffer = still.screen(80, 24, depth);
            text += &format!("{depth:?}, keys: {keys}\n{}\n\n", styles(&buffer, buffer.area));
        }
    }
    compare("colour-depths", &text);
}

#[test]
fn failures_are_readable_and_leave_the_views() {
    let mut below = still("");
    let mut still = still("");
    let failure = Failure {
        summary: "the disk\u{1b}[2J is on fire".into(),
        causes: vec!["first cause".into(), "second cause".into()],
    };
    still.take(Event::Trouble(failure.clone()));
    let buffer = still.screen(80, 24, Depth::True);
    let text = rows(&buffer, buffer.area).join("\n");
    assert!(text.contains("the disk␛[2J is on fire") && text.contains("E4"), "{text}");
    still.press("!").unwrap();
    overlay("message", &mut below, &mut still);

    let mut failed = Still::new(demo(), None);
    failed.state.phase = mixscope::state::Phase::Failed(failure);
    failed.state.overlays.clear();
    page("load-failed", &mut failed);
}

#[test]
fn every_size_from_nothing_to_huge_draws_every_view() {
    let mut still = still("space");
    for view in Tab::ALL {
        still.state.pane_mut().show_tab(view);
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
    let line = |y: u16| (0..160).map(|x| screen[(x, y)].symbol().to_owned()).collect::<String>();
    let line = (0..45).map(line).find(|line| line.starts_with(&format!("│▸L{top}"))).unwrap();
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
