use super::{Edit, EditNote, Meta, TokenRecord};
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

    /// The edits of the run, with the number of their sites.
    pub fn edit_notes(&self) -> Vec<EditNote> {
        if let Some(recording) = &self.meta.recording {
            return recording.edits.clone();
        }
        let mut sites = vec![0; self.meta.edits.len()];
        for site in self.tokens.iter().flat_map(|token| &token.sites) {
            if let Some(count) = sites.get_mut(usize::from(site.edit)) {
                *count += 1;
            }
        }
        let note = |(edit, sites): (&Edit, usize)| EditNote { edit: edit.to_string(), sites };
        self.meta.edits.iter().zip(sites).map(note).collect()
    }
}
