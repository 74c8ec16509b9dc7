//! Files from a trace: the same trace always gives the same bytes.

#[cfg(feature = "figures")]
mod figure;
mod json;
mod lab;
#[cfg(feature = "figures")]
mod screen;
#[cfg(feature = "figures")]
mod views;

#[cfg(feature = "figures")]
pub use figure::Look;
pub use json::{RunInfo, run_json};
pub use lab::{LAB_TABLES, LabInfo, lab_json, lab_tables};
#[cfg(feature = "figures")]
pub use screen::{Cell, Screen, screen_ansi, screen_png, screen_svg};
#[cfg(feature = "figures")]
pub use views::{drawing, lab_drawing, lab_picture, picture, table};
