//! The program itself in a pseudo-terminal.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod explorer;
mod models;
mod saved;
mod saving;
mod session;
mod terminal;
