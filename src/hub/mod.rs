//! Models on the Hugging Face Hub: the files of a repo, and their copies in the cache that other programs share.
//!
//! The cache is laid out as by Python's `huggingface_hub`, with the same lock files and the same names for partial
//! downloads, so that each program can continue a download of the other.

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
mod retry;
mod select;
mod settings;
mod survey;

pub use cache::{CachedRepo, cached, list_cached};
pub use fetch::fetch;
pub use id::RepoId;
pub use progress::{FileProgress, Progress, Stage};
pub use settings::Settings;
pub use survey::{RemoteFile, Survey, survey};
