//! Every number that follows from a run's records without a model: margins, usage, head scores, comparisons.
//!
//! Pure functions and their results. No candle, terminal, thread, clock or file.

mod attribution;
mod beside;
mod beside_rows;
mod close_calls;
pub mod colour_map;
pub mod compare;
mod head_stats;
mod lab;
mod lens;
mod loss;
mod next;
mod pattern;
mod pooled;
pub mod routing;
mod usage;
pub mod view;

pub use attribution::{Attribution, AttributionKey, ExpertShare, LayerShares};
pub use beside::{Differences, LayerPartings, Parting, parting, same_experts, shared};
pub use beside_rows::{FlipRow, LossRow};
pub use close_calls::{CloseCall, close_calls, keep_narrowest};
pub use head_stats::{Earlier, HeadScorer, HeadScores, HeadStats, Measure};
pub use lab::{Lab, LabEqual, LabFlip, LabLayer, LabRow, LabToken};
pub use lens::{Lead, LensMeasure};
pub use loss::mean_loss;
pub use next::{Tempered, WhatIf};
pub use pattern::{HeadColumn, HeadMap, HeadRow, Pattern, Pick};
pub use pooled::Pooled;
pub use usage::{LayerStats, MOST_PAIRED, RunStats};
