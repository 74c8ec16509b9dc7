//! Graphemes whose width terminals do not agree on: flags, combined emoji, vowel signs. Where a terminal counts otherwise
//! than this program, such a grapheme moves what follows it, and parts of it stay behind when it is replaced.

use ratatui::buffer::{Buffer, Cell};
use std::collections::BTreeSet;

/// The first emoji. Terminals know those of the Unicode version that they were made for.
const FIRST_EMOJI: char = '\u{1f000}';
/// A grapheme takes at most this many cells, however a terminal counts.
const WIDEST: usize = 8;

/// Whether terminals may disagree about the width of a cell's grapheme.
pub fn is_unsure(cell: &Cell) -> bool {
    let mut chars = cell.symbol().chars();
    chars.next().is_some_and(|first| first >= FIRST_EMOJI) || chars.next().is_some()
}

/// The lines of the screen that may hold something else than `old`, as they hold such a grapheme, and that change.
pub fn unsure_lines(old: &Buffer, new: &Buffer) -> BTreeSet<u16> {
    let mut lines = BTreeSet::new();
    let area = new.area;
    if old.area != area {
        return lines;
    }
    let width = usize::from(area.width);
    let rows = old.content.chunks(width.max(1)).zip(new.content.chunks(width.max(1)));
    for (y, (before, after)) in (area.top()..area.bottom()).zip(rows) {
        let holds_any = |from: usize| before[from..].iter().chain(&after[from..]).any(is_unsure);
        if before == after || !holds_any(0) {
            continue;
        }
        lines.insert(y);
        // A grapheme that is too wide for its line goes on in the next one.
        if y + 1 < area.bottom() && holds_any(width.saturating_sub(WIDEST)) {
            lines.insert(y + 1);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    #[test]
    fn lines_with_graphemes_of_unsure_width_are_drawn_anew_when_they_change() {
        let buffer = |lines: [&str; 3]| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 3));
            for (y, line) in (0..).zip(lines) {
                buffer.set_string(0, y, line, Style::new());
            }
            buffer
        };
        let lines =
            |old: [&str; 3], new: [&str; 3]| unsure_lines(&buffer(old), &buffer(new)).into_iter().collect::<Vec<u16>>();
        let plain = ["abcdefghijkl", "日本語", "╭─…·▸      ╮"];
        assert!(lines(plain, ["x", "y", "z"]).is_empty());
        for grapheme in ["🇩🇪", "हि", "กำ", "👩‍👩‍👧", "🦀", "e\u{301}", "☀\u{fe0f}"] {
            let with = [plain[0], &format!("a{grapheme}b"), plain[2]];
            assert_eq!(lines(with, plain), [1], "{grapheme} goes");
            assert_eq!(lines(plain, with), [1], "{grapheme} comes");
            assert!(lines(with, with).is_empty(), "nothing changes");
        }
        let edge = ["abcdefghijklmnopqr🇩🇪", "x", "y"];
        assert_eq!(lines(edge, plain), [0, 1], "it may go on in the next line");
    }
}
