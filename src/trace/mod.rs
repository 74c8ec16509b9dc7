//! What was observed of a run: the common language of every other room.
//!
//! Plain numbers and text only. Per-token records are shared behind [`std::sync::Arc`], so keeping a branch or
//! a snapshot costs one pointer a token.

mod attribution;
mod beside;
mod beside_rows;
mod branches;
mod close_calls;
pub mod compare;
mod device;
mod file;
mod head_stats;
mod hooks;
mod lab;
mod lens;
mod load;
mod meta;
mod next;
pub mod palette;
mod pattern;
mod pooled;
pub mod protocol;
mod record;
mod report;
pub mod routing;
mod text;
pub mod view;

pub use attribution::{Attribution, AttributionKey, ExpertShare, LayerShares};
pub use beside::{Differences, LayerPartings, Parting, parting, same_experts, shared};
pub use beside_rows::{FlipRow, LossRow};
pub use branches::{Branches, Edit, Left};
pub use close_calls::{CloseCall, close_calls, keep_narrowest};
pub use device::Device;
pub use file::{
    FORMAT, LensTable, Spelling, Tables, TraceFile, TracePlan, TraceReader, TraceTensor, Values, hook_values,
    replace_file, token_ids,
};
pub use head_stats::{Earlier, HeadScorer, HeadScores, HeadStats, Measure};
pub use hooks::{Hook, HookKind};
pub use lab::{Lab, LabEqual, LabFlip, LabLayer, LabRow, LabToken};
pub use lens::{Lead, LensCell, LensKey, LensMeasure, LensSite};
pub use load::{LayerStats, MOST_PAIRED, RunStats};
pub use meta::{Dims, Dtype, Meta, Policy, Recording, Sampling};
pub use next::{Tempered, WhatIf};
pub use pattern::{HeadColumn, HeadMap, HeadRow, Pattern, Pick};
pub use pooled::Pooled;
pub use record::{Candidate, HookValues, Prediction, Row, Score, Source, TokenRecord};
pub use report::{Finding, Level, Report};
pub use text::{duration, is_obeyed, size};

use std::sync::Arc;

/// A run as far as it has come: what is known of the model, and one record a token.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The model and how it was run.
    pub meta: Arc<Meta>,
    /// One record a position, BOS included.
    pub tokens: Vec<Arc<TokenRecord>>,
}

impl Trace {
    /// An empty run of the model that `meta` describes.
    pub fn new(meta: Arc<Meta>) -> Self {
        Self { meta, tokens: Vec::new() }
    }

    /// Mean loss of the run, see [`mean_loss`].
    pub fn mean_loss(&self) -> Option<f64> {
        mean_loss(&self.tokens)
    }
}

/// Mean negative log-likelihood in nats over the tokens that were predicted (all but the first); `None` while there is
/// none.
pub fn mean_loss(tokens: &[Arc<TokenRecord>]) -> Option<f64> {
    let nll = tokens.iter().filter_map(|token| token.score).map(|score| f64::from(score.nll));
    let (sum, count) = nll.fold((0.0, 0usize), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}
