//! Flips between two runs: a column per token, a row per layer, the last layer on top. Tokens that do not fit continue in
//! the next band.
//!
//! ```text
//!    0 ▏<s>▏·capital ▾·is
//!  L5  · · ~ · 1 ·
//! ▸L4  · · · · · ·
//! loss · + · · − ·
//! ```

use super::{Two, details};
use crate::state::Spot;
use crate::state::text::width;
use crate::trace::Dims;
use crate::ui::canvas::Canvas;
use crate::ui::theme::marks::{EXACT_TIE, WITHIN_ROUNDING};
use crate::ui::views::Panel;
use crate::ui::widgets::token_names::{NAMES, put_token_names};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel { details: Some(details::draw), ..Panel::new(draw) };

/// Smaller differences of losses are drawn as `·`, nats.
const VISIBLE: f32 = 0.005;

fn draw(c: &mut Canvas, area: Rect) {
    let edge = u16::from(c.framed);
    let across = usize::from(area.width.saturating_sub(2 * edge)).saturating_sub(NAMES).max(1);
    let Some((two, inside)) = Two::of(c, area, "flips") else { return };
    let Some(d) = c.dims() else { return };
    let (cursor, all) = (c.state.cursor, c.state.tokens.len());
    let has_legend = inside.height >= 8;
    let down = usize::from(inside.height.saturating_sub(u16::from(has_legend)));
    // One line of names, one per layer, and one of losses.
    let band_lines = d.layers + 2;
    let fits = |column: usize| (across / column).max(1) * (down / band_lines).max(1) >= all;
    let column = if fits(2) { 2 } else { 1 };
    let per_band = (across / column).max(1);
    let shown_layers = down.saturating_sub(2).clamp(1, d.layers);
    let bands = if shown_layers < d.layers { 1 } else { (down / band_lines).max(1) };
    let bands = window(cursor.token / per_band, all.div_ceil(per_band), bands);
    let layers = window(d.layers - 1 - cursor.layer, d.layers, shown_layers);
    c.left_out(area, &layers, d.layers);
    let mut y = inside.y;
    for band in bands {
        let tokens = band * per_band..((band + 1) * per_band).min(all);
        put_token_names(c, inside, y, column, tokens.clone());
        let place = Rect { y, height: (layers.len() + 2) as u16, ..inside }.intersection(inside);
        for (i, pos) in tokens.clone().enumerate() {
            let x = inside.x + (NAMES + i * column) as u16;
            c.hit_columns(place, x, column as u16, Spot { token: Some(pos), ..Spot::default() });
        }
        for row in layers.clone() {
            y += 1;
            put_layer(c, inside, y, (d.layers - 1 - row, column), tokens.clone());
        }
        y += 1;
        put_losses(c, inside, y, column, tokens);
        y += 1;
    }
    if has_legend {
        put_legend(c, inside, &two, d);
    }
}

fn put_layer(c: &mut Canvas, inside: Rect, y: u16, (layer, column): (usize, usize), tokens: std::ops::Range<usize>) {
    let (state, cursor) = (c.state, c.state.cursor);
    c.hit_lines(inside, y, 1, Spot { layer: Some(layer), ..Spot::default() });
    let (mark, style) = if layer == cursor.layer { ("▸", c.theme.accent()) } else { (" ", c.theme.dim()) };
    c.put(inside, inside.x, y, &format!("{mark}L{layer}"), style);
    for (i, pos) in tokens.enumerate() {
        let x = inside.x + (NAMES + i * column) as u16;
        let (text, style) = match state.experts_differ(pos, layer) {
            None => (" ".to_owned(), c.theme.dim()),
            Some(false) => ("·".to_owned(), c.theme.dim()),
            Some(true) => match state.flip(pos, layer) {
                Some(flip) if flip.exact_tie => (EXACT_TIE.to_owned(), c.theme.warn()),
                Some(flip) if !flip.is_within_rounding() => (digit(flip.exchanged()), c.theme.error()),
                _ => (WITHIN_ROUNDING.to_owned(), c.theme.warn()),
            },
        };
        let at = pos == cursor.token && layer == cursor.layer;
        c.put(inside, x, y, &text, if at { c.theme.cursor() } else { style });
    }
}

/// The number of exchanged experts, in one cell.
fn digit(exchanged: usize) -> String {
    u32::try_from(exchanged)
        .ok()
        .and_then(|n| char::from_digit(n, 10))
        .map_or("+".to_owned(), |digit| digit.to_string())
}

fn put_losses(c: &mut Canvas, inside: Rect, y: u16, column: usize, tokens: std::ops::Range<usize>) {
    c.put(inside, inside.x, y, "loss", c.theme.dim());
    for (i, pos) in tokens.enumerate() {
        let x = inside.x + (NAMES + i * column) as u16;
        let Some(by) = c.state.loss_difference(pos) else { continue };
        let text = match by {
            by if by.abs() < VISIBLE => "·",
            by if by > 0.0 => "+",
            by if by < 0.0 => "−",
            _ => "!",
        };
        let style = if by.abs() < VISIBLE { c.theme.dim() } else { c.theme.signed(f64::from(by)) };
        c.put(inside, x, y, text, if pos == c.state.cursor.token { c.theme.cursor() } else { style });
    }
}

fn put_legend(c: &mut Canvas, inside: Rect, two: &Two, d: Dims) {
    let y = inside.bottom().saturating_sub(1);
    let exchanged = if d.top_k > 1 { "1, 2 … experts exchanged" } else { "1 another expert" };
    let forms = [
        format!(
            "· same  {exchanged}  {WITHIN_ROUNDING} within 4 {} ulp  {EXACT_TIE} equal scores   loss + − of B against A",
            two.dtype
        ),
        format!("· same  {exchanged}  {WITHIN_ROUNDING} within 4 {} ulp  {EXACT_TIE} equal scores", two.dtype),
        format!("· same  {exchanged}  {WITHIN_ROUNDING} within 4 {} ulp", two.dtype),
        format!("{WITHIN_ROUNDING} within rounding  1 2 exchanged"),
    ];
    let room = usize::from(inside.width.saturating_sub(1));
    if let Some(text) = forms.iter().find(|text| width(text) <= room) {
        c.put(inside, inside.x + 1, y, text, c.theme.dim());
    }
}
