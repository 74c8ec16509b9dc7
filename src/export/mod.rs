//! Files from a trace: the same trace always gives the same bytes.

mod figure;
mod json;
mod lab;
mod screen;
mod views;

pub use figure::Look;
pub use json::{RunInfo, run_json};
pub use lab::{LAB_TABLES, LabInfo, lab_json, lab_tables};
pub use screen::{Cell, Screen, screen_ansi, screen_png, screen_svg};
pub use views::{drawing, lab_drawing, lab_picture, picture, table};
