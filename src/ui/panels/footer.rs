//! The last message, or the most useful keys.

use crate::state::Spot;
use crate::state::keys::{Action, Scope};
use crate::state::text::{fit, harmless, width};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    if let Some(message) = &state.message {
        let style = if message.is_error { c.theme.error() } else { c.theme.warn() };
        let mark = if message.is_error { "✗ " } else { "! " };
        let more = match (area.width < 70, message.is_error) {
            (true, _) => "  !: more",
            (_, true) => "  !: causes · esc: dismiss",
            (_, false) => "  !: all of it · esc: dismiss",
        };
        let room = usize::from(area.width).saturating_sub(width(more) + 2);
        let x = c.put(area, area.x, area.y, mark, style);
        let x = c.put(area, x, area.y, &fit(&harmless(&message.failure.summary), room), style);
        c.put(area, x, area.y, more, c.theme.dim());
        return;
    }
    let mut x = area.x + 1;
    if state.scope() != Scope::Explore {
        c.put(area, x, area.y, "esc closes", c.theme.dim());
        return;
    }
    // Without a model there is nothing to explore, only to leave.
    let useful =
        |action: Action| state.meta().is_some() || matches!(action, Action::Quit | Action::Help | Action::OpenModel);
    for entry in state.keymap.entries.iter().filter(|entry| !entry.hint.is_empty() && useful(entry.action)) {
        let Some(key) = entry.keys.first().map(ToString::to_string) else { continue };
        if usize::from(area.right().saturating_sub(x)) < width(&key) + width(entry.hint) + 1 {
            break;
        }
        let start = x;
        x = c.line(
            area,
            x,
            area.y,
            &[(&key, c.theme.accent()), (" ", c.theme.dim()), (entry.hint, c.theme.dim()), ("  ", c.theme.dim())],
        );
        let spot = Spot { action: Some(entry.action), ..Spot::default() };
        c.hit(Rect { x: start, width: x - start, ..area }, spot);
    }
}
