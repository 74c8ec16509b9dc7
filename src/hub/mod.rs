//! Models on the Hugging Face Hub: what a repo holds, and its files in the cache that other programs share.
//!
//! The cache is laid out as by Python's `huggingface_hub`, with the same lock files and the same names for partial
//! downloads, so each can go on with what the other began.

mod cache;
mod checksum;
mod client;
mod download;
mod fault;
mod fetch;
mod http;
mod id;
mod message;
mod progress;
mod select;
mod settings;
mod survey;

pub use cache::{CachedRepo, cached, list_cached};
pub use fetch::fetch;
pub use id::RepoId;
pub use progress::{FileProgress, Progress, Stage};
pub use settings::Settings;
pub use survey::{RemoteFile, Survey, survey};
