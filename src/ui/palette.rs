//! Colours: a ramp for values, categories for experts, for every colour depth a terminal may have.

use crate::trace::palette::{EXPERTS, luma, viridis};
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

/// The styles of one colour depth.
pub struct Theme {
    depth: Depth,
    ramp: Vec<(Color, Color)>,
}

impl Theme {
    /// Builds the tables of a depth once.
    pub fn new(depth: Depth) -> Self {
        let colour =
            |(r, g, b)| if depth == Depth::True { Color::Rgb(r, g, b) } else { Color::Indexed(indexed(r, g, b)) };
        let step = |i: usize| {
            let rgb = viridis(i as f32 / (STEPS - 1) as f32);
            let ink = if luma(rgb) > 110.0 { (0, 0, 0) } else { (0xff, 0xff, 0xff) };
            (colour(rgb), colour(ink))
        };
        Self { depth, ramp: (0..STEPS).map(step).collect() }
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

    /// The colour of an expert; `None` without colours.
    pub fn expert_colour(&self, expert: usize) -> Option<Color> {
        let (r, g, b) = EXPERTS[expert % EXPERTS.len()];
        match self.depth {
            Depth::True => Some(Color::Rgb(r, g, b)),
            Depth::Indexed => Some(Color::Indexed(indexed(r, g, b))),
            Depth::Ansi => Some(EXPERTS_ANSI[expert % EXPERTS_ANSI.len()]),
            Depth::Mono => None,
        }
    }

    /// Text in an expert's colours.
    pub fn expert(&self, expert: usize) -> Style {
        self.expert_colour(expert).map_or(Style::new(), |colour| Style::new().bg(colour).fg(self.ink()))
    }

    /// Text in an expert's colour, bold, on the terminal's own background.
    pub fn expert_text(&self, expert: usize) -> Style {
        let style = self.expert_colour(expert).map_or(Style::new(), |colour| Style::new().fg(colour));
        style.add_modifier(Modifier::BOLD)
    }

    fn ink(&self) -> Color {
        match self.depth {
            Depth::True => Color::Rgb(0, 0, 0),
            Depth::Indexed => Color::Indexed(16),
            _ => Color::Black,
        }
    }

    fn coloured(&self, rgb: (u8, u8, u8), ansi: Color) -> Style {
        match self.depth {
            Depth::True => Style::new().fg(Color::Rgb(rgb.0, rgb.1, rgb.2)),
            Depth::Indexed => Style::new().fg(Color::Indexed(indexed(rgb.0, rgb.1, rgb.2))),
            Depth::Ansi => Style::new().fg(ansi),
            Depth::Mono => Style::new(),
        }
    }

    /// Frames and what matters less.
    pub fn dim(&self) -> Style {
        match self.depth {
            Depth::Mono => Style::new().add_modifier(Modifier::DIM),
            _ => self.coloured((0x8a, 0x8a, 0x8a), Color::DarkGray),
        }
    }

    /// Titles and what is chosen.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Names of things that can be reached by key.
    pub fn accent(&self) -> Style {
        self.coloured((0x5f, 0xd7, 0xd7), Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// The cursor.
    pub fn cursor(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// Near-ties and warnings.
    pub fn warn(&self) -> Style {
        self.coloured((0xff, 0xaf, 0x00), Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Failures.
    pub fn error(&self) -> Style {
        self.coloured((0xff, 0x5f, 0x5f), Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What was found to be right.
    pub fn good(&self) -> Style {
        self.coloured((0x5f, 0xd7, 0x5f), Color::Green)
    }
}

/// The nearest colour of the 6×6×6 cube or the grey ramp of the 256-colour table.
fn indexed(r: u8, g: u8, b: u8) -> u8 {
    const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let near = |v: u8| (0..6).min_by_key(|i| (LEVELS[*i] - i32::from(v)).abs()).unwrap_or(0);
    let distance = |r2: i32, g2: i32, b2: i32| {
        (i32::from(r) - r2).pow(2) + (i32::from(g) - g2).pow(2) + (i32::from(b) - b2).pow(2)
    };
    let (ri, gi, bi) = (near(r), near(g), near(b));
    let cube = distance(LEVELS[ri], LEVELS[gi], LEVELS[bi]);
    let mean = (i32::from(r) + i32::from(g) + i32::from(b)) / 3;
    let grey = ((mean - 8 + 5) / 10).clamp(0, 23);
    let level = 8 + 10 * grey;
    if distance(level, level, level) < cube { 232 + grey as u8 } else { (16 + 36 * ri + 6 * gi + bi) as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_spans_viridis_and_ink_contrasts() {
        let theme = Theme::new(Depth::True);
        assert_eq!(theme.pixel(0.0), Color::Rgb(0x44, 0x01, 0x54));
        assert_eq!(theme.pixel(1.0), Color::Rgb(0xfd, 0xe7, 0x25));
        assert_eq!(theme.heat(1.0).fg, Some(Color::Rgb(0, 0, 0)));
        assert_eq!(theme.heat(f32::NAN), theme.heat(0.0));
        assert_eq!(indexed(255, 255, 255), 231);
        assert_eq!(indexed(0x8a, 0x8a, 0x8a), 245);
    }

    #[test]
    fn without_colour_nothing_is_coloured() {
        let theme = Theme::new(Depth::Mono);
        for style in [theme.heat(0.5), theme.expert(3), theme.dim(), theme.warn(), theme.error(), theme.good()] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
        assert_eq!([0.0, 0.03, 0.5, 1.0].map(|v| theme.glyph(v)), [" ", "░", "▒", "█"]);
    }
}
