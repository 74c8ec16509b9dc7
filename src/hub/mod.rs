//! Models on the Hugging Face Hub: the files of a repo, and their copies in the cache that it shares with other
//! programs.
//!
//! The cache is laid out as by Python's `huggingface_hub`, with the same lock files and the same names for partial
//! downloads, so that each program can continue a download of the other.

#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod checksum;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod fault;
#[cfg(feature = "hub")]
mod fetch;
#[cfg(feature = "hub")]
mod http;
mod id;
#[cfg(feature = "hub")]
mod message;
#[cfg(feature = "hub")]
mod pace;
#[cfg(feature = "hub")]
mod progress;
#[cfg(feature = "hub")]
mod retry;
#[cfg(feature = "hub")]
mod select;
#[cfg(feature = "hub")]
mod settings;
#[cfg(feature = "hub")]
mod survey;

#[cfg(feature = "hub")]
pub use cache::{CachedRepo, cached, list_cached};
#[cfg(feature = "hub")]
pub use fetch::fetch;
pub use id::RepoId;
#[cfg(feature = "hub")]
pub use progress::{FileProgress, Progress, Stage};
#[cfg(feature = "hub")]
pub use settings::Settings;
#[cfg(feature = "hub")]
pub use survey::{RemoteFile, Survey, survey};
