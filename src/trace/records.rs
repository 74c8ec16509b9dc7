use super::{Meta, TokenRecord};
use std::sync::Arc;

/// The records of a run: what is known of its model, and one record a token.
#[derive(Clone, Debug)]
pub struct Records {
    /// The model and how it was run.
    pub meta: Arc<Meta>,
    /// One record a position, BOS included.
    pub tokens: Vec<Arc<TokenRecord>>,
}

impl Records {
    /// An empty run of the model that `meta` describes.
    pub fn new(meta: Arc<Meta>) -> Self {
        Self { meta, tokens: Vec::new() }
    }
}
