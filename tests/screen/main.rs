//! The explorer without a terminal: keys in, effects, cells and exported views out.

#[path = "../support/mod.rs"]
mod support;

mod attention;
mod copying;
mod figures;
mod figures_measured;
mod mouse;
mod replies;
mod routing;
mod screens;
mod screens_models;
mod small;
mod state;
mod terminal;
