//! The named arrangements of panes on the screen.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A named arrangement of panes on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrangement {
    /// One pane.
    #[default]
    One,
    /// Two panes side by side; one above the other on a narrow screen.
    Two,
    /// Two panes, one above the other.
    Stacked,
    /// One pane on the left, two on the right.
    Three,
    /// The routing map, the head at the cursor and the lens, side by side.
    Dashboard,
}

impl Arrangement {
    /// Number of panes in each column, from left to right.
    pub fn columns(self) -> &'static [usize] {
        match self {
            Self::One => &[1],
            Self::Two => &[1, 1],
            Self::Stacked => &[2],
            Self::Three => &[1, 2],
            Self::Dashboard => &[1, 1, 1],
        }
    }

    /// The share of each column in the width.
    pub fn shares(self) -> &'static [u16] {
        match self {
            Self::One | Self::Stacked => &[1],
            Self::Two => &[1, 1],
            Self::Three => &[3, 2],
            Self::Dashboard => &[5, 4, 4],
        }
    }

    /// All arrangements and their names.
    pub const ALL: [(Self, &str); 5] = [
        (Self::One, "one"),
        (Self::Two, "two"),
        (Self::Stacked, "stacked"),
        (Self::Three, "three"),
        (Self::Dashboard, "dashboard"),
    ];

    /// The next arrangement; the first one after the last.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|(one, _)| *one == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()].0
    }

    /// Number of panes.
    pub fn count(self) -> usize {
        self.columns().iter().sum()
    }
}

impl fmt::Display for Arrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::ALL.iter().find(|(one, _)| one == self).map_or("", |(_, name)| name))
    }
}

/// How views are arranged when the explorer starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstArrangement {
    /// The dashboard on a large screen, else one pane.
    #[default]
    Auto,
    /// This one.
    Of(Arrangement),
}

/// The smallest screen that starts with the dashboard, columns and lines.
const LARGE: (u16, u16) = (140, 40);

impl FirstArrangement {
    /// The arrangement on a screen of so many columns and lines.
    pub fn on(self, width: u16, height: u16) -> Arrangement {
        match self {
            Self::Of(arrangement) => arrangement,
            Self::Auto if width >= LARGE.0 && height >= LARGE.1 => Arrangement::Dashboard,
            Self::Auto => Arrangement::One,
        }
    }
}
