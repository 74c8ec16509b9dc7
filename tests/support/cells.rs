//! Cells as text: what they show, and in which style.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The text of the rows of `area`, without trailing space.
pub fn rows(buffer: &Buffer, area: Rect) -> Vec<String> {
    let row = |y: u16| {
        let (mut line, mut x) = (String::new(), area.left());
        while x < area.right() {
            let symbol = buffer[(x, y)].symbol();
            line += symbol;
            x += symbol.width().max(1) as u16;
        }
        line.trim_end().to_owned()
    };
    (area.top()..area.bottom()).map(row).collect()
}

/// A letter for the style of each cell of `area`, a line for a row, and what each letter means.
pub fn styles(buffer: &Buffer, area: Rect) -> String {
    let mut alphabet = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain('À'..='ÿ').chain('Ā'..);
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let mut legend = String::new();
    let mut marks = String::new();
    for y in area.top()..area.bottom() {
        let mut line = String::new();
        for x in area.left()..area.right() {
            let style = describe(buffer[(x, y)].style());
            let letter = match letters.get(&style) {
                _ if style.is_empty() => '.',
                Some(letter) => *letter,
                None => {
                    let letter = alphabet.next().unwrap();
                    writeln!(legend, "{letter} {style}").unwrap();
                    letters.insert(style, letter);
                    letter
                }
            };
            line.push(letter);
        }
        writeln!(marks, "{}", line.trim_end_matches('.')).unwrap();
    }
    format!("{marks}---\n{legend}")
}

fn describe(style: Style) -> String {
    let mut out = String::new();
    for (name, color) in [("fg", style.fg), ("bg", style.bg)] {
        match color {
            None | Some(Color::Reset) => {}
            Some(Color::Rgb(r, g, b)) => write!(out, "{name} #{r:02x}{g:02x}{b:02x} ").unwrap(),
            Some(other) => write!(out, "{name} {other} ").unwrap(),
        }
    }
    if style.add_modifier != Modifier::empty() {
        write!(out, "{:?}", style.add_modifier).unwrap();
    }
    out.trim_end().to_owned()
}
