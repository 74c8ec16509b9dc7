//! Snapshots of screens: one file a situation, which holds the part under test at three sizes.

use crate::support::cells::{rows, styles};
use mixscope::app::Still;
use mixscope::ui::Depth;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

/// The smallest screen, the usual one, and one with room for all details.
pub const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (160, 45)];

/// The panels: what is between the tabs, and the candidates or the footer.
pub fn panel(name: &str, still: &mut Still) {
    part(name, still, |buffer| {
        let lines = rows(buffer, buffer.area);
        let below = lines.iter().rposition(|line| line.starts_with("┌─ next after")).unwrap_or(lines.len() - 1);
        lines_of(buffer, tabs(buffer) + 1, below)
    });
}

/// The text of the run, and the tabs below it.
pub fn strip(name: &str, still: &mut Still) {
    part(name, still, |buffer| lines_of(buffer, 1, tabs(buffer) + 1));
}

/// All but header and footer.
pub fn page(name: &str, still: &mut Still) {
    part(name, still, inside);
}

/// The part of the screen that `area` chooses.
pub fn part(name: &str, still: &mut Still, area: impl Fn(&Buffer) -> Rect) {
    check(name, still, |still, (w, h), depth| {
        let buffer = still.screen(w, h, depth);
        let area = area(&buffer);
        (buffer, area)
    });
}

/// What lies over the screen: the cells between header and footer that differ from those of `below`.
pub fn overlay(name: &str, below: &mut Still, above: &mut Still) {
    let below = std::cell::RefCell::new(below);
    check(name, above, |above, (w, h), depth| {
        let (old, new) = (below.borrow_mut().screen(w, h, depth), above.screen(w, h, depth));
        let changed = inside(&new).positions().filter(|at| old[*at] != new[*at]);
        let area = changed.map(|at| Rect::new(at.x, at.y, 1, 1)).reduce(Rect::union).expect("something over it");
        (new, area)
    });
}

/// The row of the tabs.
pub fn tabs(buffer: &Buffer) -> usize {
    rows(buffer, buffer.area).iter().position(|line| line.starts_with(" 1 ")).expect("tabs")
}

/// Whole lines, from `top` to before `below`.
pub fn lines_of(buffer: &Buffer, top: usize, below: usize) -> Rect {
    Rect { y: top as u16, height: (below - top) as u16, ..buffer.area }
}

fn inside(buffer: &Buffer) -> Rect {
    lines_of(buffer, 1, usize::from(buffer.area.height) - 1)
}

/// One snapshot of the part of the screen that `shown` gives: its text at each size, the lines that differ without
/// colours, and the styles of the largest.
fn check(name: &str, still: &mut Still, shown: impl Fn(&mut Still, (u16, u16), Depth) -> (Buffer, Rect)) {
    let mut text = String::new();
    for size in SIZES {
        let (buffer, area) = shown(still, size, Depth::True);
        let lines = rows(&buffer, area);
        text += &format!("{}×{}\n{}\n\n", size.0, size.1, lines.join("\n"));
        let (indexed, _) = shown(still, size, Depth::Indexed);
        assert_eq!(rows(&indexed, area), lines, "{name}: 256 colours change no text");
        let is_indexed = |color| matches!(color, Color::Reset | Color::Indexed(_));
        assert!(indexed.content().iter().all(|cell| is_indexed(cell.fg) && is_indexed(cell.bg)), "{name}");
        let (mono, area) = shown(still, size, Depth::Mono);
        let is_coloured = |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
        assert!(!mono.content().iter().any(is_coloured), "{name} {size:?}: a colour where there are none");
        let mono = rows(&mono, area);
        let different: Vec<&str> = mono.iter().filter(|line| !lines.contains(line)).map(String::as_str).collect();
        if !different.is_empty() {
            text += &format!("lines that differ without colours\n{}\n\n", different.join("\n"));
        }
    }
    let (w, h) = SIZES[2];
    let (buffer, area) = shown(still, (w, h), Depth::True);
    text += &format!("styles of {w}×{h}\n{}", styles(&buffer, area));
    compare(name, &text);
}

/// One snapshot with this text.
#[track_caller]
pub fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
