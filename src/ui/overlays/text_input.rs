//! The prompt editor and the one-line inputs.

use super::examples;
use crate::state::text::{fit, harmless, width};
use crate::state::{Input, InputKind};
use crate::ui::canvas::Canvas;
use ratatui::layout::{Position, Rect};
use unicode_segmentation::UnicodeSegmentation;

pub fn draw(c: &mut Canvas, area: Rect, input: &Input) {
    let is_prompt = input.kind == InputKind::Prompt;
    let (title, hint) = match input.kind {
        InputKind::Prompt => ("prompt", "enter runs it · alt-enter new line · ↑ earlier prompts · esc closes"),
        InputKind::Force => ("read next, as text", "enter reads it · start with a space for a new word · esc closes"),
        InputKind::Target => (
            "follow a token, as text",
            "enter follows its first token · start with a space for a new word · esc closes",
        ),
        InputKind::Edit => (
            "edit of the pass",
            "ban L3.E5 · zero L5.H2@7 · scale L3.E5 0.5 · force L3.E1,E4 · cut L5.H2 12->3 · patch L4.z FILE@3",
        ),
        InputKind::Second => ("second prompt", "enter compares it with the run · empty: none · esc closes"),
        InputKind::Foil => ("foil", "the token that the target is compared with · empty: none · esc closes"),
        InputKind::BranchName(_) => ("name of the branch", "enter names it · empty: none · esc closes"),
        InputKind::SaveEdits => ("write the edits to a file", "enter writes it · esc closes"),
        InputKind::LoadEdits => ("read edits from a file", "one edit a line, or JSON · enter reads it · esc closes"),
        InputKind::Count => ("tokens to generate", "enter starts · esc closes"),
        InputKind::Search => ("search in the text", "enter goes to it · n next · N previous · empty text ends it"),
    };
    let title = if input.note.is_empty() { title } else { input.note };
    let title = if is_prompt && input.note.is_empty() && c.state.uses_chat() {
        "prompt · in the chat template (ctrl-t: as it is)"
    } else {
        title
    };
    let w = area.width.saturating_sub(if area.width > 60 { 8 } else { 0 }).min(110);
    let inner_width = usize::from(w.saturating_sub(4)).max(1);
    let (lines, caret) = wrap(input, inner_width);
    let more = usize::from(area.height.saturating_sub(8));
    let more = if is_prompt { examples::lines(c, inner_width, more) } else { Vec::new() };
    let examples = more.len() as u16;
    let most = area.height.saturating_sub(4 + examples).max(1);
    let text_height = (lines.len() as u16).clamp(if is_prompt { 3.min(most) } else { 1 }, most);
    let h = (text_height + 3 + examples).min(area.height);
    let x = area.x + (area.width - w) / 2;
    let y = area.y + (area.height - h) / 3;
    let inside = c.popup(Rect { x, y, width: w, height: h }, title);
    if is_prompt {
        put_count(c, Rect { x, y, width: w, height: h }, input);
    }
    let first = caret.1.saturating_sub(usize::from(text_height) - 1);
    for (i, line) in lines.iter().skip(first).take(usize::from(text_height)).enumerate() {
        c.put(inside, inside.x + 1, inside.y + i as u16, line, c.theme.strong());
    }
    c.caret = Some(Position::new(
        (inside.x + 1 + caret.0 as u16).min(inside.right().saturating_sub(1)),
        (inside.y + (caret.1 - first) as u16).min(inside.bottom().saturating_sub(1)),
    ));
    let y = inside.y + text_height;
    let room = usize::from(inside.width.saturating_sub(2));
    match &input.error {
        Some(error) => c.put(inside, inside.x + 1, y, &fit(error, room), c.theme.error()),
        None => c.put(inside, inside.x + 1, y, &fit(hint, room), c.theme.dim()),
    };
    let below = Rect { x: inside.x + 1, y: y + 1, width: room as u16, height: inside.bottom().saturating_sub(y + 1) };
    examples::draw(c, below, &more);
}

/// Writes how many tokens the text has at the end of the title; requests the number if it is not known.
fn put_count(c: &mut Canvas, place: Rect, input: &Input) {
    let (state, text) = (c.state, input.editor.text());
    let Some(d) = c.dims().filter(|_| !c.is_saved() && !text.is_empty()) else { return };
    let prompt = state.typed_prompt(text.to_owned());
    let count = state.derived.counted(&prompt);
    if count.is_none() {
        c.wanted.count = Some(prompt);
    }
    let (text, style) = match count {
        None => (" … tokens ".to_owned(), c.theme.dim()),
        Some(count) if count > d.context => {
            (format!(" {count} tokens, the context holds {} ", d.context), c.theme.warn())
        }
        Some(1) => (" 1 token ".to_owned(), c.theme.dim()),
        Some(count) => (format!(" {count} tokens "), c.theme.dim()),
    };
    let line = Rect { height: 1, width: place.width.saturating_sub(2), ..place };
    c.put_right(line, place.y, &text, style);
}

/// The text in screen lines, and column and line of the cursor.
fn wrap(input: &Input, room: usize) -> (Vec<String>, (usize, usize)) {
    let mut lines = vec![String::new()];
    let mut used = 0;
    let mut caret = (0, 0);
    let at = input.editor.before().len();
    for (i, grapheme) in input.editor.text().grapheme_indices(true) {
        let shown = if grapheme == "\n" { String::new() } else { harmless(grapheme) };
        if used + width(&shown) > room {
            lines.push(String::new());
            used = 0;
        }
        if i == at {
            caret = (used, lines.len() - 1);
        }
        if grapheme == "\n" {
            lines.push(String::new());
            used = 0;
            continue;
        }
        used += width(&shown);
        if let Some(line) = lines.last_mut() {
            line.push_str(&shown);
        }
    }
    if at == input.editor.text().len() {
        if used == room {
            lines.push(String::new());
            used = 0;
        }
        caret = (used, lines.len() - 1);
    }
    (lines, caret)
}
