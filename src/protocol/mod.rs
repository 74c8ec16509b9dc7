//! Requests of the screen to the engine, and its answers: plain data.

mod ask;
mod derive;
mod event;
mod history;
mod job;
mod progress;

pub use ask::{Ask, RequestId};
pub use derive::{Derive, DeriveKind, Derived, MapPart, MapRequest, OtherRun, Spelled};
pub use event::{EditsFound, Event, Failure, Outcome};
pub use history::{Branches, FormerRun, Revision, RunAction};
pub use job::JobKind;
pub use progress::{Download, FileShare, Memory};
