//! The menu of edits at the cursor, and the list of the edits in force.
//!
//! ```text
//! ▸ ban L3.E5        can't be chosen: the next best moves up
//!   zero L3.E5       chosen as before, its output counts nothing
//!
//! ▸ on   ban L3.E5           12 sites
//!   off  zero L5.H2
//! ```

use crate::state::text::{fit, harmless};
use crate::state::{EditMenu, EditsInForce, Spot, edit_offers};
use crate::ui::canvas::Canvas;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Greatest width, cells.
const WIDEST: u16 = 96;

fn popup(c: &mut Canvas, area: Rect, rows: usize, title: &str) -> Rect {
    let w = area.width.min(WIDEST);
    let h = (rows as u16).saturating_add(2).clamp(3, area.height.max(3)).min(area.height);
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    c.popup(place, title)
}

fn rows(c: &mut Canvas, inside: Rect, at: usize, texts: &[String]) {
    let room = usize::from(inside.width.saturating_sub(1));
    for (y, row) in (inside.y..inside.bottom()).zip(window(at, texts.len(), usize::from(inside.height))) {
        let mark = if row == at { "▸" } else { " " };
        let style = if row == at { c.theme.cursor() } else { Style::new() };
        c.put(inside, inside.x, y, &fit(&format!("{mark} {}", texts[row]), room), style);
        c.hit_lines(inside, y, 1, Spot { row: Some(row), ..Spot::default() });
    }
}

/// Draws the menu.
pub fn menu(c: &mut Canvas, area: Rect, menu: &EditMenu) {
    let offers = edit_offers(c.state, menu.reach);
    let wide = area.width >= 70;
    let title = match wide {
        true => format!("edit the pass {} · tab: where · enter: run the text again under it", menu.reach.name()),
        false => format!("edit {} · tab · enter", menu.reach.name()),
    };
    let longest = offers.iter().map(|(edit, _)| edit.to_string().len()).max().unwrap_or(0);
    let mut texts: Vec<String> =
        offers.into_iter().map(|(edit, about)| format!("{:<longest$}  {about}", edit.to_string())).collect();
    texts.push("patch from a saved run …".to_owned());
    texts.push("type an edit …".to_owned());
    let inside = popup(c, area, texts.len(), &title);
    rows(c, inside, menu.at, &texts);
}

/// Draws the list.
pub fn list(c: &mut Canvas, area: Rect, marked: &EditsInForce) {
    let state = c.state;
    let notes = state.edit_notes();
    let sites = |text: &str| {
        let note = notes.iter().find(|note| note.edit == text);
        note.map_or_else(String::new, |note| match note.sites {
            0 => "0 sites: changes nothing".to_owned(),
            1 => "1 site".to_owned(),
            sites => format!("{sites} sites"),
        })
    };
    let line = |listed: &crate::state::ListedEdit| {
        let text = listed.edit.to_string();
        let on = if listed.on && !state.edits.is_off { "on " } else { "off" };
        let sites = if listed.on { sites(&text) } else { String::new() };
        format!("{on}  {:<40}  {sites}", harmless(&text))
    };
    let texts: Vec<String> = state.edits.list.iter().map(line).collect();
    let title = match area.width >= 80 {
        true => "edits · space on/off · d delete · J K order · t type · s save · o load",
        false => "edits · space d J K t s o",
    };
    let inside = popup(c, area, texts.len().max(1), title);
    if texts.is_empty() {
        return c.nothing(inside, "no edit yet: I offers some for what is at the cursor, t types one");
    }
    rows(c, inside, marked.at, &texts);
}
