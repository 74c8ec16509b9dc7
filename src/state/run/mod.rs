//! The run: requests to the engine, its events, and derived values.

mod bounded;
mod derived;
mod events;
mod opening;
mod playback;
mod saving;
mod tokens;
mod variant;
mod wanted;
mod work;

pub use derived::Derivations;
pub use opening::Opening;
pub use saving::Save;
pub use variant::{Recorded, Variant};
pub use wanted::{Wanted, WantedVariant};
pub use work::{Job, Pace};
