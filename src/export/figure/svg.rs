//! A page as an SVG file, complete in itself. Text stays text: the viewer sets it in one of its own fonts.

use super::about::{About, escape};
use super::page::Page;
use super::pen::{Mark, Rgb, Text};
use anyhow::Result;
use std::fmt::Write;

/// Writes a page as an SVG file.
///
/// # Errors
/// If a surface of many cells can't be encoded, which never happens in practice.
pub fn svg(page: &Page) -> Result<Vec<u8>> {
    let (w, h) = page.size.points;
    let (width, height) = match page.size.dpi {
        Some(_) => {
            let (w, h) = page.size.cm();
            (format!("{}cm", number(w)), format!("{}cm", number(h)))
        }
        None => {
            let (w, h) = page.size.pixels()?;
            (w.to_string(), h.to_string())
        }
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {} {}\">\n",
        number(w),
        number(h)
    );
    about(&mut out, &page.about);
    // Without this viewers leave hairlines between neighbouring cells.
    out.push_str("<style>rect{shape-rendering:crispEdges}text{white-space:pre}</style>\n");
    let _ = writeln!(out, "<g font-family=\"{}\">", page.face.families());
    for mark in &page.marks {
        draw(&mut out, mark)?;
    }
    out.push_str("</g>\n</svg>\n");
    Ok(out.into_bytes())
}

fn about(out: &mut String, about: &About) {
    // A <title> would pop up wherever the pointer rests, so that there is none.
    if !about.caption.is_empty() {
        let _ = writeln!(out, "<desc>{}</desc>", escape(&about.caption));
    }
    let _ = writeln!(out, "<metadata>\n{}</metadata>", about.rdf());
}

fn draw(out: &mut String, mark: &Mark) -> Result<()> {
    // Writing to a String can't fail.
    let _ = match mark {
        Mark::Rect { from, to, colour, .. } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
            number(from.0),
            number(from.1),
            number(to.0 - from.0),
            number(to.1 - from.1),
            hex(*colour)
        ),
        Mark::Polygon { corners, colour } => {
            writeln!(out, "<polygon points=\"{}\" fill=\"{}\"/>", points(corners), hex(*colour))
        }
        Mark::Path { points: through, width, colour } => writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linecap=\"round\" \
             stroke-linejoin=\"round\"/>",
            points(through),
            hex(*colour),
            number(*width)
        ),
        Mark::Disc { centre, radius, colour } => writeln!(
            out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>",
            number(centre.0),
            number(centre.1),
            number(*radius),
            hex(*colour)
        ),
        Mark::Text(text) => letters(out, text),
        Mark::Pixels { from, to, columns, cells } => {
            let bytes = base64(&image(*columns, cells)?);
            writeln!(
                out,
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
                 style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{bytes}\"/>",
                number(from.0),
                number(from.1),
                number(to.0 - from.0),
                number(to.1 - from.1),
            )
        }
    };
    Ok(())
}

fn letters(out: &mut String, text: &Text) -> std::fmt::Result {
    let (x, y) = (number(text.at.0), number(text.at.1));
    let turn = if text.upward { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
    writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\"{turn}>{}</text>",
        number(text.em),
        hex(text.colour),
        escape(&text.text)
    )
}

/// A number with at most three digits after the point.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

fn points(through: &[(f64, f64)]) -> String {
    through.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect::<Vec<_>>().join(" ")
}

fn hex((r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// A PNG of one pixel per cell.
fn image(columns: usize, cells: &[Rgb]) -> Result<Vec<u8>> {
    let rows = cells.len() / columns;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&cells.iter().flat_map(|(r, g, b)| [*r, *g, *b]).collect::<Vec<u8>>())?;
    writer.finish()?;
    Ok(out)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let of = |i: usize| chunk.get(i).map_or(0, |byte| u32::from(*byte));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let known = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        assert!(known.iter().all(|(text, want)| base64(text.as_bytes()) == *want));
        assert_eq!(["8.5", "0", "0.333"].map(str::to_owned), [8.5, -0.0001, 1.0 / 3.0].map(number));
    }
}
