//! Opening a model, and describing one that is not on this machine yet.

mod adapters;
pub mod demo;
mod describe;
mod fingerprint;
mod json;
mod location;
mod open;
mod quantised;
mod sizes;
mod tied;

pub use describe::{Described, check_gguf_header, describe_gguf};
pub(super) use json::read_json;
pub use location::Location;
pub use open::{Loaded, open};
