//! The themes by name; `ui/theme` has their colours.

use std::fmt;
use std::str::FromStr;

/// The themes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// For dark backgrounds.
    #[default]
    Dark,
    /// For white and other light backgrounds.
    Light,
    /// For dark backgrounds, with colours that stay distinct with red-green or blue-yellow blindness.
    ColourVisionSafe,
    /// Without colours: brackets, digits and glyphs carry the meaning.
    Mono,
}

impl ThemeName {
    /// All themes and their names.
    pub const ALL: [(ThemeName, &str); 4] = [
        (Self::Dark, "dark"),
        (Self::Light, "light"),
        (Self::ColourVisionSafe, "colour-vision-safe"),
        (Self::Mono, "mono"),
    ];

    /// The next theme; the first one after the last.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|(theme, _)| *theme == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()].0
    }
}

impl fmt::Display for ThemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::ALL.iter().find(|(theme, _)| theme == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for ThemeName {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let names = Self::ALL.map(|(_, name)| name).join(", ");
        let found = Self::ALL.iter().find(|(_, n)| *n == name).map(|(theme, _)| *theme);
        found.ok_or_else(|| anyhow::anyhow!("`{name}` is not one of {names}"))
    }
}
