//! Edits: changes of the forward pass as data, one line of text each.

mod list;
mod parse;
mod print;
mod range;
mod span;
#[cfg(test)]
mod tests;

pub use list::parse_edits;
pub use span::{Picks, Scope, Span};

use super::hooks::HookKind;
use serde::{Deserialize, Serialize};

/// One change of the forward pass. Its text is read with [`str::parse`] and written with [`ToString`]; both agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The decoder layers.
    pub layers: Picks,
    /// The change.
    pub change: Change,
    /// The positions that it applies to.
    pub scope: Scope,
}

/// What an edit changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// These experts can't be chosen.
    Ban(Picks),
    /// These experts are chosen first.
    Force(Picks),
    /// Added to the router's logits of these experts.
    Bias(Picks, f32),
    /// The number of experts of a token.
    TopK(usize),
    /// The part's output is zero.
    Zero(Part),
    /// The part's output times a factor.
    Scale(Part, f32),
    /// The part's output is its mean over the prompt.
    Mean(Part),
    /// Queries can't see keys.
    Cut {
        /// The heads.
        heads: Picks,
        /// Positions of the queries.
        query: Span,
        /// Positions of the keys.
        key: Span,
    },
    /// A vector from a file, times a factor, is added to each row of a hook.
    Add {
        /// The hook.
        hook: HookKind,
        /// The file and the name of the vector in it.
        source: Source,
        /// The factor.
        factor: f32,
    },
    /// Rows of a hook are those of another run.
    Patch {
        /// What is replaced.
        what: Patched,
        /// The trace file of the other run.
        source: Source,
        /// The position in the other run of the first row; `None`: the positions of this run.
        from: Option<usize>,
    },
    /// The choice of experts is that of another run.
    Replay {
        /// The file.
        source: Source,
        /// Whether the mixing weights are recorded ones, too.
        weights: bool,
    },
}

/// A part of a layer with an output of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Experts: their weighted outputs.
    Experts(Picks),
    /// The shared expert.
    Shared,
    /// Heads: their outputs before `o_proj` (`attn.hook_z`).
    Heads(Picks),
    /// The attention block.
    Attn,
    /// The MLP block.
    Mlp,
}

/// What `patch` replaces.
#[derive(Clone, Debug, PartialEq)]
pub enum Patched {
    /// A hook with a row for each position.
    Hook(HookKind),
    /// Outputs of heads (`attn.hook_z`).
    Heads(Picks),
    /// Outputs of chosen experts (`mlp.hook_expert_out`), where both runs chose them.
    Experts(Picks),
}

/// A file that an edit reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its path, as it was typed.
    pub path: String,
    /// The name of a tensor in it.
    pub tensor: Option<String>,
}

/// A place where an edit changed something: one layer, at the position of the record that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The index of the edit among those of the run.
    pub edit: u16,
    /// The decoder layer.
    pub layer: u16,
    /// Whether the edits made the token choose other experts here than it would without them.
    pub chose: bool,
}

/// An edit of a saved run, with the number of its sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditNote {
    /// The text of the edit.
    pub edit: String,
    /// How many (position, layer) places it changed.
    pub sites: usize,
}

impl Edit {
    /// An edit at every position.
    pub fn new(layers: Picks, change: Change) -> Self {
        Self { layers, change, scope: Scope::Everywhere }
    }

    /// The same edit at these positions.
    #[must_use]
    pub fn at(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Whether what it does depends on the prompt: on its length, or on means over it.
    pub fn depends_on_prompt(&self) -> bool {
        matches!(self.change, Change::Mean(_)) || matches!(self.scope, Scope::Last | Scope::Prompt | Scope::Generated)
    }

    /// The same edit with its file, if it reads one, at another path.
    #[must_use]
    pub fn with_path(mut self, path: impl FnOnce(&str) -> String) -> Self {
        if let Change::Add { source, .. } | Change::Patch { source, .. } | Change::Replay { source, .. } =
            &mut self.change
        {
            source.path = path(&source.path);
        }
        self
    }

    /// The file that it reads.
    pub fn source(&self) -> Option<&Source> {
        match &self.change {
            Change::Add { source, .. } | Change::Patch { source, .. } | Change::Replay { source, .. } => Some(source),
            _ => None,
        }
    }
}
