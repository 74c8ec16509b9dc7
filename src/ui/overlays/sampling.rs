//! The sampling form.

use crate::state::text::{fit, width};
use crate::state::{FIELDS, Form, Spot};
use crate::ui::canvas::Canvas;
use ratatui::layout::{Position, Rect};

pub fn draw(c: &mut Canvas, area: Rect, form: &Form) {
    let (w, h) = (area.width.min(72), 7.min(area.height));
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 3, width: w, height: h };
    let inside = c.popup(place, "sampling");
    let room = usize::from(inside.width.saturating_sub(2));
    for (i, ((name, hint), value)) in FIELDS.iter().zip(&form.values).enumerate() {
        let y = inside.y + i as u16;
        let chosen = i == form.field;
        c.hit(Rect { y, height: 1, ..inside }.intersection(inside), Spot { row: Some(i), ..Spot::default() });
        let label = format!("{}{name:<12}", if chosen { "▸" } else { " " });
        let x = c.put(inside, inside.x + 1, y, &label, if chosen { c.theme.accent() } else { c.theme.dim() });
        let end = c.put(inside, x, y, value, c.theme.strong());
        if chosen {
            c.caret = Some(Position::new(end.min(inside.right().saturating_sub(1)), y));
        }
        let hint_x = (x + 10).max(end + 2);
        let rest = usize::from(inside.right().saturating_sub(hint_x));
        c.put(inside, hint_x, y, &fit(hint, rest), c.theme.dim());
    }
    let hint = "enter uses these · ↑↓ field · type to change · esc closes";
    let (text, style) = form.error.as_deref().map_or((hint, c.theme.dim()), |error| (error, c.theme.error()));
    debug_assert!(width(hint) < 72);
    c.put(inside, inside.x + 1, inside.bottom() - 1, &fit(text, room), style);
}
