//! The forward pass: `forward.rs` reads from top to bottom, the other files are its steps.

pub(super) mod attention;
mod cache;
mod context;
pub(super) mod experts;
mod forward;
mod gate;
mod hooks;
pub(super) mod mixture;
mod model;
pub(super) mod norm;
pub(super) mod ops;
mod outputs;
mod rope;
pub mod router;
mod tally;
mod variation;

pub use cache::KvCache;
pub use experts::Paging;
pub use forward::Pass;
pub use hooks::{At, AtIds, Hooks, NoHooks, at, at_ids};
pub use model::Model;
pub use ops::SoftmaxNorm;
pub use outputs::Outputs;
pub use tally::Tally;
pub use variation::Variation;
