//! What the screen asks of the engine and what the engine answers: plain data.

mod ask;
mod derive;
mod direction;
mod event;
mod history;
mod progress;

pub use ask::{Ask, RequestId};
pub use derive::{Derive, DeriveKind, Derived, Spelled};
pub use direction::Direction;
pub use event::{Event, Failure, Outcome};
pub use history::{Branches, FormerRun, Revision, RunAction};
pub use progress::{Download, FileShare, Memory};
