//! The model picker: the typed text, and the choices that fit it.

use crate::state::text::{fit, harmless, width};
use crate::state::{Origin, Picker, Spot};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::opening;
use crate::ui::widgets::window::window;
use ratatui::layout::{Position, Rect};

pub fn draw(c: &mut Canvas, area: Rect, picker: &Picker) {
    let w = area.width.saturating_sub(if area.width > 60 { 8 } else { 0 }).min(110);
    let h = area.height.saturating_sub(if area.height > 20 { 6 } else { 0 }).min(26);
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    let inside = c.popup(place, "open a model");
    let room = usize::from(inside.width.saturating_sub(2));
    let (before, after) = picker.editor.text().split_at(picker.editor.before().len());
    let (before, after) = (harmless(before), harmless(after));
    // The end of the text before the cursor stays visible.
    let shown = end_of(&before, room.saturating_sub(1));
    let x = c.put(inside, inside.x + 1, inside.y, &shown, c.theme.strong());
    c.put(inside, x, inside.y, &fit(&after, room.saturating_sub(width(&shown))), c.theme.strong());
    c.caret = Some(Position::new(x.min(inside.right().saturating_sub(1)), inside.y));
    let mut y = inside.y + 1;
    match &picker.error {
        Some(error) => c.put(inside, inside.x + 1, y, &fit(error, room), c.theme.error()),
        None => {
            let hint =
                "enter opens · tab completes · ↓ chooses · a path, a .gguf, or owner/name of the Hub · esc closes";
            c.put(inside, inside.x + 1, y, &fit(hint, room), c.theme.dim())
        }
    };
    y += 1;
    if let Some(opening) = c.state.opening.clone() {
        opening::draw(c, Rect { y, height: 2.min(inside.bottom() - y), ..inside }, &opening);
        y += 2;
    }
    let choices = picker.choices();
    let rows = usize::from(inside.bottom().saturating_sub(y));
    for at in window(picker.marked.unwrap_or(0), choices.len(), rows) {
        let (choice, is_marked) = (choices[at], picker.marked == Some(at));
        let style = if is_marked { c.theme.accent() } else { c.theme.strong() };
        let from = match choice.origin {
            Origin::Demo => "in the program",
            Origin::Recent => "recent",
            Origin::Cached => "Hub cache",
            Origin::Path => "",
            Origin::Folder => "folder",
        };
        let parts: Vec<&str> = [from, choice.note.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
        let name = harmless(&choice.name);
        // The remark is cut before the name, because names distinguish the choices.
        let notes =
            [parts.join(" · "), parts.last().copied().unwrap_or_default().to_owned()].map(|note| harmless(&note));
        let note = notes.into_iter().find(|note| width(&name) + width(note) + 4 <= room).unwrap_or_default();
        let name_room = room.saturating_sub(width(&note) + if note.is_empty() { 2 } else { 4 });
        let mark = if is_marked { "▸ " } else { "  " };
        let x = c.put(inside, inside.x + 1, y, mark, style);
        c.put(inside, x, y, &last_of(&name, name_room), style);
        c.put_right(Rect { width: inside.width.saturating_sub(1), ..inside }, y, &note, c.theme.dim());
        c.hit(Rect { y, height: 1, ..inside }, Spot { row: Some(at), ..Spot::default() });
        y += 1;
    }
}

/// `text`, or `…` and its end, because paths differ at their ends.
fn last_of(text: &str, room: usize) -> String {
    if width(text) <= room { text.to_owned() } else { format!("…{}", end_of(text, room.saturating_sub(1))) }
}

/// The end of `text` that fits `room` cells.
fn end_of(text: &str, room: usize) -> String {
    let mut start = 0;
    while width(&text[start..]) > room {
        start += text[start..].chars().next().map_or(1, char::len_utf8);
    }
    text[start..].to_owned()
}
