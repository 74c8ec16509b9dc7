use super::{Cell, Screen};
use crate::export::figure::font::{ADVANCE, Face, has};
use crate::export::figure::pen::{Align, Pen, Rgb, Skin};
use crate::export::figure::{About, Look, Page, Size, png, svg};
use crate::trace::is_obeyed;
use anyhow::Result;
use unicode_width::UnicodeWidthStr;

/// Size of a cell, and of text whose glyphs are as wide as a cell, points.
const CELL: (f64, f64) = (9.0, 18.0);
const EM: f64 = CELL.0 / ADVANCE;
/// Side of a braille dot, points.
const DOT: f64 = 2.0;
/// Room around the screen.
const PAD: f64 = 8.0;

/// Where text becomes glyphs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    /// Here, from the bundled font.
    Drawn,
    /// In the viewer of the file, from one of the viewer's fonts.
    Named,
}

/// The screen as a PNG file, in the bundled font. `look.dark` chooses the colours of cells that have none of their own.
///
/// # Errors
/// If it would be too large.
pub fn screen_png(screen: &Screen, look: &Look) -> Result<Vec<u8>> {
    png(&page(screen, look, Letters::Drawn)?)
}

/// The screen as an SVG file.
///
/// # Errors
/// If it would be too large.
pub fn screen_svg(screen: &Screen, look: &Look) -> Result<Vec<u8>> {
    svg(&page(screen, look, Letters::Named)?)
}

fn page(screen: &Screen, look: &Look, letters: Letters) -> Result<Page> {
    let size = Size::on_screen(extent(screen), look.scale);
    // Before the work instead of after it.
    size.pixels()?;
    let mut pen = Pen::new(Face::Mono, Skin::new(look.dark));
    paint(screen, &mut pen, letters);
    let about = About { title: "A screen of mixscope".to_owned(), recipe: screen.recipe.clone(), ..About::default() };
    Page::new(pen, size, about)
}

fn extent(screen: &Screen) -> (f64, f64) {
    (screen.width as f64 * CELL.0 + 2.0 * PAD, screen.height() as f64 * CELL.1 + 2.0 * PAD)
}

fn paint(screen: &Screen, pen: &mut Pen, how: Letters) {
    let (w, h) = extent(screen);
    pen.rect((0.0, 0.0), (w + 1.0, h + 1.0), pen.skin.paper);
    for (y, row) in screen.rows().enumerate() {
        let y = PAD + y as f64 * CELL.1;
        let mut start = 0;
        while start < row.len() {
            // Neighbours with one background are one rectangle.
            let paper = colours(&row[start], pen.skin).1;
            let run = row[start..].iter().take_while(|cell| colours(cell, pen.skin).1 == paper).count();
            if paper != pen.skin.paper {
                let x = |col: usize| PAD + col as f64 * CELL.0;
                pen.rect((x(start), y), (x(start + run), y + CELL.1), paper);
            }
            start += run;
        }
        let mut start = 0;
        while start < row.len() {
            let at = (PAD + start as f64 * CELL.0, y);
            // SVG gets whole words; pixels are placed cell by cell.
            let alike = |cell: &&Cell| is_plain(cell) && same_text(cell, &row[start]);
            let run = if how == Letters::Named { row[start..].iter().take_while(alike).count() } else { 0 };
            if run > 1 {
                let word: String = row[start..start + run].iter().map(|cell| cell.symbol.as_str()).collect();
                let ink = colours(&row[start], pen.skin).0;
                letters(pen, at, &word, run as f64, EM, row[start].bold, ink);
                if row[start].underline {
                    underline(pen, at, run as f64, ink);
                }
            } else {
                paint_cell(pen, &row[start], at, how);
            }
            start += run.max(1);
        }
    }
}

/// Whether a symbol is drawn as one glyph of the font: a letter, digit or sign.
fn is_plain(cell: &Cell) -> bool {
    let mut chars = cell.symbol.chars();
    let is_line = |c: char| ('\u{2500}'..='\u{259f}').contains(&c) || shapes(c).is_some();
    matches!((chars.next(), chars.next()), (Some(c), None) if !is_line(c) && has(c))
}

fn same_text(a: &Cell, b: &Cell) -> bool {
    (a.fg, a.bg, a.bold, a.dim, a.underline, a.reversed) == (b.fg, b.bg, b.bold, b.dim, b.underline, b.reversed)
}

fn letters(pen: &mut Pen, at: (f64, f64), text: &str, cells: f64, em: f64, bold: bool, ink: Rgb) {
    let middle = (at.0 + CELL.0 * cells / 2.0, at.1 + CELL.1 / 2.0 + 0.5);
    pen.text(middle, text, em, Align::Middle, ink);
    if bold {
        pen.text((middle.0 + 0.6, middle.1), text, em, Align::Middle, ink);
    }
}

fn underline(pen: &mut Pen, at: (f64, f64), cells: f64, ink: Rgb) {
    let y = at.1 + CELL.1;
    pen.rect((at.0, y - 2.0), (at.0 + CELL.0 * cells, y - 1.0), ink);
}

/// Colour of the text and of the background of a cell.
fn colours(cell: &Cell, skin: Skin) -> (Rgb, Rgb) {
    let (mut ink, mut paper) = (cell.fg.unwrap_or(skin.ink), cell.bg.unwrap_or(skin.paper));
    if cell.reversed {
        (ink, paper) = (paper, ink);
    }
    if cell.dim {
        let mix = |a: u8, b: u8| ((u16::from(a) * 3 + u16::from(b) * 2) / 5) as u8;
        ink = (mix(ink.0, paper.0), mix(ink.1, paper.1), mix(ink.2, paper.2));
    }
    (ink, paper)
}

/// From one corner to the other.
type Rect = ((f64, f64), (f64, f64));

/// The shapes of a character that is not drawn as a glyph: blocks and dots fill the cell, and lines of frames meet between
/// cells.
fn shapes(c: char) -> Option<Vec<Rect>> {
    let (w, h) = CELL;
    let eighth = |c: char, first: char| f64::from(c as u32 - first as u32 + 1) / 8.0;
    Some(match c {
        ' ' => Vec::new(),
        '▀' => vec![((0.0, 0.0), (w, h / 2.0))],
        '▄' => vec![((0.0, h / 2.0), CELL)],
        '▁'..='█' => vec![((0.0, h * (1.0 - eighth(c, '▁'))), CELL)],
        // Left blocks: seven eighths (▉) to one eighth (▏) count down in Unicode.
        '▉'..='▏' => vec![((0.0, 0.0), (w * (1.0 - eighth(c, '▉')), h))],
        '\u{2800}'..='\u{28ff}' => dots(c as u32 - 0x2800),
        '─' | '│' | '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => {
            let (x, y) = ((w / 2.0).floor(), (h / 2.0).floor());
            let (left, right) = ("─┐┘┤┬┴┼".contains(c), "─┌└├┬┴┼".contains(c));
            let (up, down) = ("│└┘├┤┴┼".contains(c), "│┌┐├┤┬┼".contains(c));
            let across = ((if left { 0.0 } else { x }, y), (if right { w } else { x + 1.0 }, y + 1.0));
            let along = ((x, if up { 0.0 } else { y }), (x + 1.0, if down { h } else { y + 1.0 }));
            [(left || right, across), (up || down, along)].into_iter().filter(|(is, _)| *is).map(|(_, r)| r).collect()
        }
        _ => return None,
    })
}

/// The name of a control character, which the font lacks.
fn control(c: char) -> Option<&'static str> {
    const NAMES: &str = "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM \
                         SUB ESC FS GS RS US SP DEL";
    let at = (c as u32).checked_sub(0x2400)?;
    NAMES.split(' ').nth(at as usize)
}

/// The dots of a braille character, two across and four down, by its bits.
fn dots(bits: u32) -> Vec<Rect> {
    // Unicode counts the upper six by columns; the lowest row came later.
    const PLACES: [(u8, u8); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
    let (w, h) = (CELL.0 / 2.0, CELL.1 / 4.0);
    let dot = |(column, row): (u8, u8)| {
        let (x, y) = ((f64::from(column) + 0.5) * w, (f64::from(row) + 0.5) * h);
        ((x - DOT / 2.0, y - DOT / 2.0), (x + DOT / 2.0, y + DOT / 2.0))
    };
    PLACES.into_iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, place)| dot(place)).collect()
}

fn paint_cell(pen: &mut Pen, cell: &Cell, at: (f64, f64), how: Letters) {
    let ink = colours(cell, pen.skin).0;
    let first = cell.symbol.chars().next().unwrap_or(' ');
    match shapes(first) {
        Some(shapes) => {
            for (from, to) in shapes {
                pen.rect((at.0 + from.0, at.1 + from.1), (at.0 + to.0, at.1 + to.1), ink);
            }
        }
        None => {
            let cells = cell.symbol.width().max(1) as f64;
            let visible = |c: char| !is_obeyed(c) && !matches!(c, '\u{fffe}' | '\u{ffff}');
            // A character that the bundled font lacks is drawn as its name or number in small print. A viewer has more
            // fonts.
            let is_drawn = cell.symbol.chars().all(|c| has(c) || how == Letters::Named && visible(c));
            let (text, em) = if is_drawn {
                (cell.symbol.clone(), EM)
            } else {
                let text = control(first).map_or_else(|| format!("{:X}", first as u32), str::to_owned);
                let em = (CELL.0 * cells - 1.0) / Face::Mono.width(&text).max(1.0);
                (text, em)
            };
            letters(pen, at, &text, cells, em, cell.bold, ink);
        }
    }
    if cell.underline {
        underline(pen, at, 1.0, ink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The characters outside ASCII in the code below `folder`, comments and tests left out.
    fn literals(folder: &Path, found: &mut Vec<char>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                literals(&path, found);
                continue;
            }
            let code = std::fs::read_to_string(&path).unwrap();
            let code = code.split("#[cfg(test)]").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.extend(lines.flat_map(str::chars).filter(|c| !c.is_ascii()));
        }
    }

    fn is_drawn(c: char) -> bool {
        shapes(c).is_some() || has(c) || control(c).is_some()
    }

    #[test]
    fn every_character_of_the_interface_has_a_drawing() {
        let mut found = Vec::new();
        for room in ["src/ui", "src/state"] {
            literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room), &mut found);
        }
        found.sort_unstable();
        found.dedup();
        assert!(found.len() > 40 && found.contains(&'▀') && found.contains(&'★'), "{found:?}");
        let lacking: Vec<char> = found.into_iter().filter(|c| !is_drawn(*c)).collect();
        assert_eq!(lacking, [' '; 0]);
        assert!(('\u{2800}'..='\u{28ff}').all(|c| shapes(c).is_some()));
        // What controls are shown as comes from arithmetic, not from literals.
        assert!(('\u{2400}'..='\u{2421}').all(is_drawn));
        assert_eq!(['␀', '␛', '␠', '␡', '你'].map(control), [Some("NUL"), Some("ESC"), Some("SP"), Some("DEL"), None]);
        assert!(!is_drawn('你') && !is_drawn('🙂'));
    }

    #[test]
    fn dots_stand_where_their_bits_say() {
        let centre = |(from, to): &Rect| ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        let centres = |c: char| shapes(c).unwrap().iter().map(centre).collect::<Vec<_>>();
        let (left, right) = (CELL.0 / 4.0, CELL.0 * 3.0 / 4.0);
        assert_eq!(centres('⠁'), [(left, 2.25)]);
        assert_eq!(centres('⢠'), [(right, 11.25), (right, 15.75)]);
        assert_eq!(centres('⡀'), [(left, 15.75)]);
        assert_eq!((centres('\u{2800}').len(), centres('⣿').len()), (0, 8));
    }
}
