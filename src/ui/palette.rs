//! Colours: a ramp for values, categories for experts, for every colour depth a terminal may have.

use super::look::{Look, Shade, Shades};
use crate::trace::palette::{Rgb, ink};
use ratatui::style::{Color, Modifier, Style};

/// How many colours a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 24-bit.
    True,
    /// The 256-colour table.
    Indexed,
    /// The 16 colours of the terminal's own theme.
    Ansi,
    /// None: brackets, digits and glyph ramps carry everything.
    Mono,
}

/// Steps of the value ramp.
const STEPS: usize = 64;

const EXPERTS_ANSI: [Color; 8] = [
    Color::Yellow,
    Color::Cyan,
    Color::Green,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightRed,
    Color::LightMagenta,
    Color::Gray,
];

/// What a value looks like without colour.
const RAMP: [&str; 5] = [" ", "░", "▒", "▓", "█"];

/// The styles of one theme at one colour depth.
pub struct Theme {
    depth: Depth,
    /// Paper and ink of every step.
    ramp: Vec<(Color, Color)>,
    /// Paper and ink of every expert.
    experts: Vec<(Color, Color)>,
    shades: &'static Shades,
}

impl Theme {
    /// The default theme.
    pub fn new(depth: Depth) -> Self {
        Self::with(depth, &Look::default())
    }

    /// Builds the tables of a theme once.
    pub fn with(depth: Depth, look: &Look) -> Self {
        let depth = look.depth(depth);
        let colour = |rgb| Self::colour(depth, rgb);
        let readable = |rgb| {
            // The table of 256 has only near colours: the ink has to fit what is seen.
            let seen = if depth == Depth::Indexed { table_rgb(indexed(rgb)) } else { rgb };
            (colour(rgb), colour(ink(seen)))
        };
        let step = |i: usize| readable(look.values.colour(i as f32 / (STEPS - 1) as f32));
        let experts = match depth {
            Depth::Ansi => EXPERTS_ANSI.map(|colour| (colour, Color::Black)).to_vec(),
            Depth::Mono => Vec::new(),
            _ => look.experts.iter().map(|rgb| readable(*rgb)).collect(),
        };
        Self { depth, ramp: (0..STEPS).map(step).collect(), experts, shades: look.shades() }
    }

    fn colour(depth: Depth, rgb: Rgb) -> Color {
        if depth == Depth::True { Color::Rgb(rgb.0, rgb.1, rgb.2) } else { Color::Indexed(indexed(rgb)) }
    }

    /// Whether values can be shown as background colours.
    pub fn has_ramp(&self) -> bool {
        matches!(self.depth, Depth::True | Depth::Indexed)
    }

    fn step(&self, value: f32) -> (Color, Color) {
        let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
        self.ramp[(value * (STEPS - 1) as f32).round() as usize]
    }

    /// Text on a background that shows a value of 0..1; plain text where there is no ramp.
    pub fn heat(&self, value: f32) -> Style {
        if !self.has_ramp() {
            return Style::new();
        }
        let (paper, ink) = self.step(value);
        Style::new().bg(paper).fg(ink)
    }

    /// Text that shows a value of 0..1: a background, or emphasis in four steps where there is no ramp.
    pub fn emphasis(&self, value: f32) -> Style {
        if self.has_ramp() {
            return self.heat(value);
        }
        match value {
            v if v >= 0.6 => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            v if v >= 0.3 => Style::new().add_modifier(Modifier::BOLD),
            v if v >= 0.1 => Style::new(),
            _ => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// The colour of a value, for half-block pixels.
    pub fn pixel(&self, value: f32) -> Color {
        self.step(value).0
    }

    /// A value as a glyph.
    pub fn glyph(&self, value: f32) -> &'static str {
        let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
        // Anything above zero is visible.
        let step = (value * (RAMP.len() - 1) as f32).round() as usize;
        RAMP[if value > 0.02 { step.max(1) } else { step }]
    }

    /// Paper and ink of an expert; `None` without colours.
    fn expert_colours(&self, expert: usize) -> Option<(Color, Color)> {
        self.experts.get(expert % self.experts.len().max(1)).copied()
    }

    /// The colour of an expert; `None` without colours.
    pub fn expert_colour(&self, expert: usize) -> Option<Color> {
        self.expert_colours(expert).map(|(paper, _)| paper)
    }

    /// Text in an expert's colours.
    pub fn expert(&self, expert: usize) -> Style {
        self.expert_colours(expert).map_or(Style::new(), |(paper, ink)| Style::new().bg(paper).fg(ink))
    }

    fn coloured(&self, shade: Shade) -> Style {
        match self.depth {
            Depth::Mono => Style::new(),
            Depth::Ansi if shade.ansi == Color::Reset => Style::new(),
            Depth::Ansi => Style::new().fg(shade.ansi),
            depth => Style::new().fg(Self::colour(depth, shade.rgb)),
        }
    }

    /// Frames and what matters less.
    pub fn dim(&self) -> Style {
        match self.depth {
            Depth::Mono => Style::new().add_modifier(Modifier::DIM),
            _ => self.coloured(self.shades.dim),
        }
    }

    /// Titles and what is chosen.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Names of things that can be reached by key.
    pub fn accent(&self) -> Style {
        self.coloured(self.shades.accent).add_modifier(Modifier::BOLD)
    }

    /// The cursor.
    pub fn cursor(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What a search has found.
    pub fn found(&self) -> Style {
        let marked = Modifier::UNDERLINED | Modifier::REVERSED;
        if self.depth == Depth::Mono { Style::new().add_modifier(marked) } else { self.warn().add_modifier(marked) }
    }

    /// Near-ties and warnings.
    pub fn warn(&self) -> Style {
        self.coloured(self.shades.warn).add_modifier(Modifier::BOLD)
    }

    /// What has a sign, for blue against for orange; the sign itself is written or shown by the side.
    pub fn signed(&self, value: f64) -> Style {
        self.coloured(if value < 0.0 { self.shades.against } else { self.shades.favour })
    }

    /// Failures.
    pub fn error(&self) -> Style {
        self.coloured(self.shades.error).add_modifier(Modifier::BOLD)
    }

    /// What was found to be right.
    pub fn good(&self) -> Style {
        self.coloured(self.shades.good)
    }
}

/// Levels of the 6×6×6 cube of the 256-colour table.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest colour of the cube or the grey ramp of the 256-colour table.
fn indexed((r, g, b): Rgb) -> u8 {
    let near = |v: u8| (0..6u8).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(v)).unwrap_or(0);
    let distance = |(r2, g2, b2): Rgb| {
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(r, r2) + square(g, g2) + square(b, b2)
    };
    let cube = 16 + 36 * near(r) + 6 * near(g) + near(b);
    let mean = (i32::from(r) + i32::from(g) + i32::from(b)) / 3;
    let grey = 232 + ((mean - 8 + 5) / 10).clamp(0, 23) as u8;
    if distance(table_rgb(grey)) < distance(table_rgb(cube)) { grey } else { cube }
}

/// What an index of the 256-colour table looks like; the first 16 are the terminal's own.
fn table_rgb(index: u8) -> Rgb {
    if index >= 232 {
        let level = 8 + 10 * (index - 232);
        return (level, level, level);
    }
    let cube = usize::from(index.saturating_sub(16));
    (LEVELS[cube / 36], LEVELS[cube / 6 % 6], LEVELS[cube % 6])
}

#[cfg(test)]
mod tests {
    use super::super::look::ThemeName;
    use super::*;
    use crate::trace::palette::contrast;

    #[test]
    fn the_ramp_spans_viridis_and_ink_contrasts() {
        let theme = Theme::new(Depth::True);
        assert_eq!(theme.pixel(0.0), Color::Rgb(0x44, 0x01, 0x54));
        assert_eq!(theme.pixel(1.0), Color::Rgb(0xfd, 0xe7, 0x25));
        assert_eq!(theme.heat(1.0).fg, Some(Color::Rgb(0, 0, 0)));
        assert_eq!(theme.heat(f32::NAN), theme.heat(0.0));
        assert_eq!(indexed((255, 255, 255)), 231);
        assert_eq!(indexed((0x8a, 0x8a, 0x8a)), 245);
        for index in 16..=255 {
            assert_eq!(table_rgb(indexed(table_rgb(index))), table_rgb(index), "{index}");
        }
    }

    #[test]
    fn without_colour_nothing_is_coloured() {
        let theme = Theme::new(Depth::Mono);
        for style in [theme.heat(0.5), theme.expert(3), theme.dim(), theme.warn(), theme.error(), theme.good()] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
        assert_eq!([0.0, 0.03, 0.5, 1.0].map(|v| theme.glyph(v)), [" ", "░", "▒", "█"]);
    }

    /// What a colour looks like; the terminal's own 16 as xterm draws them.
    fn seen(colour: Color) -> Rgb {
        match colour {
            Color::Rgb(r, g, b) => (r, g, b),
            Color::Indexed(index) => table_rgb(index),
            Color::Black => (0, 0, 0),
            Color::Red => (0xcd, 0, 0),
            Color::LightRed => (0xff, 0, 0),
            Color::Green => (0, 0xcd, 0),
            Color::Yellow => (0xcd, 0xcd, 0),
            Color::LightYellow => (0xff, 0xff, 0),
            Color::Blue => (0, 0, 0xee),
            Color::Magenta => (0xcd, 0, 0xcd),
            Color::Cyan => (0, 0xcd, 0xcd),
            Color::LightCyan => (0, 0xff, 0xff),
            Color::DarkGray => (0x7f, 0x7f, 0x7f),
            other => panic!("{other} is not used for text"),
        }
    }

    fn texts(theme: &Theme) -> [(&'static str, Style); 7] {
        [
            ("dim", theme.dim()),
            ("accent", theme.accent()),
            ("warn", theme.warn()),
            ("error", theme.error()),
            ("good", theme.good()),
            ("favour", theme.signed(1.0)),
            ("against", theme.signed(-1.0)),
        ]
    }

    #[test]
    fn text_of_every_theme_can_be_read() {
        for (name, _) in ThemeName::ALL {
            let look = Look::of(name);
            for depth in [Depth::True, Depth::Indexed, Depth::Ansi, Depth::Mono] {
                let theme = Theme::with(depth, &look);
                // The 16 colours are chosen by those who chose the background: here, xterm's.
                let papers = match (name, depth) {
                    (ThemeName::Light, Depth::Ansi) => vec![(255, 255, 255)],
                    (ThemeName::Light, _) => vec![(255, 255, 255), (0xfd, 0xf6, 0xe3)],
                    (_, Depth::Ansi) => vec![(0, 0, 0)],
                    _ => vec![(0, 0, 0), look.paper()],
                };
                for (what, style) in texts(&theme) {
                    for paper in papers.iter().filter(|_| style.fg.is_some()) {
                        let ratio = contrast(seen(style.fg.unwrap()), *paper);
                        assert!(ratio >= 4.5, "{name} {depth:?} {what} on {paper:?}: {ratio}");
                    }
                }
                if !theme.has_ramp() {
                    continue;
                }
                for step in 0..STEPS {
                    let style = theme.heat(step as f32 / (STEPS - 1) as f32);
                    let ratio = contrast(seen(style.fg.unwrap()), seen(style.bg.unwrap()));
                    assert!(ratio >= 4.5, "{name} {depth:?} step {step}: {ratio}");
                }
                for expert in 0..8 {
                    let style = theme.expert(expert);
                    let ratio = contrast(seen(style.fg.unwrap()), seen(style.bg.unwrap()));
                    assert!(ratio >= 4.5, "{name} {depth:?} expert {expert}: {ratio}");
                }
            }
        }
    }

    /// sRGB as a person without the long (`red`) or the medium cones sees it: Viénot, Brettel and Mollon 1999.
    fn dichromat(rgb: Rgb, red: bool) -> [f32; 3] {
        let linear = |v: u8| (f32::from(v) / 255.0).powf(2.2);
        let (r, g, b) = (linear(rgb.0), linear(rgb.1), linear(rgb.2));
        let (mixed, kept) = if red {
            (0.11238 * r + 0.88762 * g, 0.00401 * r - 0.00401 * g + b)
        } else {
            (0.29275 * r + 0.70725 * g, -0.02234 * r + 0.02234 * g + b)
        };
        [mixed, mixed, kept].map(|v| v.clamp(0.0, 1.0).powf(1.0 / 2.2))
    }

    #[test]
    fn the_safe_theme_tells_good_from_bad_whatever_the_colour_vision() {
        let theme = Theme::with(Depth::True, &Look::of(ThemeName::ColourVisionSafe));
        let texts = texts(&theme).map(|(what, style)| (what, seen(style.fg.unwrap())));
        let (meanings, signs) = texts.split_at(5);
        for red in [true, false] {
            for (i, (a, first)) in meanings.iter().chain(signs).enumerate() {
                // Signs stand among themselves.
                for (b, second) in if i < 5 { &meanings[..i] } else { &signs[..i - 5] } {
                    let (x, y) = (dichromat(*first, red), dichromat(*second, red));
                    let apart = (0..3).map(|c| (x[c] - y[c]).powi(2)).sum::<f32>().sqrt();
                    assert!(apart > 0.2, "{a} and {b} are {apart} apart");
                }
            }
        }
    }

    #[test]
    fn experts_of_ones_own_are_used_in_turn_with_readable_ink() {
        let look = Look { experts: vec![(0, 0, 0x80), (0xff, 0xff, 0)], ..Look::default() };
        let theme = Theme::with(Depth::True, &look);
        assert_eq!(theme.expert(2), Style::new().bg(Color::Rgb(0, 0, 0x80)).fg(Color::Rgb(255, 255, 255)));
        assert_eq!(theme.expert(3), Style::new().bg(Color::Rgb(255, 255, 0)).fg(Color::Rgb(0, 0, 0)));
    }

    #[test]
    fn the_mono_theme_has_no_colour_at_any_depth() {
        let theme = Theme::with(Depth::True, &Look::of(ThemeName::Mono));
        assert!(!theme.has_ramp() && theme.expert_colour(1).is_none());
        assert!(texts(&theme).iter().all(|(_, style)| style.fg.is_none()));
    }
}
