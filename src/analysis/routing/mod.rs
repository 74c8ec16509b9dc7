//! The choice of experts: how they rank, how narrowly they were chosen, and what chance alone would give.

mod at_random;
mod choice;
mod closest_calls;
mod exchange;
mod margin;
mod top_k;

pub use at_random::{Repeats, repeats_at_random, together_at_random};
pub use choice::{TokenRouting, ranked};
pub use closest_calls::{CloseCall, closest_calls, keep_narrowest};
pub use exchange::{Exchange, exchange};
pub use margin::Margin;
pub use top_k::top_k;
