use super::ask::RequestId;
use super::derive::Derived;
use super::history::{FormerRun, Revision};
use super::progress::{Download, Memory};
use crate::analysis::Lab;
use crate::trace::{EditNote, Meta, Piece, Prompt, TokenRecord};
use std::sync::Arc;

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done completely.
    Done,
    /// It was paused or replaced by a later request.
    Cancelled,
    /// The model produced its end-of-text token.
    EndOfText,
    /// The run is as long as the model's context.
    ContextFull,
}

/// An error as the screen shows it: one sentence, with the causes one key away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub summary: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
}

impl Failure {
    /// The failure that an error with its contexts describes.
    pub fn of(error: &anyhow::Error) -> Self {
        let mut chain = error.chain().map(ToString::to_string);
        Self { summary: chain.next().unwrap_or_default(), causes: chain.collect() }
    }
}

/// What edits do to the run, compared with the same tokens without edits.
#[derive(Clone, Debug, PartialEq)]
pub struct EditsFound {
    /// The edits, with their sites.
    pub notes: Vec<EditNote>,
    /// Change of the mean loss, nats a token; `None` for a run of one token.
    pub loss_change: Option<f64>,
    /// The position of the cursor, and KL(without ‖ with the edits) of the distribution after it, nats.
    pub kl: (usize, f64),
    /// Tokens that chose other experts, except where the edits themselves chose.
    pub flips: usize,
    /// The first position after which another token is most probable, and both tokens.
    pub first: Option<(usize, [Piece; 2])>,
}

/// A report of the engine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A model is being downloaded.
    Opening {
        /// The request.
        id: RequestId,
        /// Its progress.
        download: Download,
    },
    /// A model is open. The model that was open before is closed and its run is gone.
    Ready {
        /// The request that opened it.
        id: RequestId,
        /// The model.
        meta: Arc<Meta>,
    },
    /// Where the weights are.
    Memory(Memory),
    /// Progress of a request.
    Progress {
        /// The request.
        id: RequestId,
        /// Units done.
        done: usize,
        /// Units in all; 0 if there is no end.
        total: usize,
    },
    /// The run now consists of its first `keep` tokens followed by `tokens`.
    Tokens {
        /// The request that caused this.
        id: RequestId,
        /// Tokens of the earlier run that are still valid.
        keep: usize,
        /// The new tokens.
        tokens: Vec<Arc<TokenRecord>>,
        /// Time that the model took for the new tokens, ms.
        ms: f64,
    },
    /// Something worth knowing that does not stop the work.
    Warning(String),
    /// The run continues under another policy or other edits; its tokens follow.
    Switched(Arc<Meta>),
    /// What the edits do, compared with the run without them.
    Edited(Box<EditsFound>),
    /// The same tokens under several policies.
    Lab(Arc<Lab>),
    /// An action changed the run; its tokens were sent before.
    Acted {
        /// The run before the action.
        former: FormerRun,
        /// How many actions can be undone now.
        undos: usize,
        /// The prompt of the current run, if known.
        prompt: Option<Prompt>,
    },
    /// An action was undone or redone; the tokens were sent before.
    Revised(Revision),
    /// A derived value is ready.
    Derived {
        /// The request.
        id: RequestId,
        /// The value.
        result: Derived,
    },
    /// The request is over.
    Finished {
        /// The request.
        id: RequestId,
        /// How.
        outcome: Outcome,
    },
    /// The request failed; everything computed before is still valid.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// The engine's thread has ended and will not answer any more.
    Gone(Failure),
}
