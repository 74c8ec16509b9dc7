//! The configuration: a TOML file in the XDG config folder, read strictly.
//!
//! One table (`settings`) names, explains, reads and prints every setting. `keys` reads `[keys]`.

mod file;
mod keys;
mod settings;
mod show;
#[cfg(test)]
mod tests;
mod wrong;

pub use keys::scope_name;
pub use show::key_table;

use super::ColorChoice;
use crate::analysis::colour_map::{Ramp, Rgb};
use crate::protocol::Failure;
pub use crate::state::input::Keymap;
use crate::state::{FirstArrangement, StripColour};
use crate::trace::{Device, Policy, Sampling};
use crate::ui::{Colours, ThemeName};

/// The explorer's configuration: from the command line, else the file, else the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The theme.
    pub theme: ThemeName,
    /// How many colours are used.
    pub color: ColorChoice,
    /// Whether the explorer uses the mouse.
    pub mouse: bool,
    /// Whether motion is reduced.
    pub reduced_motion: bool,
    /// What the text is coloured by.
    pub strip: StripColour,
    /// Whether details are folded where they would be shown, and shown where they would be folded.
    pub details_flipped: bool,
    /// How views are arranged at first.
    pub arrangement: FirstArrangement,
    /// The model, as the MODEL argument names it.
    pub model: String,
    /// The precision policy.
    pub precision: Policy,
    /// What computes the matrix products.
    pub device: Device,
    /// Threads for matrix products; `None`: one per core.
    pub threads: Option<u16>,
    /// How tokens are sampled.
    pub sampling: Sampling,
    /// Colour map of values; `None`: the theme's.
    pub values: Option<Ramp>,
    /// Colours of experts; `None`: the theme's.
    pub experts: Option<Vec<Rgb>>,
    /// The keys.
    pub keymap: Keymap,
    /// Why the user's own file could not be read, if it is there; then these are the defaults.
    pub unread: Option<Failure>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            theme: ThemeName::default(),
            color: ColorChoice::Auto,
            mouse: true,
            reduced_motion: false,
            strip: StripColour::Expert,
            details_flipped: false,
            arrangement: FirstArrangement::Auto,
            model: "demo".to_owned(),
            precision: Policy::Hf,
            device: Device::Cpu,
            threads: None,
            sampling: Sampling::default(),
            values: None,
            experts: None,
            keymap: Keymap::default(),
            unread: None,
        }
    }
}

impl Config {
    /// The theme with the chosen colour maps.
    pub fn colours(&self) -> Colours {
        let colours = Colours::of(self.theme);
        Colours {
            values: self.values.unwrap_or(colours.values),
            experts: self.experts.clone().unwrap_or(colours.experts),
            ..colours
        }
    }
}
