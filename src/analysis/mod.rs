//! Every number that follows from a run's records without a model: margins, usage, head scores, differences of two runs.
//!
//! Pure functions and their results. No candle, terminal, thread, clock or file.

mod alignment;
mod attribution;
pub mod colour_map;
pub mod diff;
mod distribution;
mod effect;
mod effect_map;
mod heads;
mod lab;
mod lens;
mod loss;
mod model_shares;
mod next;
pub mod routing;
mod side_by_side;
pub mod sweep;
pub mod tables;
mod usage;
pub mod view;

pub use alignment::{Aligned, align};
pub use attribution::{Attribution, AttributionKey, EditShare, ExpertShare, LayerShares};
pub use distribution::entropy;
pub use effect::{Effect, FirstDifference, LayerEffect, Measures, NULL_MEASURES, Null, Place, PositionEffect, Watched};
pub use effect_map::{EffectMap, Found, How, MapAxis, MapKey, MapMeasure, MapOf, MapOver, PatchOver, Watch};
pub use heads::{
    Earlier, HeadColumn, HeadMap, HeadRow, HeadScorer, HeadScores, HeadStats, Measure, MeasuredOn, Pattern, Pick,
    Pooled,
};
pub use lab::{Lab, LabEqual, LabFlip, LabLayer, LabRow, LabToken};
pub use lens::{Lead, LensMeasure, Trajectory};
pub use loss::mean_loss;
pub use model_shares::{ModelPart, ModelShares, Share};
pub use next::{Tempered, WhatIf};
pub use side_by_side::Distance;
pub use usage::{LayerUsage, MOST_PAIRED, RunUsage, UsageMeasure};
