//! Attention heads: their patterns, their scores, and the maps and rows that views show.

mod map;
mod measure;
mod measured_on;
mod pattern;
mod pick;
mod pooled;
mod rows;
mod scorer;
mod stats;

pub use map::HeadMap;
pub use measure::Measure;
pub use measured_on::MeasuredOn;
pub use pattern::Pattern;
pub use pick::Pick;
pub use pooled::Pooled;
pub use rows::{HeadColumn, HeadRow};
pub use scorer::{Earlier, HeadScorer};
pub use stats::{HeadScores, HeadStats};
