//! The engine without a screen: requests, derived values, undo, sessions and saved runs.

#[path = "../support/mod.rs"]
mod support;

mod baseline;
mod contributions;
mod edges;
mod edits;
mod events;
mod families;
mod faults;
mod go_to;
mod lens;
mod maps;
mod requests;
mod saved;
mod sessions;
mod undo;
