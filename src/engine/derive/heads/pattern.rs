//! Whole attention patterns, for tables and pictures.

use super::together::Together;
use super::{not_captured, reader};
use crate::analysis::{Pattern, Pick};
use crate::control::Control;
use crate::engine::run::Run;
use crate::model::derive_pattern;
use anyhow::{Context, Result};

/// The attention probabilities of one head over the whole run.
///
/// # Errors
/// If neither patterns nor queries and keys were captured.
pub fn pattern(run: &Run, layer: usize, head: usize) -> Result<Pattern> {
    let (meta, round) = (run.meta(), run.precision().module);
    derive_pattern(run.tokens(), (layer, head), (meta.dims, &meta.scores), round, run.cuts(layer))
        .with_context(not_captured)
}

/// The attention probabilities of a head, or of all heads of `layer` combined, over the whole run.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if neither patterns nor queries and keys were
/// captured.
pub fn pattern_of(run: &Run, layer: usize, pick: Pick, control: &Control) -> Result<Pattern> {
    let readers = pick.heads(run.meta().dims.heads).map(|head| reader(run, layer, head)).collect::<Result<Vec<_>>>()?;
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
