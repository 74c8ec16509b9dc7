//! The explorer without a terminal: keys in, effects, cells and exported views out.

#[path = "../support/mod.rs"]
mod support;

mod attention;
mod copying;
mod figures;
mod figures_measured;
mod mouse;
mod opening;
mod replies;
mod routing;
mod running;
mod saving;
mod screens;
mod screens_models;
mod session;
mod small;
mod state;
mod terminal;
mod views;
