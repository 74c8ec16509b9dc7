//! What leaves the tree: the oldest runs when there are too many, and those that the user deletes. Names.

use super::{RunTree, TreeNode};
use std::collections::BTreeSet;

/// Own tokens of all nodes, at most.
pub const MOST_TOKENS: usize = 1 << 16;
/// Nodes, at most.
pub const MOST_NODES: usize = 256;
/// Names, at most: nodes with a name never go.
pub const MOST_NAMES: usize = 128;
// So the bound on nodes can be kept.
const _: () = assert!(MOST_NAMES < MOST_NODES);
/// Characters of a name, at most.
const MOST_OF_NAME: usize = 60;

/// What became of a request to delete a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// So many nodes are gone.
    Gone(usize),
    /// The branch leads to the current run.
    IsCurrent,
    /// The branch has a name, and the user has not said that it may go.
    HasName(String),
}

impl RunTree {
    /// Drops the oldest nodes without a name until the tree keeps its bounds, and returns how many. Leaves off the current
    /// path go first; if there are none, nodes between others, whose tokens the nodes below them take over. The current node
    /// and those with a name stay, whatever they hold.
    pub(in crate::state) fn bound(&mut self) -> usize {
        self.bound_to(MOST_NODES, MOST_TOKENS)
    }

    pub(super) fn bound_to(&mut self, most_nodes: usize, most_tokens: usize) -> usize {
        let mut dropped = 0;
        while self.nodes.len() > most_nodes || self.own_tokens() > most_tokens {
            let path: BTreeSet<usize> = self.path().collect();
            let current = self.current.map(|place| place.node);
            let can_go = |node: &usize| self.nodes[*node].name.is_none() && Some(*node) != current;
            let is_leaf = |node: &usize| !path.contains(node) && self.children(Some(*node)).next().is_none();
            let all = 0..self.nodes.len();
            let oldest = all.clone().filter(can_go).find(is_leaf).or_else(|| all.clone().find(can_go));
            let Some(oldest) = oldest else { break };
            self.remove(oldest);
            dropped += 1;
        }
        dropped
    }

    /// Own tokens of all nodes.
    pub fn own_tokens(&self) -> usize {
        self.nodes.iter().map(|node| node.rest.len()).sum()
    }

    /// Deletes a node and all below it, but not the way to the current run. `sure`: also nodes with a name.
    pub(in crate::state) fn delete(&mut self, id: u32, sure: bool) -> Deleted {
        let Some((node, _)) = self.find(id) else { return Deleted::Gone(0) };
        if self.path().any(|other| other == node) {
            return Deleted::IsCurrent;
        }
        // Parents come before their children.
        let mut gone = BTreeSet::from([node]);
        for (index, other) in self.nodes.iter().enumerate().skip(node + 1) {
            if other.parent.is_some_and(|parent| gone.contains(&parent)) {
                gone.insert(index);
            }
        }
        let name = gone.iter().find_map(|index| self.nodes[*index].name.clone());
        if let Some(name) = name.filter(|_| !sure) {
            return Deleted::HasName(name);
        }
        gone.iter().rev().for_each(|index| self.remove(*index));
        Deleted::Gone(gone.len())
    }

    /// Names a node; an empty name takes the name away.
    ///
    /// # Errors
    /// If there are too many names; says what to do.
    pub(in crate::state) fn rename(&mut self, id: u32, name: &str) -> Result<(), String> {
        let name: String = name.trim().chars().take(MOST_OF_NAME).collect();
        let names = self.nodes.iter().filter(|node| node.id != id && node.name.is_some()).count();
        if names >= MOST_NAMES && !name.is_empty() {
            return Err(format!(
                "{MOST_NAMES} branches have names, and no more are kept: delete one, or take its name away"
            ));
        }
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id == id) {
            node.name = (!name.is_empty()).then_some(name);
        }
        Ok(())
    }

    /// Removes a node. Its children become children of its parent and take over the tokens that they share with it.
    fn remove(&mut self, node: usize) {
        let gone = self.nodes.remove(node);
        for child in &mut self.nodes {
            match child.parent {
                Some(parent) if parent == node => take_over(child, &gone),
                Some(parent) if parent > node => child.parent = Some(parent - 1),
                _ => {}
            }
        }
        if let Some(place) = self.current.as_mut().filter(|place| place.node > node) {
            place.node -= 1;
        }
    }
}

fn take_over(child: &mut TreeNode, gone: &TreeNode) {
    child.parent = gone.parent;
    let Some(own) = child.keep.checked_sub(gone.keep) else { return };
    child.rest.splice(..0, gone.rest[..own].iter().copied());
    let pieces = gone.pieces.get(..own).unwrap_or(&gone.pieces).to_vec();
    // The pieces of a node are those of its first own tokens.
    let rest = if pieces.len() == own { std::mem::take(&mut child.pieces) } else { Vec::new() };
    child.pieces = [pieces, rest].concat();
    child.keep = gone.keep;
}
