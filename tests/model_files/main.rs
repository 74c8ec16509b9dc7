//! Model files: GGUF, safetensors and downloads, sound and broken.

#[path = "../support/mod.rs"]
mod support;

mod bad_gguf;
mod bad_input;
mod forms;
mod fuzzed;
mod gguf;
mod hub;
