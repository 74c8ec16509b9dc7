//! The page of keys, from the table that dispatches them: by task for the views, then by the part of the screen. Words
//! that are typed filter it.

use super::page::{WIDEST, page};
use crate::state::Page;
use crate::state::input::{Entry, Scope, Task};
use crate::state::text::width;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::wrap::wrap;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Width of the keys, cells; longer ones have a line of their own, and so have all on a narrow screen.
const KEYS: usize = 24;
const NARROW: usize = 60;

pub fn draw(c: &mut Canvas, area: Rect, at: &Page) {
    let room = usize::from(area.width.min(WIDEST)).saturating_sub(3);
    let wanted: Vec<String> = at.filter.text().split_whitespace().map(str::to_lowercase).collect();
    let keymap = c.state.keymap.clone();
    let mut lines: Vec<(String, Style)> = Vec::new();
    for (title, entries) in sections(&keymap.entries) {
        let entries: Vec<&Entry> = entries.into_iter().filter(|entry| fits(entry, title, &wanted)).collect();
        if entries.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push((String::new(), Style::new()));
        }
        lines.push((title.to_owned(), c.theme.accent()));
        entries.iter().for_each(|entry| lines.extend(rows(entry, room).into_iter().map(|row| (row, Style::new()))));
    }
    if lines.is_empty() {
        lines.push((format!("no key does “{}”", at.filter.text()), c.theme.dim()));
    }
    let title = match (at.is_typing, at.filter.text()) {
        (true, text) => format!("keys with: {text}▏ · enter keeps · esc all keys"),
        (false, "") => "keys · / search · ↑↓ scroll · esc closes".to_owned(),
        (false, text) => format!("keys with: {text} · / search · esc all keys"),
    };
    page(c, area, &title, &lines, at.line);
}

/// The headings and entries: the views by task, then the other parts of the screen.
fn sections(all: &[Entry]) -> impl Iterator<Item = (&'static str, Vec<&Entry>)> {
    let of = |scope: Scope, task: Option<Task>| {
        let fits = move |entry: &&Entry| entry.scope == scope && task.is_none_or(|task| entry.task == task);
        all.iter().filter(fits).collect::<Vec<_>>()
    };
    let views = Task::ALL.into_iter().map(move |task| (task.title(), of(Scope::Explore, Some(task))));
    let others = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Explore);
    views.chain(others.map(move |scope| (scope.title(), of(scope, None))))
}

/// Whether an entry has all these words: in its keys, its help, its other words or the heading.
fn fits(entry: &Entry, title: &str, words: &[String]) -> bool {
    let text = format!("{} {} {} {title}", entry.help, entry.words, entry.action).to_lowercase();
    let is_key = |word: &str| entry.keys.iter().any(|key| key.to_string().to_lowercase() == word);
    words.iter().all(|word| text.contains(word.as_str()) || is_key(word))
}

/// The lines of an entry: its keys, and its help, broken at words.
fn rows(entry: &Entry, room: usize) -> Vec<String> {
    let keys: Vec<String> = entry.keys.iter().map(ToString::to_string).collect();
    let keys = keys.join("  ");
    if room < NARROW {
        let lines = wrap(entry.help, room.saturating_sub(6)).into_iter().map(|line| format!("      {line}"));
        return std::iter::once(format!("  {keys}")).chain(lines).collect();
    }
    let text = wrap(entry.help, room.saturating_sub(KEYS + 3));
    let mut rows = Vec::new();
    let mut first = format!("  {keys}");
    if width(&keys) > KEYS {
        rows.push(std::mem::take(&mut first));
    }
    for line in text {
        let keys = std::mem::take(&mut first);
        let gap = " ".repeat((KEYS + 2).saturating_sub(width(&keys)));
        rows.push(format!("{keys}{gap} {line}"));
    }
    rows
}
