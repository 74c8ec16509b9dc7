//! The run: requests to the engine, its events, and derived values.

mod baseline;
mod bounded;
mod branches;
mod commands;
mod derived;
mod edits;
mod events;
mod opening;

mod save;
mod saving;
mod second;
mod tokens;
mod tree;
mod undo;
mod wanted;
mod work;

pub use baseline::{Baseline, Recorded};
pub use derived::Derivations;
pub use edits::{EditList, ListedEdit};
pub use opening::Opening;
pub use save::{Save, ViewFiles};
pub use second::SecondPrompt;
pub use tree::{BranchRow, Place, RunTree, TreeNode};
pub use wanted::{Wanted, WantedBaseline, WantedExperiments};
pub use work::{Job, Pace};
