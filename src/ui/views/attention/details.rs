//! Details of attention: the strongest weights from the token at the cursor, or to it, with their tokens.

use crate::analysis::Pick;
use crate::state::Side;
use crate::state::text::{fit, quoted, width};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::widgets::bar::bar;
use ratatui::layout::Rect;

/// Width of the name of a token, cells.
const NAME: usize = 14;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let token = quoted(c.shown(cursor.token));
    let is_row = c.pane.heads.side == Side::Row;
    let looks = if is_row { "looks at" } else { "is looked at by" };
    let inside =
        c.panel(area, &format!("{token} {looks} · layer {} {}", cursor.layer, c.pane.heads.pick(c.state.cursor.head)));
    let Some(others) = state.strongest_attention(&c.pane.heads) else {
        if !state.tokens.is_empty() {
            c.nothing(inside, if c.has_attention(cursor.layer) { "deriving …" } else { ABSENT });
        }
        return;
    };
    let column =
        state.derived.column(cursor.layer, c.pane.heads.pick(c.state.cursor.head), cursor.token).filter(|_| !is_row);
    let row = state.derived.row(cursor.layer, c.pane.heads.pick(c.state.cursor.head), cursor.token).filter(|_| is_row);
    let has_sinks = state.meta().is_some_and(|meta| !meta.scores.sinks.is_empty());
    let sum = match (row, column) {
        // Maxima are not a distribution.
        (Some(row), _) if row.pick == Pick::Max => "largest weights over the heads".to_owned(),
        (Some(row), _) => {
            let to_sink = 1.0 - row.weights.iter().sum::<f32>();
            let sink = if has_sinks { format!(" · sink {to_sink:.4}") } else { String::new() };
            format!("weights of this row{sink} · entropy {:.2} nats", row.entropy)
        }
        (_, Some(column)) => {
            let queries = if column.weights.len() == 1 { "query" } else { "queries" };
            format!("weights of this column · sum {:.4} over {} {queries}", column.total, column.weights.len())
        }
        _ => String::new(),
    };
    let mut y = inside.y;
    // A part is shown whole, or not.
    let parts: Vec<&str> = sum.split(" · ").collect();
    let forms: Vec<String> = (1..=parts.len()).rev().map(|shown| parts[..shown].join(" · ")).collect();
    c.put_first_that_fits(inside, inside.x + 1, y, &forms, c.theme.dim());
    for pos in others.iter().take(usize::from(inside.height.saturating_sub(1))) {
        y += 1;
        let Some(weight) = state.attention_weight(&c.pane.heads, *pos) else { continue };
        let name = fit(c.shown(*pos), NAME);
        let gap = " ".repeat(NAME.saturating_sub(width(&name)));
        let text = format!("{weight:.4} {pos:>5} {name}{gap} {}", bar(weight, 10));
        let style = if *pos == cursor.token { c.theme.strong() } else { c.theme.dim() };
        c.put(inside, inside.x + 1, y, &text, style);
    }
}
