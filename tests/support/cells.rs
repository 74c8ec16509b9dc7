//! Screens as text.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The text of the screen, then a line of letters for each line of it: one letter a style, named below.
pub fn styled(buf: &Buffer) -> String {
    let mut names: BTreeMap<String, char> = BTreeMap::new();
    let (mut text, mut marks) = (String::new(), String::new());
    for y in 0..buf.area.height {
        let mut line = String::new();
        let mut mark = String::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            let next = char::from_u32('a' as u32 + names.len() as u32).unwrap();
            let style = describe(cell.style());
            mark.push(if style.is_empty() { '.' } else { *names.entry(style).or_insert(next) });
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        writeln!(text, "{}", line.trim_end()).unwrap();
        writeln!(marks, "{}", mark.trim_end_matches('.')).unwrap();
    }
    let mut legend: Vec<(char, String)> = names.into_iter().map(|(style, letter)| (letter, style)).collect();
    legend.sort();
    let legend: Vec<String> = legend.into_iter().map(|(letter, style)| format!("{letter} {style}")).collect();
    format!("{text}---\n{marks}---\n{}", legend.join("\n"))
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
