//! One panel a file: each draws one part of the screen from the state, and nothing else.

pub mod attention;
pub mod attention_details;
mod attention_grid;
mod attention_head;
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
pub mod picker;
pub mod routing;
pub mod routing_details;
mod routing_map;
pub mod sampling;
pub mod strip;
pub mod tabs;
