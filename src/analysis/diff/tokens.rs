use crate::trace::TokenRecord;
use anyhow::{Result, bail};
use std::sync::Arc;

/// How many tokens at the start of two runs are the same.
pub fn shared(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) -> usize {
    shared_ids(a.iter().map(|token| token.id), b.iter().map(|token| token.id))
}

fn shared_ids(a: impl IntoIterator<Item = u32>, b: impl IntoIterator<Item = u32>) -> usize {
    a.into_iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Checks that two runs have the same tokens.
///
/// # Errors
/// If they differ; the message names the first position.
pub fn same_tokens(a: &[u32], b: &[u32]) -> Result<()> {
    let at = shared_ids(a.iter().copied(), b.iter().copied());
    match (a.get(at), b.get(at)) {
        (None, None) => Ok(()),
        (Some(of_a), Some(of_b)) => {
            bail!(
                "the tokens differ from position {at} on: id {of_a} in A, id {of_b} in B; compare runs of the same tokens"
            )
        }
        (Some(id), None) | (None, Some(id)) => {
            let longer = if a.len() > b.len() { "A" } else { "B" };
            bail!(
                "the tokens differ from position {at} on: {longer} continues with id {id}, the other ends; compare runs of \
                 the same tokens (A has {}, B has {})",
                a.len(),
                b.len()
            )
        }
    }
}
