use super::{Hook, HookKind};
use crate::trace::{Piece, Site};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The source of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Part of the prompt.
    Prompt,
    /// Sampled from the model.
    Generated,
    /// Chosen by the user.
    Forced,
}

impl Source {
    /// The word used in CSV files and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Generated => "generated",
            Self::Forced => "forced",
        }
    }
}

/// How well the model predicted a token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Negative log-likelihood given the tokens before it, nats.
    pub nll: f32,
    /// Entropy of the distribution that predicted the token, nats.
    pub entropy: f32,
    /// 1 + the number of tokens that were strictly more probable.
    pub rank: u32,
}

/// One entry of a next-token distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling of the token.
    pub piece: Piece,
    /// Logit.
    pub logit: f32,
    /// Probability at temperature 1.
    pub prob: f32,
}

/// The distribution of the token that comes next, before temperature. A saved run may lack it, see
/// [`Prediction::is_absent`].
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The most probable tokens, best first.
    pub top: Vec<Candidate>,
    /// Entropy of the whole distribution, nats.
    pub entropy: f32,
}

impl Prediction {
    /// The prediction of a saved run that lacks it: no candidate, entropy NaN.
    pub fn absent() -> Self {
        Self { top: Vec::new(), entropy: f32::NAN }
    }

    /// Whether the run lacks it.
    pub fn is_absent(&self) -> bool {
        self.top.is_empty() && self.entropy.is_nan()
    }
}

/// The values of one hook at one position.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Activations and probabilities.
    F32(Arc<[f32]>),
    /// Expert indices.
    U32(Arc<[u32]>),
}

impl Row {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U32(values) => values.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The captured values at one position, by hook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookValues {
    /// The index of each hook and its row, ascending by index.
    rows: Vec<(usize, Row)>,
    /// The number of hooks of the model.
    hooks: usize,
}

impl HookValues {
    /// No value yet, for a model with `layers` layers.
    pub fn new(layers: usize) -> Self {
        Self { rows: Vec::new(), hooks: Hook::count(layers) }
    }

    /// Keeps `row` for `hook`; a hook outside the model is ignored.
    pub fn insert(&mut self, hook: Hook, row: Row) {
        let index = hook.index();
        match self.rows.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => self.rows[at].1 = row,
            Err(at) if index < self.hooks => self.rows.insert(at, (index, row)),
            Err(_) => {}
        }
    }

    /// The values of the global hooks and of the layers below `layer`.
    pub fn below(&self, layer: usize) -> Self {
        let end = HookKind::ResidPre.at(layer).index();
        let rows = self.rows.iter().take_while(|(index, _)| *index < end).cloned().collect();
        Self { rows, hooks: self.hooks }
    }

    /// The row of `hook`, if it was captured.
    pub fn get(&self, hook: Hook) -> Option<&Row> {
        let at = self.rows.binary_search_by_key(&hook.index(), |(index, _)| *index).ok()?;
        Some(&self.rows[at].1)
    }
}

/// One token of a run: its id, how it was predicted, what was captured while the model read it, and the prediction after
/// it.
#[derive(Clone, Debug)]
pub struct TokenRecord {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling (`▁the`, `<0x0A>`); untrusted text.
    pub piece: Piece,
    /// Its source.
    pub source: Source,
    /// How well the model predicted it; `None` at position 0.
    pub score: Option<Score>,
    /// The prediction for the token after it.
    pub next: Arc<Prediction>,
    /// The captured activations.
    pub values: Arc<HookValues>,
    /// Where edits changed something, ascending.
    pub sites: Vec<Site>,
}

impl TokenRecord {
    /// The values of an f32 hook at this position.
    pub fn row(&self, kind: HookKind, layer: usize) -> Option<&[f32]> {
        match self.values.get(kind.at(layer))? {
            Row::F32(values) => Some(values),
            Row::U32(_) => None,
        }
    }

    /// The experts chosen in `layer`, best first.
    pub fn experts(&self, layer: usize) -> Option<&[u32]> {
        match self.values.get(HookKind::ExpertIndices.at(layer))? {
            Row::U32(values) => Some(values),
            Row::F32(_) => None,
        }
    }
}
