//! What lies over the views.

pub mod close_calls;
pub mod examples;
pub mod help;
pub mod message;
mod page;
pub mod palette;
pub mod picker;
pub mod policies;
pub mod sampling;
pub mod text_input;
