//! One panel a file: each draws one part of the screen from the state, and nothing else.

pub mod attention;
pub mod attention_details;
pub mod fidelity;
pub mod footer;
pub mod header;
mod heatmap;
pub mod help;
pub mod input;
pub mod lens;
pub mod lens_details;
mod lens_plot;
pub mod message;
pub mod next;
pub mod opening;
pub mod picker;
mod plot;
pub mod routing;
pub mod routing_details;
mod routing_map;
pub mod sampling;
mod scale;
pub mod strip;
pub mod tabs;
pub mod what_if;
pub mod which_key;
