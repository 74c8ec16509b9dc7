//! Pictures, tables and JSON of a run, and pictures of the screen. The same records always give the same bytes.

mod figure;
mod json;
mod screen;
mod tables;
mod views;

pub use figure::Look;
pub use json::{LabInfo, RunInfo, lab_json, run_json};
pub use screen::{Cell, Screen, screen_ansi, screen_png, screen_svg};
pub use tables::{LAB_TABLES, lab_tables};
pub use views::{drawing, lab_drawing, lab_picture, picture, table};
