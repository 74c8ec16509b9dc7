//! The last message, or the most useful keys.

use crate::state::input::{Action, Entry, Scope};
use crate::state::text::{fit, harmless, width};
use crate::state::{Message, Spot, State};
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
    let hints = hints(state);
    // The way to all other keys keeps its room.
    let last = hints.iter().find(|entry| entry.action == Action::Help).copied();
    let kept = last.map_or(0, |entry| width(&key(entry)) + width(entry.hint) + 3);
    let room = usize::from(area.width.saturating_sub(1)).saturating_sub(kept);
    let others: Vec<&Entry> = hints.into_iter().filter(|entry| entry.action != Action::Help).collect();
    let mut used = 0;
    let fitting = others.iter().take_while(|entry| {
        used += width(&key(entry)) + width(entry.hint) + 3;
        used <= room + 2
    });
    let count = fitting.count();
    for entry in others[..count].iter().copied().chain(last) {
        let key = key(entry);
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

fn key(entry: &Entry) -> String {
    entry.keys.first().map(ToString::to_string).unwrap_or_default()
}

/// The entries with a word for the footer: those of the view with the focus first, without those that mean nothing now.
fn hints(state: &State) -> Vec<&Entry> {
    let tab = state.tab();
    // Without a model there is nothing to explore.
    let useful = |action: Action| match state.meta() {
        Some(_) => state.refusal(action).is_none(),
        None => matches!(action, Action::Quit | Action::Help | Action::OpenModel),
    };
    let hinted = |entry: &&Entry| {
        let here = entry.tabs.is_empty() || entry.tabs.contains(&tab);
        !entry.hint.is_empty() && here && !entry.keys.is_empty() && useful(entry.action)
    };
    let all = state.keymap.entries.iter().filter(hinted);
    let (mut own, common): (Vec<&Entry>, Vec<&Entry>) = all.partition(|entry| !entry.tabs.is_empty());
    // A step is what most keys follow; then come the keys of the view.
    let (mut first, rest): (Vec<&Entry>, Vec<&Entry>) = common
        .into_iter()
        .partition(|entry| matches!(entry.action, Action::Generate | Action::Go | Action::EditPrompt));
    first.append(&mut own);
    first.extend(rest);
    first
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
