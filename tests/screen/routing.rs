//! Routing on screen: what every lens shows of hand-made and of real runs, and that its cost is that of what is seen.

use crate::support;
use crate::support::still::demo;
use mixscope::analysis::RunUsage;
use mixscope::analysis::routing::ranked;
use mixscope::analysis::view::{Tab, View};
use mixscope::app::Still;
use mixscope::protocol::{self, RequestId};
use mixscope::state::input::{Code, Key};
use mixscope::state::{Event, Geometry, Lines, Overlay, State, UsageMeasure, update};
use mixscope::trace::{HookKind, HookValues, Meta, Policy, Prediction, Row, Sampling, Score, Source, TokenRecord};
use mixscope::ui::{Depth, Theme, draw};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use std::sync::Arc;

const LAYOUTS: [View; 5] =
    [View::RoutingToken, View::RoutingLayer, View::RoutingMap, View::RoutingUsage, View::RoutingPairs];

/// The demo's description with other sizes.
fn meta(layers: usize, experts: usize, top_k: usize) -> Arc<Meta> {
    let mut meta = (*demo().meta).clone();
    (meta.dims.layers, meta.dims.experts, meta.dims.top_k) = (layers, experts, top_k);
    Arc::new(meta)
}

/// A token whose router logits are these in each layer.
fn token(piece: &str, top_k: usize, layers: &[Vec<f32>]) -> Arc<TokenRecord> {
    let mut values = HookValues::new(layers.len());
    for (layer, logits) in layers.iter().enumerate() {
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        let probs: Vec<f32> = logits.iter().map(|x| x.exp() / sum).collect();
        let chosen: Vec<u32> = ranked(logits).into_iter().take(top_k).map(|e| e as u32).collect();
        let total: f32 = chosen.iter().map(|e| probs[*e as usize]).sum();
        let weights: Vec<f32> = chosen.iter().map(|e| probs[*e as usize] / total).collect();
        values.insert(HookKind::RouterLogits.at(layer), Row::F32(logits.as_slice().into()));
        values.insert(HookKind::ExpertWeights.at(layer), Row::F32(probs.into()));
        values.insert(HookKind::ExpertIndices.at(layer), Row::U32(chosen.into()));
        values.insert(HookKind::MixingWeights.at(layer), Row::F32(weights.into()));
    }
    Arc::new(TokenRecord {
        id: 0,
        piece: piece.into(),
        source: Source::Prompt,
        score: Some(Score { nll: 1.0, entropy: 1.0, rank: 1 }),
        next: Arc::new(Prediction { top: Vec::new(), entropy: 1.0 }),
        values: Arc::new(values),
        sites: Vec::new(),
    })
}

/// Logits that depend on position, layer and expert; nowhere near a tie.
fn spread(pos: usize, layers: usize, experts: usize) -> Vec<Vec<f32>> {
    let logit = |layer: usize, expert: usize| ((expert * 7 + pos * 5 + layer * 3) % experts) as f32 * 0.3;
    (0..layers).map(|layer| (0..experts).map(|expert| logit(layer, expert)).collect()).collect()
}

fn ready(meta: &Arc<Meta>) -> State {
    let mut state = State::new(None, Sampling::default(), Policy::Hf, Vec::new());
    update(&mut state, Event::Engine(protocol::Event::Ready { id: RequestId(0), meta: meta.clone() }));
    state.overlays.clear();
    state
}

fn give(state: &mut State, keep: usize, tokens: Vec<Arc<TokenRecord>>) {
    update(state, Event::Engine(protocol::Event::Tokens { id: RequestId(0), keep, tokens, ms: 1.0 }));
}

fn run(layers: usize, experts: usize, top_k: usize, tokens: usize) -> State {
    let mut state = ready(&meta(layers, experts, top_k));
    let tokens = (0..tokens).map(|pos| token(&format!("▁t{pos}"), top_k, &spread(pos, layers, experts))).collect();
    give(&mut state, 0, tokens);
    state
}

fn press(state: &mut State, keys: &str) {
    for name in keys.split_whitespace() {
        let code = match name {
            "enter" => Code::Enter,
            "esc" => Code::Esc,
            "up" => Code::Up,
            "down" => Code::Down,
            "home" => Code::Home,
            "end" => Code::End,
            "pgdn" => Code::PageDown,
            other => Code::Char(other.chars().next().unwrap()),
        };
        update(state, Event::Key(Key::of(code)));
    }
}

fn screen(state: &State, (w, h): (u16, u16), depth: Depth) -> Buffer {
    draw(state, &Theme::new(depth), Rect::new(0, 0, w, h)).cells
}

fn text(buf: &Buffer) -> String {
    let line = |y: u16| (0..buf.area.width).map(|x| buf[(x, y)].symbol().to_owned()).collect::<String>();
    (0..buf.area.height).map(|y| line(y) + "\n").collect()
}

/// The line of the screen that holds `what`.
fn line_of(buf: &Buffer, what: &str) -> String {
    let all = text(buf);
    all.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what:?} in\n{all}")).to_owned()
}

#[test]
fn every_lens_draws_every_model_at_every_size() {
    for (layers, experts, top_k) in [(2, 4, 2), (1, 1, 1), (6, 16, 1), (6, 16, 3), (32, 8, 2), (4, 40, 2), (3, 128, 8)]
    {
        for tokens in [0, 1, 300] {
            let mut state = run(layers, experts, top_k, tokens);
            for layout in LAYOUTS {
                state.pane_mut().show(layout);
                for size in [(40, 10), (41, 11), (80, 24), (100, 28), (120, 30), (160, 45), (300, 90)] {
                    for depth in [Depth::True, Depth::Mono] {
                        for (layer, expert) in [(0, 0), (layers - 1, experts - 1)] {
                            (state.cursor.layer, state.cursor.expert) = (layer, expert);
                            let shown = text(&screen(&state, size, depth));
                            assert!(shown.contains("routing: "), "{layout:?} {size:?}:\n{shown}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_chosen_experts_are_on_screen_however_narrow_it_is() {
    for (layers, experts, top_k) in [(6, 8, 2), (6, 16, 1), (6, 16, 3), (3, 128, 2)] {
        let mut state = run(layers, experts, top_k, 9);
        let chosen = state.tokens[8].experts(layers - 1).unwrap().to_vec();
        for layout in [View::RoutingToken, View::RoutingLayer] {
            state.pane_mut().show(layout);
            for size in [(40, 16), (80, 24), (160, 45)] {
                let shown = text(&screen(&state, size, Depth::Mono));
                let view = shown.split("routing: ").nth(1).unwrap();
                for expert in &chosen {
                    assert!(view.contains(&format!("E{expert} ")), "E{expert} {layout:?} {size:?}:\n{shown}");
                }
                assert!(view.matches('[').count() >= top_k, "{layout:?} {size:?}:\n{shown}");
            }
        }
    }
}

/// Two layers of four experts, top-2: in layer 1 experts 0 and 1 are always chosen, narrowly before 2 at position 1.
fn small() -> State {
    let rows: [[Vec<f32>; 2]; 4] = [
        [vec![3.0, 2.0, 1.0, 0.0], vec![3.0, 2.0, 1.0, 0.0]],
        [vec![3.0, 2.0, 1.0, 0.0], vec![3.0, 2.0, 1.9921875, 0.0]],
        [vec![0.0, 1.0, 2.0, 3.0], vec![2.0, 3.0, 1.0, 0.0]],
        [vec![3.0, 0.0, 2.0, 1.0], vec![3.0, 2.0, 1.5, 0.0]],
    ];
    let mut state = ready(&meta(2, 4, 2));
    let tokens = rows.iter().enumerate().map(|(i, rows)| token(&format!("▁w{i}"), 2, rows)).collect();
    give(&mut state, 0, tokens);
    state
}

#[test]
fn load_shows_shares_repeats_and_what_was_never_used() {
    let mut state = small();
    state.pane_mut().show(View::RoutingUsage);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let shown = |state: &State| screen(state, (160, 45), Depth::Indexed);
    let buf = shown(&state);
    // First of layer 1: 0, 0, 1, 0; both are chosen at every token.
    let layer = words(&line_of(&buf, "▸L1").replace('│', " "));
    assert_eq!(layer[..9], ["▸L1", "75.0", "25.0", "–", "–", "1", "33.3", "100.0", layer[8].as_str()]);
    let uniform = words(&line_of(&buf, "unif").replace('│', " "));
    assert_eq!(uniform[..8], ["unif", "25.0", "25.0", "25.0", "25.0", "25.0", "83.3", "1.39"]);
    press(&mut state, "a");
    assert_eq!(state.pane().usage, UsageMeasure::Chosen);
    assert_eq!(words(&line_of(&shown(&state), "▸L1").replace('│', " "))[1..5], ["50.0", "50.0", "–", "–"]);
    press(&mut state, "a");
    // Weights of 3 against 2: e / (e + 1); three times first, once second.
    let first = 1f64.exp() / (1.0 + 1f64.exp());
    let mean = format!("{:.2}", (3.0 * first + (1.0 - first)) / 4.0);
    assert_eq!(words(&line_of(&shown(&state), "▸L1").replace('│', " "))[1], mean.trim_start_matches('0'));
    press(&mut state, "a");
    assert_eq!(state.pane().usage, UsageMeasure::First);
    press(&mut state, "2 a 1");
    assert_eq!(state.pane().usage, UsageMeasure::First, "other views have other measures");
}

#[test]
fn pairs_show_shares_counts_and_the_random_baseline() {
    let mut state = small();
    state.pane_mut().show(View::RoutingPairs);
    press(&mut state, "down");
    // Layer 0: pairs 0+1, 0+1, 3+2, 0+2.
    let buf = screen(&state, (160, 45), Depth::Indexed);
    let row: Vec<String> = line_of(&buf, "▸E0").replace('│', " ").split_whitespace().map(str::to_owned).collect();
    assert_eq!(row[..5], ["▸E0", "·", ".67", "[.33]", "0"], "{row:?}");
    assert!(line_of(&buf, "E0 chosen 3 of 4 times").contains("with E1 2 (.67), E2 1 (.33)"));
    assert!(text(&buf).contains("at random .33") && text(&buf).contains("≈ 0 near-ties of 4 tokens"));
    press(&mut state, "up . . .");
    let buf = screen(&state, (160, 45), Depth::Indexed);
    assert!(text(&buf).contains("E3 was never chosen in 4 tokens") && text(&buf).contains("≈ 1 near-ties"));
}

#[test]
fn near_ties_are_marked_in_every_lens_and_in_the_text() {
    let mut state = small();
    press(&mut state, "{");
    assert_eq!((state.cursor.token, state.cursor.layer), (1, 1));
    for layout in LAYOUTS {
        state.pane_mut().show(layout);
        for depth in [Depth::True, Depth::Mono] {
            let buf = screen(&state, (160, 45), depth);
            assert!(text(&buf).contains('≈'), "{layout:?}:\n{}", text(&buf));
        }
    }
    // In the text: the near-tie at 1 has no background, its neighbours have one.
    let buf = screen(&state, (160, 45), Depth::True);
    state.cursor.token = 3;
    let moved = screen(&state, (160, 45), Depth::True);
    let cell = |buf: &Buffer, x| buf[(x, 2)].clone();
    assert!(cell(&buf, 4).modifier.contains(Modifier::REVERSED), "the cursor");
    assert_eq!(cell(&moved, 4).symbol(), "·");
    assert!(cell(&moved, 4).modifier.contains(Modifier::BOLD) && cell(&moved, 4).bg == ratatui::style::Color::Reset);
    assert!(!cell(&moved, 1).modifier.contains(Modifier::BOLD) && cell(&moved, 1).bg != ratatui::style::Color::Reset);
}

#[test]
fn keys_jump_between_near_ties_of_all_layers_around_the_ends() {
    let mut state = run(3, 8, 2, 30);
    let mut tied = spread(5, 3, 8);
    tied[1] = vec![1.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let tokens = (5..30).map(|pos| match pos {
        5 | 11 => token("▁tie", 2, &tied),
        _ => token("▁t", 2, &spread(pos, 3, 8)),
    });
    give(&mut state, 5, tokens.collect());
    let said = |state: &State| state.message.as_ref().map(|message| message.failure.summary.clone()).unwrap();
    for (key, token, number) in [("{", 11, 2), ("{", 5, 1), ("{", 11, 2), ("}", 5, 1), ("}", 11, 2), ("}", 5, 1)] {
        press(&mut state, key);
        assert_eq!((state.cursor.token, state.cursor.layer), (token, 1), "{key}");
        assert!(said(&state).starts_with(&format!("near-tie {number} of 2")), "{}", said(&state));
    }
    let mut state = run(3, 8, 2, 30);
    press(&mut state, "}");
    assert!(said(&state).starts_with("no near-tie in any layer") && state.cursor.token == 29);
}

#[test]
fn the_list_of_closest_calls_is_ordered_followed_and_jumped_from() {
    let mut state = small();
    press(&mut state, "t");
    let calls = |state: &State| match state.overlays.last() {
        Some(Overlay::ClosestCalls(list)) => list.clone(),
        other => panic!("{other:?}"),
    };
    let list = calls(&state);
    assert_eq!(list.calls.len(), 8);
    assert!(list.calls.is_sorted_by(|a, b| a.ulps <= b.ulps));
    assert_eq!((list.calls[0].pos, list.calls[0].layer, list.calls[0].kept, list.calls[0].lost), (1, 1, 1, 2));
    for (size, what) in [((160, 45), "logit gap"), ((80, 24), "logit gap"), ((40, 10), "kept")] {
        let buf = screen(&state, size, Depth::Mono);
        assert!(text(&buf).contains(what), "{}", text(&buf));
        assert!(line_of(&buf, "▸    1").contains('≈'), "{}", text(&buf));
    }
    press(&mut state, "end");
    assert_eq!(calls(&state).at, 7);
    press(&mut state, "home down pgdn up");
    assert_eq!(calls(&state).at, 6);
    // New tokens join the list at their place and the mark stays on its call.
    let marked = calls(&state).calls[6];
    let tie = [vec![1.0, 1.0, 1.0, 0.0], vec![1.0, 0.5, 0.25, 0.0]];
    give(&mut state, 4, vec![token("▁new", 2, &tie)]);
    let list = calls(&state);
    assert_eq!((list.calls.len(), list.calls[0].pos, list.calls[0].gap), (10, 4, 0.0));
    assert_eq!(list.calls[list.at], marked);
    // Forgetting takes them out again.
    give(&mut state, 2, Vec::new());
    assert!(calls(&state).calls.iter().all(|call| call.pos < 2) && calls(&state).calls.len() == 4);
    press(&mut state, "home enter");
    assert!(state.overlays.is_empty());
    assert_eq!((state.cursor.token, state.cursor.layer, state.cursor.expert), (1, 1, 1));
    press(&mut state, "5 t down x Z enter");
    assert_eq!((state.tab(), state.overlays.len()), (Tab::Routing, 0), "typed letters do nothing");
    press(&mut state, "t t");
    assert!(state.overlays.is_empty(), "the key that opens it closes it");

    let mut all_chosen = ready(&meta(1, 2, 2));
    give(&mut all_chosen, 0, vec![token("▁x", 2, &[vec![0.0, 1.0]])]);
    press(&mut all_chosen, "t");
    assert!(text(&screen(&all_chosen, (80, 24), Depth::Mono)).contains("no choice to list"));
    press(&mut all_chosen, "enter");
    assert!(all_chosen.overlays.is_empty());
}

#[test]
fn the_map_shows_the_whole_run_in_bands_and_else_the_cursors() {
    let mut state = run(6, 8, 2, 180);
    state.pane_mut().show(View::RoutingMap);
    let shown = text(&screen(&state, (160, 45), Depth::True));
    assert!(shown.matches("▸L5").count() > 1 && !shown.contains("tokens 0–"), "all of it:\n{shown}");
    let long = run(6, 8, 2, 4000);
    for (pos, needed) in [(0, "tokens 0–"), (3999, "–3999 of 4000"), (2000, "of 4000")] {
        let mut state = long.clone();
        state.pane_mut().show(View::RoutingMap);
        state.cursor.token = pos;
        let shown = text(&screen(&state, (160, 45), Depth::True));
        // At the right edge the name is before its tick.
        let named = [format!("▾·t{pos}"), format!("·t{pos}▾")];
        assert!(shown.contains(needed) && named.iter().any(|name| shown.contains(name)), "{pos}:\n{shown}");
    }
    // Moving within a band moves no band.
    let bands = |pos: usize| {
        let mut state = long.clone();
        state.pane_mut().show(View::RoutingMap);
        state.cursor.token = pos;
        line_of(&screen(&state, (160, 45), Depth::True), "routing: ").split('─').nth(1).map(str::to_owned)
    };
    assert_eq!(bands(2000), bands(2001));
}

#[test]
fn the_legend_of_the_map_names_experts_as_its_cells_do() {
    for (experts, legend) in [
        (8, "expert 0 1 2 3 4 5 6 7   ≈ underlined: near-tie"),
        (16, "expert 0 1 2 3 4 5 6 7 8 9 a b c d e f   ≈ underlined: near-tie"),
        (37, "expert 0 1 2 3 4 5 6 7 … 36, colours repeat  ≈ underlined: near-tie"),
        (64, "expert 0 1 2 3 4 5 6 7 … 63, colours repeat  ≈ underlined: near-tie"),
        (128, "expert 0 1 2 3 4 5 6 7 … 127, colours repeat  ≈ underlined: near-tie"),
    ] {
        let mut state = run(2, experts, 2, 6);
        state.pane_mut().show(View::RoutingMap);
        let shown = text(&screen(&state, (120, 40), Depth::True));
        assert!(shown.contains(legend), "{experts}:\n{shown}");
        let colourless = text(&screen(&state, (120, 40), Depth::Mono));
        let wanted =
            if experts <= 36 { "expert 0 1 2".to_owned() } else { format!("expert 0 to {}  ≈", experts - 1) };
        assert!(colourless.contains(&wanted), "{experts}:\n{colourless}");
    }
}

#[test]
fn real_models_of_one_and_three_choices_draw_every_lens() {
    for (case, top_k) in [("top1", 1), ("top3", 3)] {
        let loaded = Arc::new(support::load(case, Policy::Hf));
        let mut still = Still::new(loaded, Some("one two three four five six seven"));
        let tokens = still.state.tokens.len();
        assert!(tokens > 6 && still.state.usage.tokens() == tokens);
        for layout in LAYOUTS {
            still.state.pane_mut().show(layout);
            for (w, h) in [(40, 10), (80, 24), (160, 45)] {
                let shown = text(&still.screen(w, h, Depth::Mono));
                assert!(shown.contains("routing: "), "{case} {layout:?}\n{shown}");
                if layout == View::RoutingPairs && top_k == 1 {
                    assert!(shown.contains("chooses one expert"), "{shown}");
                }
            }
        }
        let chosen: u32 = still.state.usage.layers()[0].chosen.iter().sum();
        assert_eq!(chosen as usize, tokens * top_k);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_next_to_a_run_is_that_of_the_run(
        steps in prop::collection::vec((0usize..40, 0usize..12, any::<bool>()), 1..15),
    ) {
        let mut state = ready(&meta(2, 4, 2));
        let width = Lines::of(&[], 20);
        prop_assert_eq!(width.room(), 20);
        let geometry = Geometry { text_width: Some(20), ..Default::default() };
        update(&mut state, Event::Drawn(Default::default(), geometry));
        for (keep, new, again) in steps {
            // Either new tokens, or the present ones sent once more as another source.
            let keep = keep.min(state.tokens.len());
            let tokens: Vec<Arc<TokenRecord>> = if again {
                state.tokens[keep..].iter().map(|token| {
                    Arc::new(TokenRecord { source: Source::Forced, ..(**token).clone() })
                }).collect()
            } else {
                (0..new).map(|i| token("▁ab", 2, &spread(keep * 3 + i, 2, 4))).collect()
            };
            give(&mut state, keep, tokens);
            let dims = state.meta().unwrap().dims;
            prop_assert_eq!(&state.usage, &RunUsage::of(&state.tokens, &dims, state.usage.dtype()));
            prop_assert_eq!(&state.lines, &Lines::of(&state.shown, 20));
        }
    }
}
