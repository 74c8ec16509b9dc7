//! mixscope: an explorer for the inside of Mixtral-family mixture-of-experts models, in the terminal.
//!
//! The rooms and their arrows: `cli → app → ui → state → trace`, `app → engine → model → trace`, `cli → export → trace`.

pub mod app;
pub mod cli;
pub mod engine;
pub mod export;
pub mod model;
pub mod state;
pub mod trace;
pub mod ui;
