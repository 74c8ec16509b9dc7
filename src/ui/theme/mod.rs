//! Themes: styles for values, experts and text at every colour depth.

mod colours;
pub mod marks;

use crate::analysis::colour_map::{Rgb, ink};
pub use crate::state::ThemeName;
pub use colours::Colours;
use colours::{TextColour, TextColours};
use ratatui::style::{Color, Modifier, Style};

/// The colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 24-bit.
    True,
    /// The table of 256 colours.
    Indexed,
    /// The terminal's own 16 colours.
    Ansi,
    /// No colours: brackets, digits and glyphs carry the meaning.
    Mono,
}

/// Steps of the colour map of values.
const STEPS: usize = 64;

const EXPERTS_ANSI: [Color; 8] = [
    Color::Yellow,
    Color::Cyan,
    Color::Green,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightRed,
    Color::LightMagenta,
    Color::LightGreen,
];

/// Glyphs of values without colour, from 0 to 1.
const RAMP: [&str; 5] = [" ", "░", "▒", "▓", "█"];

/// The styles of one theme at one colour depth.
pub struct Theme {
    depth: Depth,
    /// Background and text colour of every step.
    ramp: Vec<(Color, Color)>,
    /// Background and text colour of every expert.
    experts: Vec<(Color, Color)>,
    text: &'static TextColours,
    /// The background that the theme is made for.
    paper: Rgb,
}

impl Theme {
    /// The default theme.
    pub fn new(depth: Depth) -> Self {
        Self::with(depth, &Colours::default())
    }

    /// A theme with its tables of colours at a colour depth.
    pub fn with(depth: Depth, colours: &Colours) -> Self {
        let depth = colours.depth(depth);
        let colour = |rgb| Self::colour(depth, rgb);
        let readable = |rgb| {
            // The table of 256 has only similar colours; the text colour has to fit the one that is shown.
            let seen = if depth == Depth::Indexed { table_rgb(indexed(rgb)) } else { rgb };
            (colour(rgb), colour(ink(seen)))
        };
        let step = |i: usize| readable(colours.values.colour(i as f32 / (STEPS - 1) as f32));
        let experts = match depth {
            Depth::Ansi => EXPERTS_ANSI.map(|colour| (colour, Color::Black)).to_vec(),
            Depth::Mono => Vec::new(),
            _ => colours.experts.iter().map(|rgb| readable(*rgb)).collect(),
        };
        Self { depth, ramp: (0..STEPS).map(step).collect(), experts, text: colours.text(), paper: colours.paper() }
    }

    fn colour(depth: Depth, rgb: Rgb) -> Color {
        if depth == Depth::True { Color::Rgb(rgb.0, rgb.1, rgb.2) } else { Color::Indexed(indexed(rgb)) }
    }

    /// Whether values have background colours.
    pub fn has_ramp(&self) -> bool {
        matches!(self.depth, Depth::True | Depth::Indexed)
    }

    fn step(&self, value: f32) -> (Color, Color) {
        let value = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
        self.ramp[(value * (STEPS - 1) as f32).round() as usize]
    }

    /// Text on the background colour of a value of 0..1; plain text if values have no colours.
    pub fn heat(&self, value: f32) -> Style {
        if !self.has_ramp() {
            return Style::new();
        }
        let (paper, ink) = self.step(value);
        Style::new().bg(paper).fg(ink)
    }

    /// Text that shows a value of 0..1 by its background, or by four steps of emphasis if values have no colours.
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
        // Values above zero are visible.
        let step = (value * (RAMP.len() - 1) as f32).round() as usize;
        RAMP[if value > 0.02 { step.max(1) } else { step }]
    }

    /// Background and text colour of an expert; `None` without colours.
    fn expert_colours(&self, expert: usize) -> Option<(Color, Color)> {
        self.experts.get(expert % self.experts.len().max(1)).copied()
    }

    /// Whether experts have colours.
    pub fn has_experts(&self) -> bool {
        !self.experts.is_empty()
    }

    /// How many experts have colours of their own; then the colours repeat.
    pub fn expert_count(&self) -> usize {
        self.experts.len()
    }

    /// The colour of an expert; `None` without colours.
    pub fn expert_colour(&self, expert: usize) -> Option<Color> {
        self.expert_colours(expert).map(|(paper, _)| paper)
    }

    /// Text in an expert's colours.
    pub fn expert(&self, expert: usize) -> Style {
        self.expert_colours(expert).map_or(Style::new(), |(paper, ink)| Style::new().bg(paper).fg(ink))
    }

    /// Text in an expert's colour, bold, on the terminal's own background.
    pub fn expert_text(&self, expert: usize) -> Style {
        let style = self.expert_colour(expert).map_or(Style::new(), |colour| Style::new().fg(colour));
        style.add_modifier(Modifier::BOLD)
    }

    fn coloured(&self, shade: TextColour) -> Style {
        match self.depth {
            Depth::Mono => Style::new(),
            Depth::Ansi if shade.ansi == Color::Reset => Style::new(),
            Depth::Ansi => Style::new().fg(shade.ansi),
            depth => Style::new().fg(Self::colour(depth, shade.rgb)),
        }
    }

    /// Frames and less important text.
    pub fn dim(&self) -> Style {
        match self.depth {
            Depth::Mono => Style::new().add_modifier(Modifier::DIM),
            _ => self.coloured(self.text.dim),
        }
    }

    /// Titles and chosen things.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Names of things that a key reaches.
    pub fn accent(&self) -> Style {
        self.coloured(self.text.accent).add_modifier(Modifier::BOLD)
    }

    /// The cursor.
    pub fn cursor(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What is chosen among several names.
    pub fn chosen(&self) -> Style {
        self.accent().add_modifier(Modifier::UNDERLINED)
    }

    /// Matches of the search.
    pub fn found(&self) -> Style {
        let marked = Modifier::UNDERLINED | Modifier::REVERSED;
        if self.depth == Depth::Mono { Style::new().add_modifier(marked) } else { self.warn().add_modifier(marked) }
    }

    /// Near-ties and warnings.
    pub fn warn(&self) -> Style {
        self.coloured(self.text.warn).add_modifier(Modifier::BOLD)
    }

    /// Values with a sign, positive ones blue, negative ones orange. The sign is also written or shown by the side.
    pub fn signed(&self, value: f64) -> Style {
        self.coloured(self.text.signs[usize::from(value < 0.0)])
    }

    /// Text on a colour between orange (−1) and blue (1), by way of the background (0); where values have no backgrounds, text
    /// in the colour of the sign, its emphasis by size.
    pub fn diverging(&self, value: f64) -> Style {
        let value = if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 };
        if !self.has_ramp() {
            return if value.abs() < 0.02 {
                self.dim()
            } else {
                self.signed(value).patch(self.emphasis(value.abs() as f32))
            };
        }
        let rgb = mixed(self.paper, self.text.signs[usize::from(value < 0.0)].rgb, value.abs());
        let seen = if self.depth == Depth::Indexed { table_rgb(indexed(rgb)) } else { rgb };
        Style::new().bg(Self::colour(self.depth, rgb)).fg(Self::colour(self.depth, ink(seen)))
    }

    /// Errors.
    pub fn error(&self) -> Style {
        self.coloured(self.text.error).add_modifier(Modifier::BOLD)
    }

    /// Successful checks.
    pub fn good(&self) -> Style {
        self.coloured(self.text.good)
    }
}

/// The colour at `share` of the way from one colour to another.
fn mixed(from: Rgb, to: Rgb, share: f64) -> Rgb {
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
    (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Levels of the 6×6×6 cube of the 256-colour table.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The index of the nearest colour in the cube or the greys of the 256-colour table.
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

/// The colour of an index of the 256-colour table; not for the first 16, which are the terminal's own.
fn table_rgb(index: u8) -> Rgb {
    if index >= 232 {
        let level = 8 + 10 * (index - 232);
        return (level, level, level);
    }
    let cube = usize::from(index.saturating_sub(16));
    (LEVELS[cube / 36], LEVELS[cube / 6 % 6], LEVELS[cube % 6])
}

#[cfg(test)]
mod tests;
