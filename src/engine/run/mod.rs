//! A run: tokens with their records, of a model that is open or read from a trace file.

mod capture;
mod live;
mod replay;

pub use capture::Capture;
pub use live::{Live, OnTokens};
pub use replay::Replay;

use crate::model::{Cuts, Precision};
use crate::trace::{Meta, Records, Source, TokenRecord};
use anyhow::{Context, Result};
use std::sync::Arc;

/// Why a replay can't answer.
const NO_MODEL: &str = "this is a saved run without a model: o opens a model";

/// What views are drawn and derived from. Cloning it is a branch: the records are shared.
#[derive(Clone)]
pub enum Run {
    /// A run of an open model, which can continue it.
    Live(Live),
    /// A run from a trace file, which does not change.
    Replay(Replay),
}

impl Run {
    /// The model and how it was run.
    pub fn meta(&self) -> &Arc<Meta> {
        match self {
            Self::Live(live) => live.meta(),
            Self::Replay(replay) => replay.meta(),
        }
    }

    /// The records so far.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        match self {
            Self::Live(live) => live.tokens(),
            Self::Replay(replay) => replay.tokens(),
        }
    }

    /// The rounding under which it was computed.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Live(live) => live.precision(),
            Self::Replay(replay) => replay.precision(),
        }
    }

    /// The keys that an edit hides from queries in `layer`, if there is such an edit.
    pub fn cuts(&self, layer: usize) -> Option<Cuts> {
        match self {
            Self::Live(live) => live.edits()?.cuts(layer),
            Self::Replay(replay) => {
                let prompt = replay.tokens().iter().take_while(|token| token.source == Source::Prompt).count();
                Cuts::of(replay.meta().edits.iter(), layer, prompt)
            }
        }
    }

    /// The run as a trace that shares its records.
    pub fn records(&self) -> Records {
        Records { meta: self.meta().clone(), tokens: self.tokens().to_vec() }
    }

    /// The run with its model, if a model is open.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            Self::Replay(_) => None,
        }
    }

    /// As [`Run::live`], for what a replay can't do.
    ///
    /// # Errors
    /// If it is a replay.
    pub fn need_live(&self) -> Result<&Live> {
        self.live().context(NO_MODEL)
    }

    /// As [`Run::need_live`].
    ///
    /// # Errors
    /// If it is a replay.
    pub fn need_live_mut(&mut self) -> Result<&mut Live> {
        match self {
            Self::Live(live) => Ok(live),
            Self::Replay(_) => Err(anyhow::anyhow!(NO_MODEL)),
        }
    }
}

impl From<Live> for Run {
    fn from(live: Live) -> Self {
        Self::Live(live)
    }
}

impl From<Replay> for Run {
    fn from(replay: Replay) -> Self {
        Self::Replay(replay)
    }
}
