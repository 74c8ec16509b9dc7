//! The bundled font: the characters that it has, their widths and pixels.

use crate::trace::{Piece, byte_name, is_obeyed};
use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use anyhow::{Context, Result};
use std::sync::LazyLock;
use unicode_width::UnicodeWidthChar;

static FONT: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(include_bytes!("../../../assets/fonts/DejaVuSansMono.ttf")).ok());

/// The fonts that an SVG names. All are as wide as the bundled font within a few percent.
pub const FAMILY: &str = "DejaVu Sans Mono, Menlo, Consolas, monospace";

/// Advance of every glyph, in em.
pub const ADVANCE: f64 = 1233.0 / 2048.0;
/// Half the height of capitals, in em: from the middle of a line of text down to its baseline.
pub const HALF_CAP: f64 = 0.365;

fn font() -> Result<&'static FontRef<'static>> {
    FONT.as_ref().context("the bundled font can't be read")
}

/// Width of a text, in em.
pub fn width(text: &str) -> f64 {
    text.chars().count() as f64 * ADVANCE
}

/// Whether `c` is drawn as itself: the font has it, it has a width, and no viewer acts on it.
pub fn has(c: char) -> bool {
    let has_glyph = || FONT.as_ref().is_some_and(|font| font.glyph_id(c).0 != 0);
    !is_obeyed(c) && c.width().is_some_and(|width| width > 0) && has_glyph()
}

/// Any text as it can be drawn on one line: white space is visible, and characters that the font lacks or a viewer
/// would act on are escaped as `\u{1F642}`.
pub fn drawable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push('↵'),
            '\t' => out.push('⇥'),
            c if has(c) => out.push(c),
            c => out.push_str(&format!("\\u{{{:X}}}", c as u32)),
        }
    }
    out
}

/// A token's spelling as it can be drawn: as [`drawable`], with `·` for the tokenizer's space, and bytes by name.
pub fn label(piece: &Piece) -> String {
    let bytes = piece.bytes().or_else(|| byte_name(piece).map(|byte| vec![byte]));
    let text = match bytes.as_deref() {
        Some(b"\n") => return "↵".to_owned(),
        Some(b"\t") => return "⇥".to_owned(),
        Some([byte]) if byte_name(piece).is_some() => return format!("‹{byte:02X}›"),
        Some(_) => piece.text().replace(' ', "·"),
        None => piece.replace('▁', "·"),
    };
    match drawable(&text) {
        empty if empty.is_empty() => "∅".to_owned(),
        shown => shown,
    }
}

/// `text` cut to `max` characters, with `…` at the cut. An escape is never cut in two.
pub fn fit(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(max.saturating_sub(1)).collect();
    if let Some(at) = kept.rfind('\\')
        && text[at..].starts_with("\\u{")
        && !kept[at..].contains('}')
    {
        kept.truncate(at);
    }
    kept + "…"
}

/// Draws a text of height `em` pixels: calls `put` with each pixel relative to the start of the baseline, and its
/// coverage, 0 to 1.
///
/// # Errors
/// If the font can't be read, or as `put`.
pub fn draw(text: &str, em: f64, mut put: impl FnMut(i32, i32, f32) -> Result<()>) -> Result<()> {
    let font = font()?;
    let unit = font.units_per_em().context("the bundled font has no em")?;
    let scale = PxScale::from((em * f64::from(font.height_unscaled()) / f64::from(unit)) as f32);
    let scaled = font.as_scaled(scale);
    let mut x = 0.0;
    for c in text.chars() {
        let id = font.glyph_id(c);
        if let Some(outline) = font.outline_glyph(id.with_scale_and_position(scale, point(x, 0.0))) {
            let corner = outline.px_bounds().min;
            let mut done = Ok(());
            outline.draw(|dx, dy, cover| {
                if done.is_ok() && cover > 0.0 {
                    done = put(corner.x as i32 + dx as i32, corner.y as i32 + dy as i32, cover.min(1.0));
                }
            });
            done?;
        }
        x += scaled.h_advance(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_font_lacks_is_escaped() {
        assert_eq!(label(&"▁naïve".into()), "·naïve");
        assert_eq!(label(&"Ελλ Жук →".into()), "Ελλ Жук →");
        assert_eq!(label(&"🙂".into()), "\\u{1F642}");
        assert_eq!(label(&"你".into()), "\\u{4F60}");
        assert_eq!(label(&"\u{202e}x\x1b".into()), "\\u{202E}x\\u{1B}");
        assert_eq!(label(&"e\u{301}".into()), "e\\u{301}");
        assert_eq!(
            (label(&"<0x0A>".into()), label(&"<0xE4>".into()), label(&"".into())),
            ("↵".into(), "‹E4›".into(), "∅".into())
        );
    }

    #[test]
    fn cutting_never_leaves_half_an_escape() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("ab\\u{1F642}", 6), "ab…");
        assert_eq!(fit("\\u{1F642}\\u{1F642}", 12), "\\u{1F642}…");
        assert_eq!((fit("abc", 3), fit("a\\bcdef", 5)), ("abc".to_owned(), "a\\bc…".to_owned()));
    }

    #[test]
    fn glyphs_stand_on_the_baseline_with_their_bearings() {
        let bounds = |text: &str| {
            let mut found = (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
            draw(text, 20.0, |x, y, _| {
                found = (found.0.min(x), found.1.max(x), found.2.min(y), found.3.max(y));
                Ok(())
            })
            .unwrap();
            found
        };
        let (left, right, top, bottom) = bounds("I");
        assert!(left >= 1 && right <= 11, "{left} {right}");
        assert!((-16..=-13).contains(&top) && (-1..=0).contains(&bottom), "{top} {bottom}");
        let cap = -f64::from(top) / 20.0;
        assert!((cap - 2.0 * HALF_CAP).abs() < 0.06, "{cap}");
    }
}
