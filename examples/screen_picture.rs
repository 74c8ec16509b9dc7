//! Draws the explorer's screen as a PNG: `cargo run --release --example screen_picture -- OUT.png [PROMPT [KEYS [WxH]]]`.
//! The README's picture is made with it.

use anyhow::{Context, Result, anyhow};
use mixscope::app::Still;
use mixscope::model::{Location, open};
use mixscope::trace::Policy;
use mixscope::ui::Depth;
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, RGBColor, TextStyle, register_font};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::path::Path;
use std::sync::Arc;

static FONT: &[u8] = include_bytes!("../assets/fonts/DejaVuSansMono.ttf");

/// Pixels of a character cell, and of the font that fits it.
const CELL: (i32, i32) = (9, 18);
const SIZE: f64 = 15.0;
const PAPER: (u8, u8, u8) = (0x16, 0x18, 0x1d);
const INK: (u8, u8, u8) = (0xd8, 0xd8, 0xd8);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let out = args.next().context("usage: screen_picture OUT.png [PROMPT [KEYS [WxH]]]")?;
    let prompt = args.next().unwrap_or_else(|| "drum apple seven blue owl key | drum apple seven".to_owned());
    let keys = args.next().unwrap_or_default();
    let size = args.next().unwrap_or_else(|| "160x45".to_owned());
    let (width, height) = size.split_once('x').context("the size is WxH, e.g. 160x45")?;

    let loaded = open(&Location::Demo, Policy::Hf, None, false)?;
    let mut still = Still::new(Arc::new(loaded), Some(&prompt));
    still.press(&keys)?;
    let screen = still.screen(width.parse()?, height.parse()?, Depth::True);
    register_font("mono", FontStyle::Normal, FONT).map_err(|_| anyhow!("the bundled font can't be read"))?;
    paint(&screen, Path::new(&out)).map_err(|error| anyhow!("cannot draw {out}: {error}"))
}

fn paint(screen: &Buffer, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let area = screen.area;
    let (w, h) = (u32::from(area.width) * CELL.0 as u32, u32::from(area.height) * CELL.1 as u32);
    let mut picture = BitMapBackend::new(out, (w, h));
    for y in 0..area.height {
        for x in 0..area.width {
            let at = (i32::from(x) * CELL.0, i32::from(y) * CELL.1);
            paint_cell(&mut picture, &screen[(x, y)], at)?;
        }
    }
    picture.present()?;
    Ok(())
}

fn paint_cell(picture: &mut BitMapBackend, cell: &Cell, at: (i32, i32)) -> Result<(), Box<dyn std::error::Error>> {
    let (mut ink, mut paper) = (rgb(cell.fg, INK), rgb(cell.bg, PAPER));
    if cell.modifier.contains(Modifier::REVERSED) {
        (ink, paper) = (paper, ink);
    }
    let fill = |picture: &mut BitMapBackend, from: (i32, i32), to: (i32, i32), (r, g, b)| {
        let corner = |by: (i32, i32)| (at.0 + by.0, at.1 + by.1);
        picture.draw_rect(corner(from), corner(to), &RGBColor(r, g, b), true)
    };
    fill(picture, (0, 0), CELL, paper)?;
    let eighth = |c: char| c as i32 - '▏' as i32;
    match cell.symbol().chars().next().unwrap_or(' ') {
        ' ' => {}
        '▀' => fill(picture, (0, 0), (CELL.0, CELL.1 / 2), ink)?,
        '▄' => fill(picture, (0, CELL.1 / 2), CELL, ink)?,
        '█' => fill(picture, (0, 0), CELL, ink)?,
        c @ ('─' | '│' | '┌' | '┐' | '└' | '┘') => {
            // Lines of frames meet between cells, whatever the font's line height.
            let (x, y) = (CELL.0 / 2, CELL.1 / 2);
            let (left, right) = (matches!(c, '─' | '┐' | '┘'), matches!(c, '─' | '┌' | '└'));
            let (up, down) = (matches!(c, '│' | '└' | '┘'), matches!(c, '│' | '┌' | '┐'));
            fill(picture, (if left { 0 } else { x }, y), (if right { CELL.0 } else { x }, y + 1), ink)?;
            fill(picture, (x, if up { 0 } else { y }), (x + 1, if down { CELL.1 } else { y }), ink)?;
        }
        // Left blocks: seven eighths (▉) to one eighth (▏) count down in Unicode.
        c @ '▉'..='▏' => fill(picture, (0, 0), (CELL.0 * (1 - eighth(c)) / 8, CELL.1), ink)?,
        _ => {
            let color = RGBColor(ink.0, ink.1, ink.2);
            let style = TextStyle::from(("mono", SIZE)).color(&color).pos(Pos::new(HPos::Left, VPos::Top));
            picture.draw_text(cell.symbol(), &style, (at.0, at.1 + 3))?;
            if cell.modifier.contains(Modifier::UNDERLINED) {
                fill(picture, (0, CELL.1 - 2), (CELL.0, CELL.1 - 1), ink)?;
            }
        }
    }
    Ok(())
}

fn rgb(color: Color, otherwise: (u8, u8, u8)) -> (u8, u8, u8) {
    match color {
        Color::Rgb(r, g, b) => (r, g, b),
        _ => otherwise,
    }
}
