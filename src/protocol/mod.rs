//! What the screen asks of the engine and what the engine answers: plain data.

mod branches;

pub use branches::{Branches, Edit, Left};

use crate::analysis::view::Trajectory;
use crate::analysis::{
    Attribution, AttributionKey, HeadColumn, HeadMap, HeadRow, HeadScores, HeadStats, Lab, Pick, Tempered, WhatIf,
};

use crate::trace::{LensCell, LensKey, Meta, Policy, Prompt, Sampling, Source, TokenRecord};

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

/// Names a request, so that answers can be told apart; later requests have larger ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the engine can be asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Open this model (as the MODEL argument names it) and go over to it once it is open.
    Open(String),
    /// Make this the prompt: keep what it shares with the run so far, compute the rest.
    Prompt(Prompt),
    /// Sample and read `count` tokens, or go on until stopped.
    Step {
        /// How many; `None` = until paused, the end of text or the end of the context.
        count: Option<usize>,
        /// How to choose them.
        sampling: Sampling,
    },
    /// Read this token next, whatever the model would have chosen.
    ForceToken(u32),
    /// Forget everything from position `len` on and read this token there: one edit.
    Branch {
        /// Tokens to keep; at least one is kept.
        len: usize,
        /// The token.
        token: u32,
    },
    /// Tokenise this text (no special tokens) and read it next.
    ForceText(String),
    /// Forget the last token, whichever that is when it is this request's turn.
    Back,
    /// Forget everything from position `len` on.
    Truncate {
        /// Tokens to keep; at least one is kept.
        len: usize,
    },
    /// Run the same tokens under another precision policy.
    Policy(Policy),
    /// Read the tokens under every policy that can differ and compare; the run stays as it is.
    Lab {
        /// Tokens to generate under each.
        steps: usize,
    },
    /// Make this the run, read from the start.
    Restore {
        /// The prompt it began with, if that is known.
        prompt: Option<Prompt>,
        /// Ids and where they came from.
        tokens: Vec<(u32, Source)>,
        /// What can be undone and done again from there.
        branches: Branches,
    },
    /// Go back to the run before the last edit.
    Undo,
    /// Go on to the run after the last edit that was undone.
    Redo,
    /// Derive what a view is missing.
    Derive(Derive),
}

/// Views derived from stored activations.
#[derive(Clone, Debug, PartialEq)]
pub enum Derive {
    /// Logit lens cells.
    Lens {
        /// The cells wanted.
        cells: Vec<LensKey>,
    },
    /// The way of tokens through all layers, after one position.
    Trajectories {
        /// Position in the run.
        pos: usize,
        /// Token ids.
        targets: Vec<u32>,
    },
    /// The distribution after one position as it is sampled from.
    Tempered {
        /// Position in the run.
        pos: usize,
        /// Temperature, top-k, top-p.
        sampling: Sampling,
    },
    /// What would follow each of these tokens, if it were read after one position. Only done while nothing else is to do.
    WhatIf {
        /// Position in the run.
        pos: usize,
        /// Token ids.
        ids: Vec<u32>,
    },
    /// The tokens of texts that go on where the run ends.
    Spell {
        /// The texts.
        texts: Vec<String>,
    },
    /// Pooled maps of several heads.
    HeadMaps {
        /// Layer, head or heads, and the largest number of cells a side; most wanted first.
        maps: Vec<(usize, Pick, usize)>,
    },
    /// Where the heads of a layer look from one position: each, their mean and their maximum.
    HeadRows {
        /// Decoder layer.
        layer: usize,
        /// Position of the query.
        query: usize,
    },
    /// What a logit is made of, looking into one layer.
    Attribution(AttributionKey),
    /// Who looks at one position.
    HeadColumns {
        /// Decoder layer.
        layer: usize,
        /// Of which head.
        pick: Pick,
        /// Position of the key.
        key: usize,
    },
    /// What heads do on this text.
    HeadStats {
        /// (layer, head) pairs, most wanted first.
        heads: Vec<(usize, usize)>,
    },
    /// What every head does on random tokens given twice.
    HeadScores,
    /// The run's tokens read under another policy. Only done while nothing else is to do.
    Beside {
        /// The policy.
        policy: Policy,
        /// Records of it that need not be told.
        have: usize,
        /// Tokens of the run.
        len: usize,
    },
    /// Lens cells of the run under another policy.
    BesideLens {
        /// The policy.
        policy: Policy,
        /// The cells wanted.
        cells: Vec<LensKey>,
    },
}

/// Requests for derived views of one lane replace each other.
pub type Lane = Discriminant<Derive>;

impl Derive {
    /// The lane of this request.
    pub fn lane(&self) -> Lane {
        discriminant(self)
    }

    /// Whether everything else comes first.
    pub fn is_background(&self) -> bool {
        matches!(self, Self::WhatIf { .. } | Self::Beside { .. })
    }
}

/// A text and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled {
    /// The text.
    pub text: String,
    /// Id and the tokenizer's spelling of each token.
    pub tokens: Vec<(u32, Arc<str>)>,
}

/// An answer to [`Derive`].
#[derive(Clone, Debug)]
pub enum Derived {
    /// Lens cells.
    Lens(Vec<(LensKey, Arc<LensCell>)>),
    /// The position, and one trajectory a target.
    Trajectories(usize, Vec<Arc<Trajectory>>),
    /// A distribution as it is sampled from; `None` if its position is no longer there.
    Tempered(Option<Arc<Tempered>>),
    /// What would follow.
    WhatIf(Vec<Arc<WhatIf>>),
    /// The texts and their tokens.
    Spelled(Vec<Spelled>),
    /// Head maps.
    HeadMaps(Vec<Arc<HeadMap>>),
    /// Head rows.
    HeadRows(Vec<Arc<HeadRow>>),
    /// Shares in a logit.
    Attribution(Arc<Attribution>),
    /// Head columns.
    HeadColumns(Vec<Arc<HeadColumn>>),
    /// (layer, head, figures).
    HeadStats(Vec<(usize, usize, HeadStats)>),
    /// Of every head.
    HeadScores(Arc<HeadScores>),
    /// A part of the run under another policy.
    Beside {
        /// The model under that policy.
        meta: Arc<Meta>,
        /// Tokens told before that still stand.
        keep: usize,
        /// Those behind them.
        tokens: Vec<Arc<TokenRecord>>,
    },
    /// Lens cells of the run under another policy.
    BesideLens(Policy, Vec<(LensKey, Arc<LensCell>)>),
}

/// Why a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// Paused or replaced by a later request.
    Cancelled,
    /// The model produced its end-of-text token.
    EndOfText,
    /// The run is as long as the model's context.
    ContextFull,
}

/// An error as the screen shows it: one sentence, and the causes one key away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub summary: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
}

impl Failure {
    /// From an error with its contexts.
    pub fn of(error: &anyhow::Error) -> Self {
        let mut chain = error.chain().map(ToString::to_string);
        Self { summary: chain.next().unwrap_or_default(), causes: chain.collect() }
    }
}

/// How far a file of a download is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileShare {
    /// Its name; untrusted text.
    pub name: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0 if not known yet.
    pub total: u64,
    /// What is being done with it, one word.
    pub doing: &'static str,
}

/// How far a download is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Download {
    /// Its files.
    pub files: Vec<FileShare>,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second, lately.
    pub per_second: f64,
    /// Seconds left at that rate, if it can be said.
    pub seconds_left: Option<f64>,
    /// What is unusual about it, one sentence or nothing.
    pub note: String,
}

/// Where the weights of the open model are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Share of the mapped weights that is in memory, from samples.
    pub resident: f32,
    /// Experts that were in memory when the router chose them, in the last pass.
    pub hits: u64,
    /// Experts that had to be read from disk, in the last pass.
    pub misses: u64,
}

/// An edit that was undone or done again.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The run that was on screen before.
    pub left: Left,
    /// Whether it was undone.
    pub back: bool,
    /// The prompt that belongs to the run as it is now; `None` before the first.
    pub prompt: Option<Prompt>,
    /// Edits that can still be undone.
    pub undos: usize,
    /// Edits that can be done again.
    pub redos: usize,
}

/// What the engine reports.
#[derive(Clone, Debug)]
pub enum Event {
    /// A model is being downloaded.
    Opening {
        /// The request.
        id: RequestId,
        /// How far.
        download: Download,
    },
    /// A model is open; whatever was open before is closed, and its run gone.
    Ready {
        /// The request that opened it.
        id: RequestId,
        /// What is known of it.
        meta: Arc<Meta>,
    },
    /// Where the weights are.
    Memory(Memory),
    /// Work on `id` has come this far.
    Progress {
        /// The request.
        id: RequestId,
        /// Units done.
        done: usize,
        /// Units in all; 0 if it has no end.
        total: usize,
    },
    /// The run now consists of its first `keep` tokens and then these.
    Tokens {
        /// The request that brought them.
        id: RequestId,
        /// Tokens of the earlier run that still stand.
        keep: usize,
        /// The new ones.
        tokens: Vec<Arc<TokenRecord>>,
        /// Time the model took for them, ms.
        ms: f64,
    },
    /// Something worth knowing that stops nothing.
    Warning(String),
    /// The run goes on under another policy; its tokens follow.
    Switched(Arc<Meta>),
    /// What the same tokens are under several policies.
    Lab(Arc<Lab>),
    /// The run was edited; the tokens were told before.
    Edited {
        /// The run before.
        left: Left,
        /// Edits that can be undone now.
        undos: usize,
    },
    /// An edit was undone or done again; the tokens were told before.
    Revised(Revision),
    /// A view was derived.
    Derived {
        /// The request.
        id: RequestId,
        /// The result.
        result: Derived,
    },
    /// The request is over.
    Finished {
        /// The request.
        id: RequestId,
        /// How.
        outcome: Outcome,
    },
    /// The request failed; what was computed before still stands.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        failure: Failure,
    },
    /// The engine's thread has ended and won't answer any more.
    Gone(Failure),
}
