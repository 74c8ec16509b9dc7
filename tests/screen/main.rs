//! The explorer without a terminal: keys in, effects, cells and exported views out.

#[path = "../support/mod.rs"]
mod support;

mod arrangement;
mod attention;
mod branches;
mod copying;
mod corpus;
mod discover;
mod edits;
mod effects;
mod figures;
mod figures_effects;
mod figures_formats;
mod figures_measured;
mod mouse;
mod opening;
mod opening_screens;
mod replies;
mod routing;
mod running;
mod saving;
mod screens;

mod session;
mod small;
mod snapshot;
mod state;
mod terminal;
mod views;
