//! The loss of each token in two runs, one token per line.
//!
//! ```text
//!   pos token        loss A  loss B     B − A            flips  best next
//!    7  ·is            0.02    0.03   +0.010    │▏         1    ·P
//! ```

use super::{Two, details};
use crate::state::Spot;
use crate::state::text::{fit, show_piece, width};
use crate::trace::Dims;
use crate::ui::canvas::Canvas;
use crate::ui::views::Panel;
use crate::ui::widgets::bar::put_bar;
use crate::ui::widgets::number::signed;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub const PANEL: Panel = Panel { details: Some(details::draw), ..Panel::new(draw) };

/// Length of a bar, cells.
const BAR: usize = 17;
/// Least widths for a bar, and for the best next token.
const WITH_BAR: usize = 66;
const WITH_BEST: usize = 92;

fn draw(c: &mut Canvas, area: Rect) {
    let Some((two, inside)) = Two::of(c, area, "loss by token") else { return };
    let Some(d) = c.dims() else { return };
    let (state, all) = (c.state, c.state.tokens.len());
    let room = usize::from(inside.width.saturating_sub(1));
    let (has_bar, has_best) = (room >= WITH_BAR, room >= WITH_BEST);
    let name =
        (room.saturating_sub(44 + if has_bar { BAR + 2 } else { 0 } + if has_best { 30 } else { 0 })).clamp(6, 16);
    let head = format!(
        "  pos {:<name$} loss A  loss B     B − A{}  flips{}",
        "token",
        if has_bar { format!("  {:<BAR$}", "") } else { String::new() },
        if has_best { "  best next" } else { "" }
    );
    c.put(inside, inside.x, inside.y, &fit(&head, room), c.theme.dim());
    let shown = window(state.cursor.token, all, usize::from(inside.height.saturating_sub(1)).max(1));
    c.left_out(area, &shown, all);
    // All visible bars have one scale, so that they can be compared.
    let largest = shown.clone().filter_map(|pos| state.loss_difference(pos)).map(f32::abs).fold(0.01, f32::max);
    for (y, pos) in (inside.y + 1..inside.bottom()).zip(shown) {
        let at = pos == state.cursor.token;
        c.hit_lines(inside, y, 1, Spot { token: Some(pos), ..Spot::default() });
        let style = if at { c.theme.strong() } else { Style::new() };
        let text = fit(c.shown(pos), name);
        let pad = " ".repeat(name.saturating_sub(width(&text)));
        let losses = [state.baseline.tokens().get(pos), state.tokens.get(pos)].map(|token| {
            token.and_then(|token| token.score).map_or("–".to_owned(), |score| format!("{:.3}", score.nll))
        });
        let by = state.loss_difference(pos);
        let mark = if at { "▸" } else { " " };
        let line = format!(
            "{mark}{pos:>4} {text}{pad} {:>6}  {:>6}  {:>8}",
            losses[0],
            losses[1],
            by.map_or("–".to_owned(), |by| signed(f64::from(by)))
        );
        let mut x = c.put(inside, inside.x, y, &line, style);
        if has_bar {
            if let Some(by) = by {
                put_bar(c, inside, (x + 2, y), f64::from(by / largest), BAR);
            }
            x += BAR as u16 + 2;
        }
        let x = c.put(inside, x, y, &format!("  {:>5}", flips(c, pos, d, &two)), style);
        if has_best {
            put_best(c, inside, (x + 2, y), pos);
        }
    }
}

/// The number of layers in which the token flipped.
fn flips(c: &Canvas, pos: usize, d: Dims, two: &Two) -> String {
    if pos >= two.known {
        return "…".to_owned();
    }
    (0..d.layers).filter(|layer| c.state.experts_differ(pos, *layer) == Some(true)).count().to_string()
}

/// Writes the best next token of both runs, once if they agree.
fn put_best(c: &mut Canvas, inside: Rect, (x, y): (u16, u16), pos: usize) {
    let best = |tokens: &[std::sync::Arc<crate::trace::TokenRecord>]| {
        tokens
            .get(pos)
            .and_then(|token| token.next.top.first())
            .map(|best| (best.id, fit(&show_piece(&best.piece), 12)))
    };
    let (text, style) = match (best(c.state.baseline.tokens()), best(&c.state.tokens)) {
        (Some((a, name)), Some((b, _))) if a == b => (name, c.theme.dim()),
        (Some((_, a)), Some((_, b))) => (format!("{a} ≠ {b}"), c.theme.warn()),
        _ => return,
    };
    c.put(inside, x, y, &text, style);
}
