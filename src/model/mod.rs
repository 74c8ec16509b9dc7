//! The hooked Mixtral: weights used in place, one readable forward pass, every value of it visible and replaceable.
//!
//! Activations are candle f32 tensors whose values are rounded where the active precision policy says; matrix
//! products read the weights from where they are stored. Knows no screen and no thread of its own.

mod attention;
mod attribution;
mod cache;
mod chat;
mod config;
mod contract;
pub mod demo;
mod describe;
mod distribution;
mod experts;
#[cfg(debug_assertions)]
mod fault;
mod forward;
mod gate;
mod gguf_config;
mod gguf_tokenizer;
mod head_reader;
pub mod kernels;
mod load;
mod memory;
mod ops;
mod pass;
mod precision;
mod products;
pub mod router;
pub mod sampling;
mod scan;
mod taps;
mod tokenizer;
mod validate;
mod variation;
pub mod weights;

pub use attention::derive_z;
pub use attribution::{Direction, StreamShares};
pub use cache::KvCache;
pub use chat::ChatTemplate;
pub use config::Config;
pub use describe::{Described, check_gguf_header, describe_gguf};
pub use distribution::Distribution;
#[cfg(debug_assertions)]
pub use fault::FAULTS;
pub use forward::Mixtral;
pub use head_reader::{HeadReader, derive_pattern};
pub use load::{Loaded, Location, open};
pub use memory::available_memory;
pub use ops::SoftmaxNorm;
pub use pass::{Outputs, Pass};
pub use precision::{Gate, GateBlock, Mixture, Precision, Rounding};
pub use scan::{FINITE, scan, scanned_on_opening};
pub use taps::{NoTaps, Taps};
pub use tokenizer::{Tokenizer, bare_piece};
pub use variation::Variation;
