//! The parts of the screen around the views.

pub mod footer;
pub mod header;
pub mod next_line;
pub mod opening;
pub mod tabs;
pub mod text_strip;
pub mod title;
pub mod which_key;
