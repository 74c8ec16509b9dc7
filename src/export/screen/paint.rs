use super::{Cell, Screen};
use crate::export::figure::font::{ADVANCE, has, width};
use crate::export::figure::pen::{Align, Letters, Pen, Rgb, Skin};
use crate::export::figure::{Look, bitmap, pixel_size, vector};
use crate::trace::is_obeyed;
use anyhow::Result;
use plotters::backend::DrawingBackend;
use unicode_width::UnicodeWidthStr;

/// Size of a cell, and of the text whose glyphs are as wide, points.
const CELL: (f64, f64) = (9.0, 18.0);
const EM: f64 = CELL.0 / ADVANCE;
/// Room around the screen.
const PAD: f64 = 8.0;

/// The screen as a PNG file, in the bundled font; `look.dark` chooses the colours of cells that have none of their own.
///
/// # Errors
/// If it would be too large.
pub fn screen_png(screen: &Screen, look: &Look) -> Result<Vec<u8>> {
    let size = pixel_size(extent(screen), look.scale)?;
    bitmap(size, |backend| paint(screen, &mut Pen::new(backend, look.scale, Letters::Drawn, Skin::new(look.dark))))
}

/// The screen as an SVG file.
///
/// # Errors
/// If it would be too large.
pub fn screen_svg(screen: &Screen, look: &Look) -> Result<Vec<u8>> {
    let size = pixel_size(extent(screen), look.scale)?;
    vector(size, |backend| paint(screen, &mut Pen::new(backend, look.scale, Letters::Named, Skin::new(look.dark))))
}

fn extent(screen: &Screen) -> (f64, f64) {
    (screen.width as f64 * CELL.0 + 2.0 * PAD, screen.height() as f64 * CELL.1 + 2.0 * PAD)
}

fn paint<B: DrawingBackend>(screen: &Screen, pen: &mut Pen<B>) -> Result<()> {
    let (w, h) = extent(screen);
    pen.rect((0.0, 0.0), (w + 1.0, h + 1.0), pen.skin.paper)?;
    for (y, row) in screen.rows().enumerate() {
        let y = PAD + y as f64 * CELL.1;
        let mut start = 0;
        while start < row.len() {
            // Neighbours on one ground are one rectangle.
            let paper = colours(&row[start], pen.skin).1;
            let run = row[start..].iter().take_while(|cell| colours(cell, pen.skin).1 == paper).count();
            if paper != pen.skin.paper {
                let x = |col: usize| PAD + col as f64 * CELL.0;
                pen.rect((x(start), y), (x(start + run), y + CELL.1), paper)?;
            }
            start += run;
        }
        let mut start = 0;
        while start < row.len() {
            let at = (PAD + start as f64 * CELL.0, y);
            // A viewer of an SVG gets words whole; pixels are placed cell by cell.
            let alike = |cell: &&Cell| is_plain(cell) && same_text(cell, &row[start]);
            let run = if pen.names() { row[start..].iter().take_while(alike).count() } else { 0 };
            if run > 1 {
                let word: String = row[start..start + run].iter().map(|cell| cell.symbol.as_str()).collect();
                let ink = colours(&row[start], pen.skin).0;
                letters(pen, at, &word, run as f64, EM, row[start].bold, ink)?;
                if row[start].underline {
                    underline(pen, at, run as f64, ink)?;
                }
            } else {
                paint_cell(pen, &row[start], at)?;
            }
            start += run.max(1);
        }
    }
    Ok(())
}

/// Whether a cell shows one glyph of the font that is a letter, digit or sign.
fn is_plain(cell: &Cell) -> bool {
    let mut chars = cell.symbol.chars();
    matches!((chars.next(), chars.next()), (Some(c), None) if c != ' ' && !('\u{2500}'..='\u{259f}').contains(&c) && has(c))
}

fn same_text(a: &Cell, b: &Cell) -> bool {
    (a.fg, a.bg, a.bold, a.dim, a.underline, a.reversed) == (b.fg, b.bg, b.bold, b.dim, b.underline, b.reversed)
}

fn letters<B: DrawingBackend>(
    pen: &mut Pen<B>,
    at: (f64, f64),
    text: &str,
    cells: f64,
    em: f64,
    bold: bool,
    ink: Rgb,
) -> Result<()> {
    let middle = (at.0 + CELL.0 * cells / 2.0, at.1 + CELL.1 / 2.0 + 0.5);
    pen.text(middle, text, em, Align::Middle, ink)?;
    if bold {
        pen.text((middle.0 + 0.6, middle.1), text, em, Align::Middle, ink)?;
    }
    Ok(())
}

fn underline<B: DrawingBackend>(pen: &mut Pen<B>, at: (f64, f64), cells: f64, ink: Rgb) -> Result<()> {
    let y = at.1 + CELL.1;
    pen.rect((at.0, y - 2.0), (at.0 + CELL.0 * cells, y - 1.0), ink)
}

/// Colour of the text and of the ground of a cell.
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

fn paint_cell<B: DrawingBackend>(pen: &mut Pen<B>, cell: &Cell, at: (f64, f64)) -> Result<()> {
    let ink = colours(cell, pen.skin).0;
    let mut fill =
        |from: (f64, f64), to: (f64, f64)| pen.rect((at.0 + from.0, at.1 + from.1), (at.0 + to.0, at.1 + to.1), ink);
    let eighth = |c: char, first: char| f64::from(c as u32 - first as u32 + 1) / 8.0;
    let (w, h) = CELL;
    match cell.symbol.chars().next().unwrap_or(' ') {
        ' ' => {}
        '▀' => fill((0.0, 0.0), (w, h / 2.0))?,
        '▄' => fill((0.0, h / 2.0), CELL)?,
        c @ '▁'..='█' => fill((0.0, h * (1.0 - eighth(c, '▁'))), CELL)?,
        // Left blocks: seven eighths (▉) to one eighth (▏) count down in Unicode.
        c @ '▉'..='▏' => fill((0.0, 0.0), (w * (1.0 - eighth(c, '▉')), h))?,
        c @ ('─' | '│' | '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼') => {
            // Lines of frames meet between cells, whatever the font's line height.
            let (x, y) = ((w / 2.0).floor(), (h / 2.0).floor());
            let (left, right) = ("─┐┘┤┬┴┼".contains(c), "─┌└├┬┴┼".contains(c));
            let (up, down) = ("│└┘├┤┴┼".contains(c), "│┌┐├┤┬┼".contains(c));
            if left || right {
                fill((if left { 0.0 } else { x }, y), (if right { w } else { x + 1.0 }, y + 1.0))?;
            }
            if up || down {
                fill((x, if up { 0.0 } else { y }), (x + 1.0, if down { h } else { y + 1.0 }))?;
            }
        }
        _ => {
            let cells = cell.symbol.width().max(1) as f64;
            let visible = |c: char| !is_obeyed(c) && !matches!(c, '\u{fffe}' | '\u{ffff}');
            // What the bundled font lacks keeps its place as a number in small print; a viewer has more fonts.
            let is_drawn = cell.symbol.chars().all(|c| has(c) || pen.names() && visible(c));
            let (text, em) = if is_drawn {
                (cell.symbol.clone(), EM)
            } else {
                let text = cell.symbol.chars().next().map(|c| format!("{:X}", c as u32)).unwrap_or_default();
                let em = (CELL.0 * cells - 1.0) / width(&text).max(1.0);
                (text, em)
            };
            letters(pen, at, &text, cells, em, cell.bold, ink)?;
        }
    }
    if cell.underline {
        underline(pen, at, 1.0, ink)?;
    }
    Ok(())
}
