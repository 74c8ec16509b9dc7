//! Pictures, tables and JSON of a run, and pictures of the screen. The same records always give the same bytes.

#[cfg(feature = "figures")]
mod figure;
mod json;
#[cfg(feature = "figures")]
mod screen;
#[cfg(feature = "figures")]
mod sweep;
mod tables;
#[cfg(feature = "figures")]
mod views;

#[cfg(feature = "figures")]
pub use crate::analysis::view::{DPI_RANGE, FileFormat, Look, LookOptions, Style, Width};
pub use json::{EffectInfo, LabInfo, RunInfo, effect_json, lab_json, run_json, sweep_json};
#[cfg(feature = "figures")]
pub use screen::{Cell, Screen, screen_ansi, screen_png, screen_svg};
#[cfg(feature = "figures")]
pub use sweep::{sweep_caption, sweep_file};
pub use tables::{LAB_TABLES, lab_tables};
#[cfg(feature = "figures")]
pub use views::{PictureFormat, caption, document, drawing, file, lab_picture, picture, recipe, table};
