//! What experts do over a corpus: exact counts and sums that merge in any order.
//!
//! Counts are integers, and every number that is summed is rounded once to a multiple of 2⁻⁶⁴, so that shards computed
//! anywhere give the bits of one run. Means are made where tables are written.

mod about;
mod contexts;
mod counts;
mod file;
mod hash;
mod null;
mod reading;
mod shape;
mod state;
mod sum;
#[cfg(test)]
mod tests;
mod view;
mod vocabulary;

pub use about::{About, CorpusAbout, Cursor, ModelAbout, Shard, SweepOptions};
pub use contexts::{Contexts, PickedBy, Sample};
pub use counts::{Count, Counts, Total};
pub use null::{Chance, Unit, Units};
pub use reading::{LayerReading, Phase, Place, Reading};
pub use shape::Shape;
pub use state::{Group, Sweep, Wide};
pub use sum::Sum;
pub use view::{SweepGrid, SweepMeasure, SweepSpec, SweepView, VocabularyEntry};
pub use vocabulary::{TokenKind, Vocabulary};
