//! One panel a file: each draws one part of the screen from the state, and nothing else.

pub mod attention;
pub mod attention_details;
pub mod contributions;
pub mod examples;
pub mod fidelity;
pub mod footer;
pub mod header;
mod heatmap;
pub mod help;
pub mod input;
pub mod lens;
pub mod lens_details;
pub mod message;
pub mod next;
pub mod opening;
pub mod palette;
pub mod picker;
pub mod routing;
pub mod routing_details;
mod routing_map;
pub mod sampling;
pub mod strip;
pub mod tabs;
pub mod which_key;
