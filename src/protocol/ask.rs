use super::derive::Derive;
use super::history::Branches;
use crate::trace::{Edit, Policy, Prompt, Sampling, Source};

/// Identifies a request, so that answers can be matched to it. Later requests have larger ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request to the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Open this model (spelled like the MODEL argument) and switch to it once it is open.
    Open(String),
    /// Make this the prompt: keep what it shares with the current run, compute the rest.
    Prompt(Prompt),
    /// Sample and read `count` tokens.
    Step {
        /// How many; `None` = until paused, the end of text or the end of the context.
        count: Option<usize>,
        /// How tokens are chosen.
        sampling: Sampling,
    },
    /// Read this token next, whatever the model would have chosen.
    ForceToken(u32),
    /// Forget all tokens from position `len` on and read `token` there, as one action.
    Branch {
        /// Tokens to keep; at least one is kept.
        len: usize,
        /// The token to read.
        token: u32,
    },
    /// Tokenise this text (no special tokens) and read it next.
    ForceText(String),
    /// Forget the token that is last when the engine reaches this request.
    Back,
    /// Forget all tokens from position `len` on.
    Truncate {
        /// Tokens to keep; at least one is kept.
        len: usize,
    },
    /// Run the same tokens under another precision policy.
    Policy(Policy),
    /// Run the same tokens under these edits in place of those of the run.
    Edits {
        /// The edits.
        edits: Vec<Edit>,
        /// The position of the cursor, at which their effect is measured.
        at: usize,
    },
    /// Read the tokens under every policy that can differ and compare them; the run stays as it is.
    Lab {
        /// Tokens to generate under each policy.
        steps: usize,
    },
    /// Make this the run and read it from the start.
    Restore {
        /// The prompt that it began with, if known.
        prompt: Option<Prompt>,
        /// Ids and sources of the tokens.
        tokens: Vec<(u32, Source)>,
        /// What can be undone and redone from there.
        branches: Branches,
        /// The edits of the pass.
        edits: Vec<Edit>,
    },
    /// Make another run this run: read what it does not share with those that are kept.
    GoTo {
        /// The prompt that it began with, if known.
        prompt: Option<Prompt>,
        /// Ids and sources of its tokens.
        tokens: Vec<(u32, Source)>,
        /// Its policy.
        policy: Policy,
        /// Its edits.
        edits: Vec<Edit>,
    },
    /// Go back to the run before the last action.
    Undo,
    /// Go forward to the run after the last undone action.
    Redo,
    /// Derive what a view is missing.
    Derive(Derive),
}
