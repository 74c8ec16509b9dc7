//! The run: what the engine does and reports, and what was derived from it.

mod beside;
mod bounded;
mod derived;
mod events;
mod opening;
mod playback;
mod saving;
mod tokens;
mod wanted;
mod work;

pub use beside::{Beside, Recorded};
pub use derived::Derivations;
pub use opening::Opening;
pub use saving::Save;
pub use wanted::{Wanted, WantedBeside};
pub use work::{Job, Pace};
