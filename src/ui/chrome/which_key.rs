//! After the first of two keys, a box with the keys that can follow.
//!
//! ```text
//! ┌ y … ─────────────────────────────────┐
//! │ c  copy the value under the cursor   │
//! │ r  copy its row                      │
//! └──────────────────────────────────────┘
//! ```

use crate::state::Spot;
use crate::state::input::Key;
use crate::state::text::{fit, width};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect, prefix: Key) {
    let lines = c.state.keymap.continuations(c.state.scope(), prefix);
    let keys = lines.iter().map(|(key, _)| width(&key.to_string())).max().unwrap_or(0);
    let texts = lines.iter().map(|(_, entry)| width(entry.help)).max().unwrap_or(0);
    let w = ((keys + texts + 6) as u16).max(20).min(area.width);
    let h = (lines.len() as u16 + 2).min(area.height.saturating_sub(1));
    let place = Rect { x: area.right() - w, y: area.bottom().saturating_sub(h + 1), width: w, height: h };
    let inside = c.popup(place, &format!("{prefix} …  esc closes"));
    for (y, (key, entry)) in (inside.y..inside.bottom()).zip(&lines) {
        let key = key.to_string();
        let x = c.put(inside, inside.x + 1, y, &key, c.theme.accent());
        let gap = (keys - width(&key) + 2) as u16;
        let room = usize::from(inside.right().saturating_sub(x + gap + 1));
        c.put(inside, x + gap, y, &fit(entry.help, room), c.theme.strong());
        c.hit(Rect { y, height: 1, ..inside }, Spot { action: Some(entry.action), ..Spot::default() });
    }
}
