//! The last message, or the most useful keys.

use crate::state::input::{Action, Entry, Scope};
use crate::state::text::{fit, harmless, width};
use crate::state::{Message, Spot};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    if let Some(message) = &state.message {
        return draw_message(c, area, message);
    }
    let mut x = area.x + 1;
    if state.scope() != Scope::Explore {
        c.put(area, x, area.y, "esc closes", c.theme.dim());
        return;
    }
    // Without a model there is nothing to explore.
    let useful =
        |action: Action| state.meta().is_some() || matches!(action, Action::Quit | Action::Help | Action::OpenModel);
    let hinted = |entry: &&Entry| !entry.hint.is_empty() && !entry.keys.is_empty() && useful(entry.action);
    for entry in state.keymap.entries.iter().filter(hinted) {
        let Some(key) = entry.keys.first().map(ToString::to_string) else { continue };
        if usize::from(area.right().saturating_sub(x)) < width(&key) + 1 + width(entry.hint) {
            // Hints are left out; where the last one ends at the edge, there is no room to say so.
            c.put(area, x, area.y, "…", c.theme.dim());
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

/// Draws the message, with the keys for the rest of it and for its dismissal.
fn draw_message(c: &mut Canvas, area: Rect, message: &Message) {
    let (style, mark) = match message {
        Message { is_error: true, .. } => (c.theme.error(), "✗ "),
        Message { is_warning: true, .. } => (c.theme.warn(), "! "),
        _ => (c.theme.strong(), "· "),
    };
    let text = harmless(&message.failure.summary);
    let across = usize::from(area.width).saturating_sub(width(mark));
    let dismiss = if message.stays() { "  esc: dismiss" } else { "" };
    let has_more = !message.failure.causes.is_empty() || width(&text) + width(dismiss) > across;
    let more = match (has_more, area.width < 70, message.is_error) {
        (false, ..) => dismiss.to_owned(),
        (true, true, _) => "  !: more".to_owned(),
        (true, false, true) => "  !: causes · esc: dismiss".to_owned(),
        (true, false, false) if message.stays() => "  !: all of it · esc: dismiss".to_owned(),
        (true, false, false) => "  !: all of it".to_owned(),
    };
    let x = c.put(area, area.x, area.y, mark, style);
    let x = c.put(area, x, area.y, &fit(&text, across.saturating_sub(width(&more))), style);
    c.put(area, x, area.y, &more, c.theme.dim());
}
