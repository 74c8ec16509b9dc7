//! Several heads of a layer put together weight by weight.

use super::reader;
use crate::analysis::{HeadRow, Pattern, Pick};
use crate::control::Control;
use crate::engine::derive::not_captured;
use crate::engine::run::Run;
use anyhow::{Context, Result};
use std::sync::Arc;

/// The rows of all heads of `layer` at `query`, and their mean and maximum.
///
/// # Errors
/// If queries or keys were not captured.
pub fn head_rows(run: &dyn Run, layer: usize, query: usize) -> Result<Vec<Arc<HeadRow>>> {
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

/// The attention probabilities of a head, or of all heads of `layer` together, over the whole run.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` says so; if neither patterns nor queries and keys were captured.
pub fn pattern_of(run: &dyn Run, layer: usize, pick: Pick, control: &Control) -> Result<Pattern> {
    let heads = match pick {
        Pick::One(head) => head..head + 1,
        Pick::Mean | Pick::Max => 0..run.meta().dims.heads,
    };
    let readers = heads.map(|head| reader(run, layer, head)).collect::<Result<Vec<_>>>()?;
    let n = run.tokens().len();
    let mut pattern = Pattern { n, weights: Vec::with_capacity(n * (n + 1) / 2) };
    let mut row = Vec::new();
    for query in 0..n {
        control.check()?;
        let mut together = Together::new(pick, readers.len());
        for reader in &readers {
            reader.row(query, &mut row).with_context(not_captured)?;
            together.add(&row);
        }
        pattern.weights.extend(together.done());
    }
    Ok(pattern)
}

/// Weights of several heads put together one by one.
pub struct Together {
    pick: Pick,
    heads: usize,
    weights: Vec<f32>,
}

impl Together {
    /// Nothing yet of `heads` heads.
    pub fn new(pick: Pick, heads: usize) -> Self {
        Self { pick, heads, weights: Vec::new() }
    }

    /// Takes in the weights of one more head.
    pub fn add(&mut self, weights: &[f32]) {
        if self.weights.is_empty() {
            self.weights.extend_from_slice(weights);
            return;
        }
        for (all, weight) in self.weights.iter_mut().zip(weights) {
            *all = if self.pick == Pick::Max { all.max(*weight) } else { *all + weight };
        }
    }

    /// The mean or the maximum of all; the weights themselves of one head.
    pub fn done(mut self) -> Vec<f32> {
        if self.pick == Pick::Mean {
            self.weights.iter_mut().for_each(|weight| *weight /= self.heads as f32);
        }
        self.weights
    }
}
