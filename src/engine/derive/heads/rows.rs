//! Where the heads of a layer look from one query.

use super::together::Together;
use super::{not_captured, reader};
use crate::analysis::{HeadRow, Pick};
use crate::engine::run::Run;
use crate::protocol::Derived;
use anyhow::{Context, Result};
use std::sync::Arc;

pub fn derive(run: &Run, layer: usize, query: usize) -> Result<Derived> {
    // The run may have become shorter since the request.
    let is_there = query < run.tokens().len();
    Ok(Derived::HeadRows(if is_there { head_rows(run, layer, query)? } else { Vec::new() }))
}

/// The rows of all heads of `layer` at `query`, and their mean and maximum.
///
/// # Errors
/// If queries or keys were not captured.
pub fn head_rows(run: &Run, layer: usize, query: usize) -> Result<Vec<Arc<HeadRow>>> {
    let heads = run.meta().dims.heads;
    let mut all = [Pick::Mean, Pick::Max].map(|pick| (pick, Together::new(pick, heads)));
    let mut rows = Vec::with_capacity(heads + 2);
    for head in 0..heads {
        let mut row = Vec::new();
        reader(run, layer, head)?.row(query, &mut row).with_context(not_captured)?;
        all.iter_mut().for_each(|(_, together)| together.add(&row));
        rows.push(Arc::new(HeadRow::new(layer, Pick::One(head), query, row)));
    }
    rows.extend(all.map(|(pick, together)| Arc::new(HeadRow::new(layer, pick, query, together.done()))));
    Ok(rows)
}
