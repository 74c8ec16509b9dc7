//! Themes by name, and their colours.

use super::Depth;
use crate::analysis::colour_map::{EXPERTS, Ramp, Rgb};
use crate::state::ThemeName;
use ratatui::style::Color;

/// A colour of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextColour {
    /// Red, green and blue, for 256 and more colours.
    pub rgb: Rgb,
    /// One of the terminal's own 16 colours; `Reset` = the colour of other text.
    pub ansi: Color,
}

/// The colours of text on the terminal's own background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextColours {
    /// Frames and less important text.
    pub dim: TextColour,
    /// Names of things that a key reaches.
    pub accent: TextColour,
    /// Near-ties and warnings.
    pub warn: TextColour,
    /// Errors.
    pub error: TextColour,
    /// Successful checks.
    pub good: TextColour,
    /// Positive and negative values.
    pub signs: [TextColour; 2],
}

const fn shade(rgb: u32, ansi: Color) -> TextColour {
    let [_, r, g, b] = rgb.to_be_bytes();
    TextColour { rgb: (r, g, b), ansi }
}

const DARK: TextColours = TextColours {
    dim: shade(0x8a8a8a, Color::DarkGray),
    accent: shade(0x5fd7d7, Color::Cyan),
    warn: shade(0xffaf00, Color::Yellow),
    error: shade(0xff5f5f, Color::LightRed),
    good: shade(0x5fd75f, Color::Green),
    signs: [shade(0x5fafff, Color::LightCyan), shade(0xffaf5f, Color::Yellow)],
};

// Yellow, green and cyan of most terminals are not readable on white.
const LIGHT: TextColours = TextColours {
    dim: shade(0x626262, Color::Reset),
    accent: shade(0x005f87, Color::Blue),
    warn: shade(0x875f00, Color::Magenta),
    error: shade(0xaf0000, Color::Red),
    good: shade(0x005f5f, Color::Reset),
    signs: [shade(0x005faf, Color::Blue), shade(0x875f00, Color::Magenta)],
};

const COLOUR_VISION_SAFE: TextColours = TextColours {
    dim: shade(0x8a8a8a, Color::DarkGray),
    accent: shade(0x87d7ff, Color::Cyan),
    warn: shade(0xffff87, Color::LightYellow),
    error: shade(0xff8700, Color::Yellow),
    good: shade(0x5fafff, Color::LightCyan),
    signs: [shade(0x5fafff, Color::LightCyan), shade(0xff8700, Color::Yellow)],
};

/// A theme with its colours of values and experts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colours {
    /// The theme.
    pub theme: ThemeName,
    /// Colours of values.
    pub values: Ramp,
    /// Colours of experts; they repeat if there are more experts. Never empty.
    pub experts: Vec<Rgb>,
}

impl Default for Colours {
    fn default() -> Self {
        Self::of(ThemeName::default())
    }
}

impl Colours {
    /// A theme with its own colours.
    pub fn of(theme: ThemeName) -> Self {
        let values = if theme == ThemeName::ColourVisionSafe { Ramp::Cividis } else { Ramp::Viridis };
        Self { theme, values, experts: EXPERTS.to_vec() }
    }

    /// These colours under another theme. Colours that are not the theme's own stay.
    pub fn under(&self, theme: ThemeName) -> Self {
        let (own, other) = (Self::of(self.theme), Self::of(theme));
        let values = if self.values == own.values { other.values } else { self.values };
        Self { values, experts: self.experts.clone(), ..other }
    }

    /// The depth on a terminal of `depth`: the theme `mono` has no colours.
    pub fn depth(&self, depth: Depth) -> Depth {
        if self.theme == ThemeName::Mono { Depth::Mono } else { depth }
    }

    /// The colours of text.
    pub fn text(&self) -> &'static TextColours {
        match self.theme {
            ThemeName::Dark | ThemeName::Mono => &DARK,
            ThemeName::Light => &LIGHT,
            ThemeName::ColourVisionSafe => &COLOUR_VISION_SAFE,
        }
    }

    /// A background that the theme is made for.
    pub fn paper(&self) -> Rgb {
        if self.theme == ThemeName::Light { (0xff, 0xff, 0xff) } else { (0x1e, 0x1e, 0x1e) }
    }
}
