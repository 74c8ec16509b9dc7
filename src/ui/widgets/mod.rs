//! Parts that several panels share.

pub mod bar;
pub mod heatmap;
pub mod number;
pub mod plot;
pub mod sampling;
pub mod scale;
pub mod signed_number;
pub mod token_names;
pub mod window;
pub mod wrap;
