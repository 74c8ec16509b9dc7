//! The command line as scripts see it: exit codes, streams and files.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod check;
mod config;
mod diff;
mod docs;
mod experiments;
mod export_effects;
#[cfg(unix)]
mod folders;
mod foreign;
mod generated;
mod instructions;
mod lab;
mod models;
mod options;
mod prompts;
mod reference;
mod self_test;
mod sweep;
mod sweep_uses;
mod usage;
