//! Routing of tokens to experts.

pub mod details;
pub mod layer;
pub mod map;
pub mod pairs;
pub mod token;
pub mod usage;

use crate::analysis::routing::TokenRouting;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::heatmap;
use crate::ui::widgets::number::prob;
use ratatui::layout::Rect;

/// Least width of a probability, as ` [.55]` or `[<.01]`, and the greatest one where there is room.
const CELL: usize = 6;
const WIDE_CELL: usize = 12;

/// The size of a cell with a probability: its width, and its lines. The second line is a bar, the third the logit.
#[derive(Clone, Copy)]
struct Size {
    width: usize,
    lines: usize,
}

/// The most lines of a cell.
const MOST_LINES: usize = 3;

/// Draws the probability of an expert: ` [.55]` of a chosen one, `  .03 ` of another; below it its bar and its logit, as
/// far as the cell has lines. Returns the column after it.
fn put_cell(
    c: &mut Canvas,
    inside: Rect,
    (x, y): (u16, u16),
    size: Size,
    routing: &TokenRouting,
    expert: usize,
) -> u16 {
    let end = put_prob(c, inside, (x, y), size.width, routing, expert);
    let p = routing.probs.get(expert).copied().unwrap_or(f32::NAN);
    let chosen = routing.weight_of(expert).is_some();
    let style = if chosen { c.theme.strong() } else { c.theme.dim() };
    if size.lines >= 2 && p.is_finite() {
        c.put(inside, x + 1, y + 1, &bar(p, size.width - 2), style);
    }
    if size.lines >= MOST_LINES {
        let logit = routing.logits.get(expert).copied().unwrap_or(f32::NAN);
        let text = format!("{:>1$}", format!("{logit:.2}").replace('-', "−"), size.width - 1);
        c.put(inside, x, y + 2, &text, c.theme.dim());
    }
    end
}

/// The lines of each of `rows` rows in `room` lines.
fn lines_each(room: usize, rows: usize) -> usize {
    (room / rows.max(1)).clamp(1, MOST_LINES)
}

/// ` [.55]` of a chosen expert, `  .03 ` of another, in `cell` cells.
fn put_prob(
    c: &mut Canvas,
    inside: Rect,
    (x, y): (u16, u16),
    cell: usize,
    routing: &TokenRouting,
    expert: usize,
) -> u16 {
    let p = routing.probs.get(expert).copied().unwrap_or(f32::NAN);
    let chosen = routing.weight_of(expert).is_some();
    let text = if chosen { format!("[{}]", prob(p)) } else { format!("{} ", prob(p)) };
    let style = if chosen { c.theme.heat(p).patch(c.theme.strong()) } else { c.theme.heat(p) };
    c.put(inside, x, y, &format!("{text:>cell$}"), style);
    x + cell as u16
}

/// Width of an expert with its probability, as `[E5 .61]` or `[E12<.01]`.
fn named_cell(experts: usize) -> usize {
    7 + (experts.saturating_sub(1)).to_string().len()
}

fn put_named(c: &mut Canvas, inside: Rect, x: u16, y: u16, routing: &TokenRouting, expert: usize) -> u16 {
    let p = routing.probs.get(expert).copied().unwrap_or(f32::NAN);
    let chosen = routing.weight_of(expert).is_some();
    let (open, close) = if chosen { ("[", "]") } else { (" ", " ") };
    let digits = named_cell(routing.probs.len()) - 7;
    let strong = if chosen { c.theme.strong() } else { ratatui::style::Style::new() };
    let name = if expert == c.state.cursor.expert { c.theme.cursor() } else { c.theme.expert(expert) };
    let (name_text, p_text) = (format!("E{expert:<digits$}"), format!("{:>4}", prob(p)));
    let heat = c.theme.heat(p).patch(strong);
    c.line(inside, x, y, &[(open, strong), (&name_text, name), (&p_text, heat), (close, strong)])
}

/// Number of lines of the legend; a low panel has none.
fn legend_lines(inside: Rect) -> u16 {
    u16::from(inside.height >= 7)
}

fn put_legend(c: &mut Canvas, inside: Rect) {
    let Some(meta) = c.state.meta() else { return };
    if legend_lines(inside) == 0 {
        return;
    }
    let y = inside.bottom() - 1;
    let x = heatmap::legend(c, inside, inside.x + 1, y);
    let dtype = meta.router_dtype();
    let forms = [
        format!("   [ ] chosen   margin: logit gap to the first not chosen, ≈ within one {dtype} ulp"),
        format!("  [ ] chosen  margin: logit gap to the next, ≈ within a {dtype} ulp"),
        "  [ ] chosen  margin in logits  ≈ near-tie".to_owned(),
    ];
    c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
}
