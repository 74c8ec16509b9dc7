//! Files from a trace: the same trace always gives the same bytes.

pub mod csv;
mod figure;
mod json;
mod lab;
mod screen;
mod views;

pub use csv::Text;
pub use figure::Look;
pub use json::{RunInfo, run_json};
pub use lab::{LabInfo, LabTable, lab_json};
pub use screen::{Cell, Screen, screen_ansi, screen_png, screen_svg};
pub use views::{drawing, lab_drawing, lab_picture, picture, table};
