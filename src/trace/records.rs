use super::{Meta, TokenRecord};
use std::sync::Arc;

/// A run as records: the model, and one record per token.
#[derive(Clone, Debug)]
pub struct Records {
    /// The model and how it is run.
    pub meta: Arc<Meta>,
    /// One record per position, BOS included.
    pub tokens: Vec<Arc<TokenRecord>>,
}

impl Records {
    /// An empty run of the model that `meta` describes.
    pub fn new(meta: Arc<Meta>) -> Self {
        Self { meta, tokens: Vec::new() }
    }
}
