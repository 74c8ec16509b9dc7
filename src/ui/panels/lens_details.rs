//! Beside the lens: one token's top candidates by layer, and where the model's final answer stands.

use crate::state::text::{fit, show_piece};
use crate::trace::LensKey;
use crate::ui::canvas::{ABSENT, Canvas, bar, prob, quoted, window};
use ratatui::layout::Rect;

/// Lines kept for the top of the layer at the cursor.
const TOP_LINES: usize = 4;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("after {} by layer · {}", quoted(c.shown(cursor.token)), state.lens_site));
    let (Some(d), Some(token)) = (c.dims(), state.token()) else { return };
    let Some(answer) = token.next.top.first() else { return c.nothing(inside, ABSENT) };
    let cell = |layer: usize| state.derived.lens(LensKey { pos: cursor.token, layer, site: state.lens_site });
    let mut y = inside.y;
    let answer_text = show_piece(&answer.piece);
    let text = format!("final answer {} {}", quoted(&fit(&answer_text, 16)), prob(answer.prob));
    c.put(inside, inside.x + 1, y, &text, c.theme.strong());
    if let Some(text) = leads(d.layers, answer.id, cell) {
        y += 1;
        c.put(inside, inside.x + 1, y, &text, c.theme.strong());
    }
    y += 1;
    c.put(inside, inside.x + 1, y, "     rank    p                KL   entropy", c.theme.dim());
    let rows = usize::from(inside.height).saturating_sub(3 + TOP_LINES).max(1);
    for row in window(d.layers - 1 - cursor.layer, d.layers, rows) {
        let layer = d.layers - 1 - row;
        y += 1;
        let style = if layer == cursor.layer { c.theme.strong() } else { c.theme.dim() };
        let Some(cell) = cell(layer) else {
            let text = if c.has_lens(layer, state.lens_site) { "…" } else { ABSENT };
            c.put(inside, inside.x + 1, y, &format!("L{layer:<3} {text}"), c.theme.dim());
            continue;
        };
        let p = cell.final_prob;
        let text = format!(
            "L{layer:<3} {:>4} {:>4} {:<12} {:>5.2}   {:>5.2}",
            cell.final_rank,
            prob(p),
            bar(p, 12),
            cell.kl,
            cell.entropy
        );
        c.put(inside, inside.x + 1, y, &text, style);
    }
    y += 1;
    c.put(inside, inside.x + 1, y, &format!("top of layer {}", cursor.layer), c.theme.strong());
    for candidate in cell(cursor.layer).map_or(&[][..], |cell| &cell.top) {
        y += 1;
        let shown = fit(&show_piece(&candidate.piece), 16);
        let pad = 16 - crate::state::text::width(&shown);
        let text = format!("{shown}{} {:>4} {}", " ".repeat(pad), prob(candidate.prob), bar(candidate.prob, 12));
        let style = if candidate.id == answer.id { c.theme.strong() } else { c.theme.dim() };
        c.put(inside, inside.x + 1, y, &text, style);
    }
}

/// From which layer on the final answer leads, and whether it had led before.
fn leads<'a>(layers: usize, answer: u32, cell: impl Fn(usize) -> Option<&'a crate::trace::LensCell>) -> Option<String> {
    let leading: Option<Vec<bool>> =
        (0..layers).map(|layer| cell(layer).map(|cell| cell.top.first().is_some_and(|top| top.id == answer))).collect();
    let leading = leading?;
    let first = leading.iter().position(|lead| *lead)?;
    let stays = leading.iter().rposition(|lead| !lead).map_or(0, |last| last + 1);
    Some(if stays >= layers {
        format!("leads from L{first}, not at the end")
    } else if first == stays {
        format!("leads from L{first} on")
    } else {
        format!("leads first at L{first}, stays from L{stays} on")
    })
}
