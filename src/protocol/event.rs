use super::ask::RequestId;
use super::derive::Derived;
use super::history::{FormerRun, Revision};
use super::progress::{Download, Memory};
use crate::analysis::Lab;
use crate::trace::{Meta, TokenRecord};
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
    /// The run continues under another policy; its tokens follow.
    Switched(Arc<Meta>),
    /// The same tokens under several policies.
    Lab(Arc<Lab>),
    /// An action changed the run; its tokens were sent before.
    Acted {
        /// The run before the action.
        former: FormerRun,
        /// How many actions can be undone now.
        undos: usize,
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
