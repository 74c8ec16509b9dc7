//! Charts of plain data, drawn by plotters: a title, legends, panels, notes.
//!
//! ```text
//! title
//! model · policy · tokens · start of the prompt
//! value 0 ▒▒▓▓██ 1    ▢ chosen    ◥ near-tie
//! ┌panel────┐ ┌panel────┐
//! │         │ │         │
//! └─────────┘ └─────────┘
//! notes
//! ```

pub mod font;
mod grid;
mod legend;
mod lines;
pub mod pen;

pub use grid::{Axis, Cells, Grid, LABEL, Turn, short};
pub use legend::Legend;
pub use lines::{Bars, Lines, Scale, Series};

use anyhow::{Context, Result, bail, ensure};
use font::{ADVANCE, drawable};
use pen::{Align, Letters, Pen, Skin};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};

/// The look of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Pixels per point: 1 for a screen, 2 or more for print.
    pub scale: f64,
    /// Light text on a dark ground.
    pub dark: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { scale: 1.0, dark: false }
    }
}

/// The longest side of a picture, pixels.
const MAX_SIDE: f64 = 12_000.0;
/// The largest picture, pixels.
const MAX_AREA: f64 = 100e6;

const PAD: f64 = 18.0;
const GAP: f64 = 16.0;
const TITLE: f64 = 15.0;
const TEXT: f64 = 11.0;
/// The smallest width, so that narrow charts have room for their titles.
const MIN_WIDTH: f64 = 640.0;
const LINE: f64 = 1.4;

/// One chart.
pub enum Panel {
    Grid(Grid),
    Lines(Lines),
    Bars(Bars),
}

impl Panel {
    fn extent(&self) -> (f64, f64) {
        match self {
            Self::Grid(grid) => grid.extent(),
            Self::Lines(lines) => lines.extent(),
            Self::Bars(bars) => bars.extent(),
        }
    }

    fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, at: (f64, f64)) -> Result<()> {
        match self {
            Self::Grid(grid) => grid.draw(pen, at),
            Self::Lines(lines) => lines.draw(pen, at),
            Self::Bars(bars) => bars.draw(pen, at),
        }
    }
}

/// A page of charts.
pub struct Figure {
    /// What the page shows.
    pub title: String,
    /// The run that it shows.
    pub subtitle: String,
    pub legends: Vec<Legend>,
    pub panels: Vec<Panel>,
    /// Panels next to each other.
    pub across: usize,
    /// Notes for the reader, e.g. how values were pooled.
    pub notes: Vec<String>,
}

/// The place of everything on the page.
struct Layout {
    size: (f64, f64),
    title: Vec<String>,
    subtitle: Vec<String>,
    notes: Vec<String>,
    legends_at: f64,
    legend_spots: Vec<(f64, f64)>,
    panels: Vec<(f64, f64)>,
    notes_at: f64,
}

impl Figure {
    fn layout(&self) -> Layout {
        let extents: Vec<(f64, f64)> = self.panels.iter().map(Panel::extent).collect();
        let across = self.across.max(1);
        let column = |k: usize| extents.iter().skip(k).step_by(across).map(|e| e.0).fold(0.0, f64::max);
        let columns: Vec<f64> = (0..across.min(extents.len().max(1))).map(column).collect();
        let content = columns.iter().sum::<f64>() + GAP * columns.len().saturating_sub(1) as f64;
        let legends = self.legends.iter().map(Legend::width).fold(0.0, f64::max);
        let inner = content.max(MIN_WIDTH).max(legends);
        let wrap = |text: &str, em: f64| wrapped(&drawable(text), (inner / (em * ADVANCE)) as usize);
        let (title, subtitle) = (wrap(&self.title, TITLE), wrap(&self.subtitle, TEXT));
        let notes: Vec<String> = self.notes.iter().flat_map(|note| wrap(note, TEXT)).collect();
        let mut y = PAD + title.len() as f64 * TITLE * LINE + subtitle.len() as f64 * TEXT * LINE + 6.0;
        let legends_at = y;
        let (mut spot, mut legend_spots) = ((0.0, 0.0), Vec::new());
        for legend in &self.legends {
            if spot.0 > 0.0 && spot.0 + legend.width() > inner {
                spot = (0.0, spot.1 + legend::HEIGHT);
            }
            legend_spots.push(spot);
            spot.0 += legend.width() + 2.0 * GAP;
        }
        if !self.legends.is_empty() {
            y += spot.1 + legend::HEIGHT + 8.0;
        }
        let mut panels = Vec::with_capacity(extents.len());
        for row in extents.chunks(across) {
            let mut x = PAD;
            for (k, _) in row.iter().enumerate() {
                panels.push((x, y));
                x += columns[k] + GAP;
            }
            y += row.iter().map(|e| e.1).fold(0.0, f64::max) + GAP;
        }
        let notes_at = y;
        let height = y + notes.len() as f64 * TEXT * LINE + PAD - if notes.is_empty() { GAP } else { 0.0 };
        let size = (inner + 2.0 * PAD, height);
        Layout { size, title, subtitle, notes, legends_at, legend_spots, panels, notes_at }
    }

    fn draw<B: DrawingBackend>(&self, pen: &mut Pen<B>, layout: &Layout) -> Result<()> {
        let skin = pen.skin;
        pen.rect((0.0, 0.0), (layout.size.0 + 1.0, layout.size.1 + 1.0), skin.paper)?;
        let mut y = PAD;
        let lines = |pen: &mut Pen<B>, lines: &[String], em: f64, colour, y: &mut f64| {
            for line in lines {
                pen.text((PAD, *y + em * LINE / 2.0), line, em, Align::Start, colour)?;
                *y += em * LINE;
            }
            anyhow::Ok(())
        };
        lines(pen, &layout.title, TITLE, skin.ink, &mut y)?;
        lines(pen, &layout.subtitle, TEXT, skin.dim, &mut y)?;
        for (legend, spot) in self.legends.iter().zip(&layout.legend_spots) {
            legend.draw(pen, (PAD + spot.0, layout.legends_at + spot.1))?;
        }
        for (panel, at) in self.panels.iter().zip(&layout.panels) {
            panel.draw(pen, *at)?;
        }
        lines(pen, &layout.notes, TEXT, skin.dim, &mut layout.notes_at.clone())
    }

    /// The figure as a PNG file.
    ///
    /// # Errors
    /// If it would be too large.
    pub fn png(&self, look: &Look) -> Result<Vec<u8>> {
        let layout = self.layout();
        let (w, h) = pixel_size(layout.size, look.scale)?;
        bitmap((w, h), |backend| {
            self.draw(&mut Pen::new(backend, look.scale, Letters::Drawn, Skin::new(look.dark)), &layout)
        })
    }

    /// The figure as an SVG file.
    ///
    /// # Errors
    /// If it would be too large.
    pub fn svg(&self, look: &Look) -> Result<Vec<u8>> {
        let layout = self.layout();
        let size = pixel_size(layout.size, look.scale)?;
        vector(size, |backend| {
            self.draw(&mut Pen::new(backend, look.scale, Letters::Named, Skin::new(look.dark)), &layout)
        })
    }
}

/// Converts a size in points to pixels.
///
/// # Errors
/// If the scale is not a positive number or the picture would be too large.
pub fn pixel_size(points: (f64, f64), scale: f64) -> Result<(u32, u32)> {
    ensure!(scale.is_finite() && scale > 0.0, "the scale {scale} is not a number above 0");
    let (w, h) = ((points.0 * scale).ceil(), (points.1 * scale).ceil());
    if w.max(h) > MAX_SIDE || w * h > MAX_AREA {
        let largest = (MAX_SIDE / points.0.max(points.1)).min((MAX_AREA / points.0 / points.1).sqrt());
        let largest = (largest * 100.0).floor() / 100.0;
        bail!("a picture of {w} × {h} pixels is too large; the scale can be at most {largest} for it");
    }
    Ok((w.max(1.0) as u32, h.max(1.0) as u32))
}

/// Draws pixels and encodes them as PNG.
pub fn bitmap((w, h): (u32, u32), draw: impl FnOnce(&mut BitMapBackend) -> Result<()>) -> Result<Vec<u8>> {
    let mut pixels = vec![0; w as usize * h as usize * 3];
    draw(&mut BitMapBackend::with_buffer(&mut pixels, (w, h)))?;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, w, h);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(out)
}

/// Draws shapes and text as SVG.
pub fn vector(size: (u32, u32), draw: impl FnOnce(&mut SVGBackend) -> Result<()>) -> Result<Vec<u8>> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut backend = SVGBackend::with_string(&mut text, size);
    draw(&mut backend)?;
    backend.present().map_err(|error| anyhow::anyhow!("{error}"))?;
    drop(backend);
    // Without this viewers leave hairlines between neighbouring cells.
    let style = "<style>rect{shape-rendering:crispEdges}text{white-space:pre}</style>\n";
    let root = text.find("<svg").and_then(|svg| Some(svg + text[svg..].find(">\n")? + 2));
    text.insert_str(root.context("plotters wrote no SVG")?, style);
    Ok(text.into_bytes())
}

/// Lines of at most `max` characters, broken at spaces where there are some; at most three.
fn wrapped(text: &str, max: usize) -> Vec<String> {
    let max = max.max(8);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let room = |line: &String| line.chars().count() + 1 + word.chars().count() <= max;
        match lines.last_mut() {
            Some(line) if room(line) => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > 3 {
        let rest = lines.split_off(2).join(" ");
        lines.push(rest);
    }
    lines.retain(|line| !line.is_empty());
    lines.iter().map(|line| font::fit(line, max)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_break_at_spaces_and_end_after_three_lines() {
        assert_eq!(wrapped("one two three", 9), ["one two", "three"]);
        let long = wrapped(&"word ".repeat(40), 20);
        assert_eq!(long.len(), 3);
        assert!(long[2].ends_with('…') && long.iter().all(|line| line.chars().count() <= 20), "{long:?}");
        assert_eq!(wrapped(&"x".repeat(50), 20), [format!("{}…", "x".repeat(19))]);
        assert!(wrapped("", 20).is_empty());
    }
}
