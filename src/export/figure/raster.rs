//! A page as pixels, in a PNG file.

use super::font::outline;
use super::page::Page;
use super::pen::{At, Mark, Rgb, Text};
use ab_glyph_rasterizer::{Rasterizer, point};
use anyhow::Result;

/// Half the width of the square that a shape may be drawn in beyond its own points, pixels.
const MARGIN: f64 = 1.0;

/// Writes a page as a PNG file.
///
/// # Errors
/// If it is too large.
pub fn png(page: &Page) -> Result<Vec<u8>> {
    let (w, h) = page.size.pixels()?;
    let mut canvas = Canvas {
        width: w as usize,
        height: h as usize,
        scale: page.size.scale,
        pixels: vec![0; w as usize * h as usize * 3],
    };
    page.marks.iter().for_each(|mark| canvas.draw(page, mark));
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, w, h);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    if let Some(dpi) = page.size.dpi {
        let per_metre = (f64::from(dpi) / 0.0254).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
    }
    for (name, text) in page.about.pairs() {
        // tEXt holds Latin-1 only, and what reads it often reads only ASCII.
        if text.is_ascii() {
            encoder.add_text_chunk(name.to_owned(), text)?;
        } else {
            encoder.add_itxt_chunk(name.to_owned(), text)?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.pixels)?;
    writer.finish()?;
    Ok(out)
}

struct Canvas {
    width: usize,
    height: usize,
    scale: f64,
    pixels: Vec<u8>,
}

impl Canvas {
    fn draw(&mut self, page: &Page, mark: &Mark) {
        let s = self.scale;
        let px = |(x, y): At| (x * s, y * s);
        match mark {
            Mark::Rect { from, to, colour, .. } => {
                // Edges are on whole pixels, so that neighbours share them at any scale. Nothing is too thin to be seen.
                let (from, to) = (px(*from), px(*to));
                let ends =
                    |a: f64, b: f64| (a.round(), if b.round() > a.round() { b.round() } else { a.round() + 1.0 });
                let ((left, right), (top, bottom)) = (ends(from.0, to.0), ends(from.1, to.1));
                self.fill((left, top), (right, bottom), *colour);
            }
            Mark::Pixels { from, to, columns, cells } => {
                let rows = cells.len() / columns;
                let (from, to) = (px(*from), px(*to));
                let edge = |a: f64, b: f64, i: usize, n: usize| (a + (b - a) * i as f64 / n as f64).round();
                for (i, colour) in cells.iter().enumerate() {
                    let (row, col) = (i / columns, i % columns);
                    let x = |col| edge(from.0, to.0, col, *columns);
                    let y = |row| edge(from.1, to.1, row, rows);
                    self.fill((x(col), y(row)), (x(col + 1), y(row + 1)), *colour);
                }
            }
            Mark::Polygon { corners, colour } => {
                let corners: Vec<At> = corners.iter().map(|corner| px(*corner)).collect();
                self.shape(&ring(&corners), *colour);
            }
            Mark::Disc { centre, radius, colour } => self.shape(&circle(px(*centre), radius * s), *colour),
            Mark::Path { points, width, colour } => {
                let points: Vec<At> = points.iter().map(|point| px(*point)).collect();
                self.stroke(&points, width * s, *colour);
            }
            Mark::Text(text) => self.text(page, text),
        }
    }

    fn fill(&mut self, from: At, to: At, colour: Rgb) {
        let clip = |at: f64, max: usize| at.clamp(0.0, max as f64) as usize;
        let (left, right) = (clip(from.0, self.width), clip(to.0, self.width));
        for y in clip(from.1, self.height)..clip(to.1, self.height) {
            let row = &mut self.pixels[(y * self.width + left) * 3..(y * self.width + right) * 3];
            row.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [colour.0, colour.1, colour.2]);
        }
    }

    fn blend(&mut self, x: i64, y: i64, cover: f32, colour: Rgb) {
        if x < 0 || y < 0 || x >= self.width as i64 || y >= self.height as i64 || cover <= 0.0 {
            return;
        }
        let at = (y as usize * self.width + x as usize) * 3;
        for (pixel, ink) in self.pixels[at..at + 3].iter_mut().zip([colour.0, colour.1, colour.2]) {
            let mixed = f32::from(*pixel) + (f32::from(ink) - f32::from(*pixel)) * cover.min(1.0);
            *pixel = mixed.round() as u8;
        }
    }

    fn shape(&mut self, lines: &[(At, At)], colour: Rgb) {
        let Some((corner, coverage)) = cover(lines) else { return };
        coverage.for_each_pixel_2d(|x, y, cover| {
            self.blend(corner.0 + i64::from(x), corner.1 + i64::from(y), cover, colour);
        });
    }

    /// A line of round pen strokes. Where strokes overlap, the ink is not laid on twice.
    fn stroke(&mut self, points: &[At], width: f64, colour: Rgb) {
        let half = width.max(1.0) / 2.0;
        let mut parts: Vec<Vec<(At, At)>> = points.iter().map(|at| circle(*at, half)).collect();
        for pair in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let length = (x1 - x0).hypot(y1 - y0);
            if length > 0.0 {
                let (dx, dy) = ((y1 - y0) / length * half, (x0 - x1) / length * half);
                parts.push(ring(&[(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)]));
            }
        }
        let mut inked = std::collections::BTreeMap::<(i64, i64), f32>::new();
        for part in &parts {
            let Some((corner, coverage)) = cover(part) else { continue };
            coverage.for_each_pixel_2d(|x, y, cover| {
                if cover > 0.0 {
                    let at = inked.entry((corner.1 + i64::from(y), corner.0 + i64::from(x))).or_default();
                    *at = at.max(cover);
                }
            });
        }
        inked.into_iter().for_each(|((y, x), cover)| self.blend(x, y, cover, colour));
    }

    fn text(&mut self, page: &Page, text: &Text) {
        // Baselines are on whole pixels: letters of one line are alike.
        let (x, y) = ((text.at.0 * self.scale).round(), (text.at.1 * self.scale).round());
        let mut lines = Vec::new();
        let turn = |(along, below): At| if text.upward { (x + below, y - along) } else { (x + along, y + below) };
        outline(page.face, &text.text, text.em * self.scale, |a, b| lines.push((turn(a), turn(b))));
        self.shape(&lines, text.colour);
    }
}

/// The edges of a polygon.
fn ring(corners: &[At]) -> Vec<(At, At)> {
    (0..corners.len()).map(|i| (corners[i], corners[(i + 1) % corners.len()])).collect()
}

fn circle((x, y): At, radius: f64) -> Vec<(At, At)> {
    let count = (radius.max(1.0) * 6.0).min(96.0) as usize + 6;
    let corner = |i: usize| {
        let angle = std::f64::consts::TAU * i as f64 / count as f64;
        (x + radius * angle.cos(), y + radius * angle.sin())
    };
    ring(&(0..count).map(corner).collect::<Vec<_>>())
}

/// How much of each pixel a shape covers, and where the corner of these pixels is; `None` for an empty shape.
fn cover(lines: &[(At, At)]) -> Option<((i64, i64), Rasterizer)> {
    let ends = || lines.iter().flat_map(|(a, b)| [*a, *b]);
    let least = ends().fold((f64::MAX, f64::MAX), |m, at| (m.0.min(at.0), m.1.min(at.1)));
    let most = ends().fold((f64::MIN, f64::MIN), |m, at| (m.0.max(at.0), m.1.max(at.1)));
    if lines.is_empty() || !(most.0 - least.0).is_finite() || !(most.1 - least.1).is_finite() {
        return None;
    }
    let corner = ((least.0 - MARGIN).floor(), (least.1 - MARGIN).floor());
    let size = |least: f64, most: f64| (most - least + MARGIN).ceil() as usize + 1;
    let mut found = Rasterizer::new(size(corner.0, most.0), size(corner.1, most.1));
    let at = |(x, y): At| point((x - corner.0) as f32, (y - corner.1) as f32);
    lines.iter().for_each(|(a, b)| found.draw_line(at(*a), at(*b)));
    Some(((corner.0 as i64, corner.1 as i64), found))
}
