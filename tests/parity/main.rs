//! The forward pass against transformers and candle-transformers: values, routing, loss and greedy text.

#[path = "../support/mod.rs"]
mod support;

mod attribution;
mod bf16;
mod device;
mod edits;
mod f32;
mod families;
mod ggml;
mod hooks;
mod lab;
mod oracle;
