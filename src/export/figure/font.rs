//! The bundled fonts: the characters that they have, their widths and outlines.

use crate::trace::{Piece, byte_name, is_obeyed};
use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};
use std::sync::LazyLock;
use unicode_width::UnicodeWidthChar;

static MONO: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| FontRef::try_from_slice(File::Mono.bytes()).ok());
static SANS: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| FontRef::try_from_slice(File::Sans.bytes()).ok());

/// Advance of every glyph of the monospaced font, in em.
pub const ADVANCE: f64 = 1233.0 / 2048.0;

/// A bundled font file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// DejaVu Sans Mono.
    Mono,
    /// Arimo, a part of it.
    Sans,
}

impl File {
    /// The file, a TrueType font.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Mono => include_bytes!("../../../assets/fonts/DejaVuSansMono.ttf"),
            Self::Sans => include_bytes!("../../../assets/fonts/Arimo-Subset.ttf"),
        }
    }

    /// The font; `None` never in practice, a test reads both.
    pub fn font(self) -> Option<&'static FontRef<'static>> {
        match self {
            Self::Mono => MONO.as_ref(),
            Self::Sans => SANS.as_ref(),
        }
    }

    /// Its name without spaces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mono => "DejaVuSansMono",
            Self::Sans => "Arimo",
        }
    }
}

/// What text is set in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Every character has the same width.
    Mono,
    /// Proportional; a character that its font lacks comes from the monospaced one.
    Sans,
}

/// A character as a glyph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glyph {
    pub file: File,
    pub id: u16,
    /// Em.
    pub advance: f64,
}

impl Face {
    /// The fonts that an SVG names. All are as wide as the bundled font, within a few percent for the monospaced ones.
    pub fn families(self) -> &'static str {
        match self {
            Self::Mono => "DejaVu Sans Mono, Menlo, Consolas, monospace",
            Self::Sans => "Arimo, Liberation Sans, Arial, Helvetica, sans-serif",
        }
    }

    /// Half the height of capitals, in em: from the middle of a line of text down to its baseline.
    pub fn half_cap(self) -> f64 {
        match self {
            Self::Mono => 0.365,
            Self::Sans => 0.344,
        }
    }

    /// The glyph of a character.
    pub fn glyph(self, c: char) -> Glyph {
        let of = |file: File| {
            let font = file.font()?;
            let (id, unit) = (font.glyph_id(c), font.units_per_em()?);
            (id.0 != 0).then(|| Glyph { file, id: id.0, advance: f64::from(font.h_advance_unscaled(id) / unit) })
        };
        let found = match self {
            Self::Mono => of(File::Mono),
            Self::Sans => of(File::Sans).or_else(|| of(File::Mono)),
        };
        found.unwrap_or(Glyph { file: File::Mono, id: 0, advance: ADVANCE })
    }

    /// Width of a text, in em.
    pub fn width(self, text: &str) -> f64 {
        match self {
            Self::Mono => text.chars().count() as f64 * ADVANCE,
            Self::Sans => text.chars().map(|c| self.glyph(c).advance).sum(),
        }
    }

    /// The text cut to a width of `room` em, with `…` at the cut; empty if not even two characters fit.
    pub fn fit(self, text: &str, room: f64) -> String {
        let count = text.chars().count();
        let fits = |shown: &String| self.width(shown) <= room + 1e-9;
        let cuts = (1..=count).rev().map(|max| fit(text, max));
        match cuts.into_iter().find(fits) {
            Some(shown) if count > 1 && shown == "…" => String::new(),
            Some(shown) => shown,
            None => String::new(),
        }
    }
}

/// Whether `c` is drawn as itself: a font has it, it has a width, and no viewer acts on it.
pub fn has(c: char) -> bool {
    let has_glyph = || MONO.as_ref().is_some_and(|font| font.glyph_id(c).0 != 0);
    !is_obeyed(c) && c.width().is_some_and(|width| width > 0) && has_glyph()
}

/// Any text as it can be drawn on one line: white space is visible, and characters that the fonts lack or a viewer
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

/// A point of an outline, pixels.
pub type Point = (f64, f64);

/// Calls `put` with each straight piece of the outline of a text of height `em`, relative to the start of its baseline.
/// Curves are pieces of at most a quarter of a pixel away from the curve.
pub fn outline(face: Face, text: &str, em: f64, mut put: impl FnMut(Point, Point)) {
    let mut x = 0.0;
    for c in text.chars() {
        let glyph = face.glyph(c);
        let font = glyph.file.font();
        let found = font.and_then(|font| Some((font.outline(GlyphId(glyph.id))?, f64::from(font.units_per_em()?))));
        if let Some((outline, unit)) = found {
            let at = |point: ab_glyph::Point| (x + f64::from(point.x) * em / unit, -f64::from(point.y) * em / unit);
            for curve in outline.curves {
                match curve {
                    OutlineCurve::Line(a, b) => put(at(a), at(b)),
                    OutlineCurve::Quad(a, b, c) => bend([at(a), at(b), at(b), at(c)], false, &mut put),
                    OutlineCurve::Cubic(a, b, c, d) => bend([at(a), at(b), at(c), at(d)], true, &mut put),
                }
            }
        }
        x += glyph.advance * em;
    }
}

/// A curve as straight pieces.
fn bend([a, b, c, d]: [Point; 4], is_cubic: bool, put: &mut impl FnMut(Point, Point)) {
    let length = [(a, b), (b, c), (c, d)].map(|(p, q)| (p.0 - q.0).hypot(p.1 - q.1)).iter().sum::<f64>();
    let pieces = (length.sqrt() * 1.5).ceil().clamp(2.0, 24.0);
    let at = |t: f64| {
        let s = 1.0 - t;
        let mix = |a: f64, b: f64, c: f64, d: f64| {
            if is_cubic {
                s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
            } else {
                s * s * a + 2.0 * s * t * b + t * t * d
            }
        };
        (mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1))
    };
    let mut from = a;
    for i in 1..=pieces as usize {
        // The last piece ends exactly where the next curve begins.
        let to = if i == pieces as usize { d } else { at(i as f64 / pieces) };
        put(from, to);
        from = to;
    }
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
        assert_eq!(Face::Mono.fit("abcdef", 4.0 * ADVANCE), "abc…");
        assert_eq!((Face::Sans.fit("abc", 5.0), Face::Sans.fit("abc", 0.4)), ("abc".to_owned(), String::new()));
    }

    #[test]
    fn a_proportional_text_borrows_what_its_font_lacks() {
        assert!([File::Mono, File::Sans].into_iter().all(|file| file.font().is_some()));
        let file = |c| Face::Sans.glyph(c).file;
        assert_eq!(['a', 'é', 'Ж', 'λ', '→', '…'].map(file), [File::Sans; 6]);
        assert_eq!(['↵', '⇥', '∅'].map(file), [File::Mono; 3]);
        assert!(
            Face::Sans.width("ill") < Face::Sans.width("mmm") && Face::Mono.width("ill") == Face::Mono.width("mmm")
        );
        // Whatever can be drawn in one face can be drawn in the other.
        assert!(('\u{20}'..'\u{3000}').filter(|c| has(*c)).all(|c| Face::Sans.glyph(c).id != 0));
    }

    #[test]
    fn outlines_stand_on_the_baseline_with_their_bearings() {
        for face in [Face::Mono, Face::Sans] {
            let mut found = (f64::MAX, f64::MIN, f64::MAX, f64::MIN);
            outline(face, "I", 20.0, |_, (x, y)| {
                found = (found.0.min(x), found.1.max(x), found.2.min(y), found.3.max(y));
            });
            let (left, right, top, bottom) = found;
            assert!(left > 0.5 && right < 20.0 * face.width("I") - 0.5, "{left} {right}");
            assert!(bottom.abs() < 0.01 && (-top / 20.0 - 2.0 * face.half_cap()).abs() < 0.005, "{top} {bottom}");
        }
    }
}
