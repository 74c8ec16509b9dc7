//! What is copied and written is what the screen shows: its measure, its heads, all of it or nothing.

use crate::support::still::{demo, message};
use mixscope::analysis::view::ViewSpec;
use mixscope::analysis::{LensMeasure, Measure, MeasuredOn, Pick};
use mixscope::app::Still;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live, Run, pattern_of};
use mixscope::state::text::show_piece;
use mixscope::state::{Effect, Event, Save, update};
use mixscope::trace::{HookKind, LensCell, LensKey, LensSite, Source};
use mixscope::ui::Depth;
use std::sync::Arc;

fn still() -> Still {
    Still::new(demo(), Some("The capital of France is Paris. The capital of"))
}

/// The run on the screen, read again.
fn read(still: &Still) -> Run {
    let mut live = Live::new(demo(), Capture::of(HookKind::recorded(), 0..6, 6), 1);
    let ids: Vec<u32> = still.state.tokens.iter().map(|token| token.id).collect();
    live.extend(&ids, Source::Prompt, &Control::none()).unwrap();
    live.into()
}

/// Presses keys; the effects of the last one.
#[track_caller]
fn pressed(still: &mut Still, keys: &str) -> Vec<Effect> {
    let (first, last) = keys.rsplit_once(' ').unwrap_or(("", keys));
    still.press(first).unwrap();
    update(&mut still.state, Event::Key(last.parse().unwrap()))
}

#[track_caller]
fn copied(still: &mut Still, keys: &str) -> Option<String> {
    match pressed(still, keys).as_slice() {
        [] => None,
        [Effect::Copy(text)] => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

/// The view that `e` writes.
#[track_caller]
fn written(still: &mut Still) -> ViewSpec {
    let effects = pressed(still, "e");
    let [Effect::Save(Save::View(files))] = &effects[..] else { panic!("{effects:?}") };
    let spec = files.spec.clone();
    update(&mut still.state, Event::Saved(Ok("wrote it".to_owned())));
    spec
}

fn cell(still: &Still, pos: usize, layer: usize, site: LensSite) -> LensCell {
    still.state.derived.lens(LensKey { pos, layer, site }).unwrap().clone()
}

#[test]
fn a_lens_cell_is_copied_as_the_measure_it_shows() {
    let mut still = still();
    still.press("3 down").unwrap();
    still.screen(400, 60, Depth::Mono);
    let (at, answer) = (still.state.cursor, still.state.tokens[still.state.cursor.token].next.top[0].clone());
    let cell = cell(&still, at.token, at.layer, LensSite::ResidPost);
    let top = format!("{} {}", show_piece(&cell.top[0].piece), cell.top[0].prob);
    let rank = format!("rank of {} {}", show_piece(&answer.piece), cell.final_rank);
    let texts = [top, format!("KL(final ‖ lens) {} nats", cell.kl), format!("entropy {} nats", cell.entropy), rank];
    for (measure, text) in LensMeasure::ALL.into_iter().zip(texts) {
        assert_eq!(still.state.pane().lens.measure, measure);
        assert_eq!(copied(&mut still, "y c").unwrap(), text);
        assert_eq!(message(&still), format!("copied {text}"));
        assert_eq!(written(&mut still).lens, measure);
        let header = match measure {
            LensMeasure::Top => "position,layer,site,k,token_id,token,logit,prob,text\r\n",
            _ => "position,layer,site,final_rank,final_prob,entropy,kl\r\n",
        };
        let (row, all) = (copied(&mut still, "y r").unwrap(), copied(&mut still, "y v").unwrap());
        assert!(row.starts_with(header) && all.starts_with(header), "{row}");
        let n = still.state.tokens.len();
        assert_eq!((row.lines().count(), all.lines().count()), (1 + n, 1 + 6 * n));
        let kept = |line: &&str| line.split(',').nth(1) == Some(&at.layer.to_string());
        assert!(row.lines().skip(1).eq(all.lines().filter(kept)), "{row}");
        still.press("a").unwrap();
    }
    // Both residuals: the cursor's row is one of them, the view is all.
    still.press("v v a").unwrap();
    assert_eq!(still.state.pane().lens.site, None);
    still.screen(400, 60, Depth::Mono);
    let all = copied(&mut still, "y v").unwrap();
    assert_eq!(all.lines().count(), 1 + 12 * still.state.tokens.len());
    let spec = written(&mut still);
    assert_eq!((spec.site, spec.lens), (None, LensMeasure::Kl));
    // The curves of one token.
    still.press("v").unwrap();
    still.screen(400, 60, Depth::Mono);
    let curve = copied(&mut still, "y v").unwrap();
    let of_pos = |line: &&str| line.starts_with(&format!("{},", at.token));
    assert!(curve.lines().skip(1).eq(all.lines().filter(of_pos)), "{curve}");
    let curves = copied(&mut still, "a a a y v").unwrap();
    assert!(
        curves.starts_with("token_id,token,layer,site,rank,prob,text\r\n") && curves.lines().count() == 13,
        "{curves}"
    );
}

#[test]
fn a_part_of_the_lens_is_not_copied_as_if_it_were_all() {
    let mut still = still();
    still.press("3").unwrap();
    still.screen(60, 30, Depth::Mono);
    let n = still.state.tokens.len();
    let has = |layer: usize| {
        let key = |pos| LensKey { pos, layer, site: LensSite::ResidPost };
        (0..n).filter(|pos| still.state.derived.lens(key(*pos)).is_some()).count()
    };
    let (row, all): (usize, usize) = (has(still.state.cursor.layer), (0..6).map(has).sum());
    assert!(0 < row && row < n, "{row} of {n}");
    assert_eq!(copied(&mut still, "y r"), None);
    assert_eq!(
        message(&still),
        format!("only the cells on the screen have been computed, {row} of {n}: e writes the whole view to files")
    );
    assert_eq!(copied(&mut still, "y v"), None);
    assert_eq!(
        message(&still),
        format!(
            "only the cells on the screen have been computed, {all} of {}: e writes the whole view to files",
            6 * n
        )
    );
    still.screen(400, 60, Depth::Mono);
    assert!(copied(&mut still, "y v").is_some());
}

#[test]
fn heads_together_are_copied_and_written_as_such() {
    let mut still = still();
    still.press("2 left left left").unwrap();
    let (at, run) = (still.state.cursor, read(&still));
    for (pick, name) in [(Pick::Mean, "mean"), (Pick::Max, "max")] {
        still.press("x").unwrap();
        still.screen(160, 45, Depth::Mono);
        let whole = pattern_of(&run, at.layer, pick, &Control::none()).unwrap();
        let line = |key: usize| format!("{},{name},{},{key},", at.layer, at.token);
        let row = copied(&mut still, "y r").unwrap();
        for (key, (row, weight)) in row.lines().skip(1).zip(whole.row(at.token)).enumerate() {
            let copied: f32 = row.strip_prefix(&line(key)).unwrap().parse().unwrap();
            assert_eq!(copied, *weight, "{name} {key}");
        }
        let cell = copied(&mut still, "y c").unwrap();
        let best = whole.row(at.token).iter().copied().fold(0.0, f32::max);
        assert!(cell.starts_with(&format!("L{} {pick} {}→", at.layer, at.token)), "{cell}");
        assert!(cell.ends_with(&format!(" {best}")), "{cell}");
        // Who looks at the cursor.
        still.press("X").unwrap();
        still.screen(160, 45, Depth::Mono);
        let column = copied(&mut still, "y r").unwrap();
        assert_eq!(column.lines().count(), 1 + whole.n - at.token);
        for (query, row) in (at.token..).zip(column.lines().skip(1)) {
            let copied: f32 =
                row.strip_prefix(&format!("{},{name},{query},{},", at.layer, at.token)).unwrap().parse().unwrap();
            assert!((copied - whole.row(query)[at.token]).abs() < 1e-6, "{name} {query}");
        }
        still.press("X v").unwrap();
        still.screen(160, 45, Depth::Mono);
        assert_eq!(copied(&mut still, "y v").unwrap().lines().count(), 1 + whole.weights.len());
        assert_eq!(written(&mut still).head, pick);
        still.press("v v").unwrap();
    }
    still.press("x").unwrap();
    assert_eq!(written(&mut still).head, Pick::One(at.head));
}

#[test]
fn heads_are_written_with_their_measure_their_order_and_the_text_they_were_measured_on() {
    let mut still = still();
    still.press("2").unwrap();
    let spec = written(&mut still);
    assert_eq!((spec.measure, spec.sorted, message(&still)), (Measure::Entropy, false, "wrote it"));
    still.press("a A R").unwrap();
    assert_eq!(pressed(&mut still, "e"), []);
    assert_eq!(message(&still), "the scores on random tokens are not there yet");
    still.screen(160, 45, Depth::Mono);
    let spec = written(&mut still);
    assert_eq!((spec.measure, spec.sorted, spec.on), (Measure::Previous, true, MeasuredOn::Repeated));
    // Scores are copied with the columns of their file, from whatever they were measured on.
    still.press("v v").unwrap();
    let (view, row) = (copied(&mut still, "y v").unwrap(), copied(&mut still, "y r").unwrap());
    assert_eq!((view.lines().count(), row.lines().count()), (1 + 48, 1 + 8));
    assert!(row.lines().all(|line| view.lines().any(|of_view| of_view == line)), "{row}");
    let cell = copied(&mut still, "y c").unwrap();
    let score: f32 = cell.strip_prefix("L5H0 previous token ").unwrap().parse().unwrap();
    let shown = format!(",{score},");
    assert!(row.lines().nth(1).unwrap().contains(&shown), "{row} has {shown}");
    still.press("R").unwrap();
    still.screen(160, 45, Depth::Mono);
    assert_ne!(copied(&mut still, "y v").unwrap(), view, "on the text");
}

#[test]
fn load_and_pairs_are_copied_with_the_columns_of_their_files() {
    let mut still = still();
    let run = read(&still);
    for (keys, header) in
        [("v v v", "layer,expert,first_share,share,mean_weight"), ("v", "layer,expert,with,together,share")]
    {
        still.press(keys).unwrap();
        let expert = still.state.token().unwrap().experts(5).unwrap()[0];
        still.state.cursor.expert = expert as usize;
        let view = copied(&mut still, "y v").unwrap();
        let spec = written(&mut still);
        let data = mixscope::engine::collect(&run, &spec, &Control::none()).unwrap();
        let table = mixscope::export::table(&data, &spec, Default::default()).unwrap();
        assert!(view.starts_with(header), "{view}");
        assert_eq!(view.as_bytes(), table, "as `e` writes it");
        let row = copied(&mut still, "y r").unwrap();
        assert!(row.lines().skip(1).all(|line| view.lines().any(|of_view| of_view == line)), "{row}");
        let rows = if keys == "v" { 7 } else { 8 };
        assert_eq!(row.lines().count(), rows + 1, "{row}");
        let cell = copied(&mut still, "y c").unwrap();
        assert!(cell.starts_with(&format!("L5 E{expert} ")), "{cell}");
    }
}

#[test]
fn what_a_terminal_would_obey_is_copied_as_text() {
    let mut still = still();
    for (pos, piece) in [(2, "<0x1B>"), (3, "▁a\u{7}b\u{202e}c"), (4, "<0x0A>"), (5, "\u{1f469}\u{200d}\u{1f680}\r")]
    {
        let mut token = (*still.state.tokens[pos]).clone();
        token.piece = piece.into();
        still.state.tokens[pos] = Arc::new(token);
    }
    still.state.selection =
        Some(mixscope::state::Selection { from: 2, to: 5, unit: mixscope::state::input::Unit::Tokens, follows: false });
    let text = copied(&mut still, "y c").unwrap();
    assert_eq!(text, "\\u{1b} a\\u{7}b\\u{202e}c\n\u{1f469}\u{200d}\u{1f680}\\u{d}");
}
