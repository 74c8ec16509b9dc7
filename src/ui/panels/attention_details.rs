//! Beside attention: the tokens that the cursor's query looks at, with exact weights.

use crate::state::text::fit;
use crate::ui::canvas::{ABSENT, Canvas, bar, quoted};
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let from = quoted(c.shown(cursor.token));
    let inside = c.panel(area, &format!("{from} looks at · layer {} head {}", cursor.layer, cursor.head));
    let Some(row) = state.derived.row(cursor.layer, cursor.head, cursor.token) else {
        if !state.tokens.is_empty() {
            c.nothing(inside, if c.has_attention(cursor.layer) { "deriving …" } else { ABSENT });
        }
        return;
    };
    let mut keys: Vec<usize> = (0..row.weights.len()).collect();
    keys.sort_by(|a, b| row.weights[*b].total_cmp(&row.weights[*a]).then(a.cmp(b)));
    let entropy = crate::trace::routing::entropy(&row.weights);
    let mut y = inside.y;
    c.put(inside, inside.x + 1, y, &format!("entropy of this row {entropy:.2} nats"), c.theme.dim());
    for key in keys.into_iter().take(usize::from(inside.height.saturating_sub(1))) {
        y += 1;
        let weight = row.weights[key];
        let text = format!("{weight:.4} {key:>5} {:<14} {}", fit(c.shown(key), 14), bar(weight, 10));
        let style = if key == cursor.token { c.theme.strong() } else { c.theme.dim() };
        c.put(inside, inside.x + 1, y, &text, style);
    }
}
