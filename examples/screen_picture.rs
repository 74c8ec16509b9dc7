//! Draws the explorer's screen as a picture: `cargo run --release --example screen_picture -- OUT.png [PROMPT [KEYS [WxH]]]`.
//! The name's ending chooses PNG, SVG, or text with ANSI colours (`.ans`). The README's pictures are made with it.

use anyhow::{Context, Result, bail};
use mixscope::app::Still;
use mixscope::export::{Cell, Look, Screen, screen_ansi, screen_png, screen_svg};
use mixscope::model::{Location, open};
use mixscope::trace::Policy;
use mixscope::ui::Depth;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use std::path::Path;
use std::sync::Arc;

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
    let screen = cells(&still.screen(width.parse()?, height.parse()?, Depth::True));
    let look = Look { dark: true, ..Look::default() };
    let bytes = match Path::new(&out).extension().and_then(|ending| ending.to_str()) {
        Some("png") => screen_png(&screen, &look)?,
        Some("svg") => screen_svg(&screen, &look)?,
        Some("ans") => screen_ansi(&screen),
        _ => bail!("{out} ends neither in .png, .svg nor .ans"),
    };
    std::fs::write(&out, bytes).with_context(|| format!("cannot write {out}"))
}

fn cells(buffer: &Buffer) -> Screen {
    let colour = |color| match color {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        _ => None,
    };
    let cell = |cell: &ratatui::buffer::Cell| Cell {
        symbol: cell.symbol().to_owned(),
        fg: colour(cell.fg),
        bg: colour(cell.bg),
        bold: cell.modifier.contains(Modifier::BOLD),
        dim: cell.modifier.contains(Modifier::DIM),
        underline: cell.modifier.contains(Modifier::UNDERLINED),
        reversed: cell.modifier.contains(Modifier::REVERSED),
    };
    let area = buffer.area;
    let all = (0..area.height).flat_map(|y| (0..area.width).map(move |x| (x, y)));
    Screen { width: usize::from(area.width), cells: all.map(|at| cell(&buffer[at])).collect() }
}
