//! The tree of runs: every run that an action led to. Undo and redo know one way through it; the tree keeps them all.

mod bounds;
mod grow;
mod restore;
mod rows;
#[cfg(test)]
mod tests;

pub(in crate::state) use bounds::Deleted;
pub use rows::BranchRow;

use crate::protocol::RunAction;
use crate::trace::{Edit, Policy, Prompt, Source};
use serde::{Deserialize, Serialize};

/// A run of the tree. It begins with tokens of its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Identifies it while other nodes come and go.
    pub id: u32,
    /// The index of the node that the action began with; `None` if that run was empty.
    pub parent: Option<usize>,
    /// The action that led to it.
    pub action: RunAction,
    /// The prompt that it began with, if known.
    pub prompt: Option<Prompt>,
    /// The policy under which it was computed.
    pub policy: Policy,
    /// The edits of its pass, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
    /// How many tokens at its start are also those of the parent.
    pub keep: usize,
    /// Ids and sources of its own tokens, which follow them.
    pub rest: Vec<(u32, Source)>,
    /// Its first own tokens as they are shown, as far as they were on screen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<String>,
    /// Its mean loss, nats a token, if it was on screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f32>,
    /// The name that the user gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl TreeNode {
    /// The number of its tokens.
    pub fn len(&self) -> usize {
        self.keep + self.rest.len()
    }

    /// Whether it has no token; a tree keeps no such node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its name, or its action without an article: `forced token`.
    pub fn label(&self) -> &str {
        let action = self.action.name();
        self.name.as_deref().unwrap_or_else(|| action.strip_prefix("the ").unwrap_or(action))
    }

    /// Whether both are computed under the same policy and edits.
    fn is_computed_as(&self, policy: Policy, edits: &[String]) -> bool {
        self.policy == policy && self.edits == edits
    }

    /// Its edits.
    ///
    /// # Errors
    /// If a session holds a line that is no edit.
    pub fn parsed_edits(&self) -> anyhow::Result<Vec<Edit>> {
        self.edits.iter().map(|edit| edit.parse()).collect()
    }
}

/// The place of the run on screen: the first tokens of a node. After steps back it may be inside the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The index of the node.
    pub node: usize,
    /// How many of its tokens.
    pub len: usize,
}

/// The run on screen, or a former one, as the tree takes it.
pub(in crate::state) struct RunNow<'a> {
    /// The action that led to it.
    pub action: RunAction,
    /// The prompt that it began with, if known.
    pub prompt: Option<Prompt>,
    /// Its policy.
    pub policy: Policy,
    /// Its edits, as text.
    pub edits: Vec<String>,
    /// Ids and sources of its tokens.
    pub tokens: Vec<(u32, Source)>,
    /// Its tokens as they are shown; empty if it is not on screen.
    pub shown: &'a [(String, u16)],
    /// Its mean loss, nats a token.
    pub loss: Option<f32>,
}

/// The tree of runs. The empty run is its root and has no node. A parent comes before its children.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunTree {
    nodes: Vec<TreeNode>,
    current: Option<Place>,
}

impl RunTree {
    /// Whether it has no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Its nodes, parents before their children.
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// The node with this id, and its index.
    pub fn find(&self, id: u32) -> Option<(usize, &TreeNode)> {
        self.nodes.iter().enumerate().find(|(_, node)| node.id == id)
    }

    /// The place of the run on screen; `None` for the empty run.
    pub fn current(&self) -> Option<Place> {
        self.current
    }

    /// The edits of all nodes, as text.
    pub fn edits_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.nodes.iter_mut().flat_map(|node| &mut node.edits)
    }

    /// Ids and sources of the tokens of a node.
    pub fn tokens(&self, node: usize) -> Vec<(u32, Source)> {
        let Some(of) = self.nodes.get(node) else { return Vec::new() };
        let mut tokens = of.parent.map_or_else(Vec::new, |parent| self.tokens(parent));
        tokens.truncate(of.keep);
        tokens.extend(&of.rest);
        tokens
    }

    /// Ids and sources of the tokens of the current place.
    pub fn current_tokens(&self) -> Vec<(u32, Source)> {
        let Some(place) = self.current else { return Vec::new() };
        let mut tokens = self.tokens(place.node);
        tokens.truncate(place.len);
        tokens
    }

    /// Whether a node is the run on screen, with all its tokens.
    pub fn is_current(&self, node: usize) -> bool {
        self.current.is_some_and(|place| place.node == node && place.len == self.nodes[node].len())
    }

    /// The node of the current place and the nodes above it, upwards.
    fn path(&self) -> impl Iterator<Item = usize> {
        let next = |node: &usize| self.nodes[*node].parent;
        std::iter::successors(self.current.map(|place| place.node), next)
    }

    /// The children of a node, or of the empty run.
    fn children(&self, parent: Option<usize>) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(move |node| self.nodes[*node].parent == parent)
    }

    /// Whether a node begins with these tokens.
    fn begins_with(&self, node: usize, tokens: &[(u32, Source)]) -> bool {
        let (mut at, mut end) = (node, tokens.len());
        if end > self.nodes[at].len() {
            return false;
        }
        loop {
            let of = &self.nodes[at];
            if end > of.keep {
                if of.rest[..end - of.keep] != tokens[of.keep..end] {
                    return false;
                }
                end = of.keep;
            }
            match of.parent {
                Some(parent) => at = parent,
                None => return end == 0,
            }
        }
    }
}
