//! The command palette.
//!
//! ```text
//! ┌ command palette ───────────────────────────────┐
//! │ gen                                            │
//! │ ↑↓ choose · enter does it · esc closes         │
//! │ ▸ generate one token; pause if it runs   space │
//! │   generate until stopped; pause if it runs   g │
//! └────────────────────────────────────────────────┘
//! ```

use crate::state::text::{fit, harmless, width};
use crate::state::{Palette, Spot};
use crate::ui::canvas::Canvas;
use crate::ui::widgets::window::window;
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;

pub fn draw(c: &mut Canvas, area: Rect, palette: &Palette) {
    let w = area.width.saturating_sub(if area.width > 60 { 8 } else { 0 }).min(90);
    let h = area.height.saturating_sub(if area.height > 20 { 6 } else { 0 }).min(24);
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 3, width: w, height: h };
    let inside = c.popup(place, "command palette");
    let room = usize::from(inside.width.saturating_sub(2));
    let commands = c.state.commands(palette);
    let before = harmless(palette.editor.before());
    let after = harmless(&palette.editor.text()[palette.editor.before().len()..]);
    // The end of the text before the cursor stays visible.
    let skip = before.chars().count().saturating_sub(room.saturating_sub(1) / 2);
    let typed: String = if width(&before) < room { before } else { before.chars().skip(skip).collect() };
    let x = c.put(inside, inside.x + 1, inside.y, &typed, c.theme.strong());
    c.put(inside, x, inside.y, &fit(&after, room.saturating_sub(width(&typed))), c.theme.strong());
    c.caret = Some(Position::new(x.min(inside.right().saturating_sub(1)), inside.y));
    let hint = if commands.is_empty() {
        "no action fits · esc closes"
    } else {
        "export · token 12 · L5H4 · E69 · theme light · pairs · induction … · ↑↓ choose · enter does it · esc closes"
    };
    c.put(inside, inside.x + 1, inside.y + 1, &fit(hint, room), c.theme.dim());
    let rows = usize::from(inside.height.saturating_sub(2));
    let shown = window(palette.marked, commands.len(), rows);
    for (y, at) in (inside.y + 2..inside.bottom()).zip(shown) {
        let (command, is_marked) = (&commands[at], at == palette.marked);
        let style = if is_marked { c.theme.cursor() } else { c.theme.strong().remove_modifier(Modifier::BOLD) };
        let mark = if is_marked {
            "▸ "
        } else if command.is_recent {
            "· "
        } else {
            "  "
        };
        let keys = fit(&command.keys, room / 3);
        let text_room = room.saturating_sub(width(&keys) + 3);
        let mut x = c.put(inside, inside.x + 1, y, mark, c.theme.accent());
        let text = fit(&command.text, text_room);
        for (i, letter) in text.chars().enumerate() {
            let fits = command.places.binary_search(&i).is_ok();
            let style = if fits { style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED) } else { style };
            x = c.put(inside, x, y, letter.encode_utf8(&mut [0; 4]), style);
        }
        c.put_right(Rect { width: inside.width.saturating_sub(1), ..inside }, y, &keys, c.theme.accent());
        c.hit(Rect { y, height: 1, ..inside }, Spot { row: Some(at), ..Spot::default() });
    }
}
