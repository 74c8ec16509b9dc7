//! How often experts are chosen over a run: counts that grow with each token and shrink when tokens are forgotten.
//!
//! Counting a token reads only that token's routing. Forgetting it subtracts exactly what counting it added. So the
//! counts always equal a count from the start, whatever the length of the run.

mod layer;
mod measure;
mod run;
mod sum;

pub use layer::{LayerUsage, MOST_PAIRED};
pub use measure::UsageMeasure;
pub use run::RunUsage;
