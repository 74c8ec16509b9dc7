use super::{Cell, Screen};
use crate::trace::is_obeyed;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The screen as lines of text with ANSI escapes in 24-bit colour (`cat` shows it).
pub fn screen_ansi(screen: &Screen) -> Vec<u8> {
    let mut out = String::new();
    for row in screen.rows() {
        let mut last = String::new();
        let mut covered = 0;
        for cell in row {
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = cell.symbol.width().saturating_sub(1);
            let style = style(cell);
            if style != last {
                out.push_str(&style);
                last = style;
            }
            // A symbol must not contain escapes.
            out.extend(cell.symbol.chars().filter(|c| !is_obeyed(*c)));
        }
        out.push_str("\x1b[0m\n");
    }
    out.into_bytes()
}

/// The escape that sets all attributes of a cell.
fn style(cell: &Cell) -> String {
    let mut codes = String::from("0");
    let flags = [(cell.bold, ";1"), (cell.dim, ";2"), (cell.underline, ";4"), (cell.reversed, ";7")];
    flags.iter().filter(|(on, _)| *on).for_each(|(_, code)| codes.push_str(code));
    for (layer, colour) in [(38, cell.fg), (48, cell.bg)] {
        if let Some((r, g, b)) = colour {
            // Writing to a String can't fail.
            let _ = write!(codes, ";{layer};2;{r};{g};{b}");
        }
    }
    format!("\x1b[{codes}m")
}
