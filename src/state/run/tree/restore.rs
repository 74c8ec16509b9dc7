//! The tree of a session.

use super::{RunNow, RunTree};
use crate::protocol::{Branches, FormerRun, RunAction};
use crate::trace::{Policy, Prompt, Source};
use std::collections::BTreeSet;

/// A former run with all its tokens.
struct Former {
    prompt: Option<Prompt>,
    policy: Policy,
    edits: Vec<String>,
    tokens: Vec<(u32, Source)>,
}

impl Former {
    /// The run that `next` replaced; `None` if a damaged session does not say it.
    fn of(former: &FormerRun, next: &[(u32, Source)]) -> Option<Self> {
        let mut tokens = next.get(..former.keep)?.to_vec();
        tokens.extend(&former.rest);
        let FormerRun { prompt, policy, edits, .. } = former.clone();
        Some(Self { prompt, policy, edits, tokens })
    }

    fn after(self, action: RunAction) -> RunNow<'static> {
        let Self { prompt, policy, edits, tokens } = self;
        RunNow { action, prompt, policy, edits, tokens, shown: &[], loss: None }
    }
}

impl RunTree {
    /// The tree of a session whose run is `now`. An older session has no tree: it begins with what can be undone and redone.
    pub(in crate::state) fn restored(saved: Self, branches: &Branches, now: RunNow) -> Self {
        let mut tree = if saved.is_sound() { saved } else { Self::default() };
        if tree.is_empty() {
            tree = Self::of(branches, &now);
        }
        // The session may have been written in the middle of a generation.
        if tree.is_at(&now) {
            tree.settle(now)
        } else {
            tree.arrive(now)
        }
        tree.bound();
        tree
    }

    /// The runs of undo and redo, at the run after which nothing is undone.
    fn of(branches: &Branches, now: &RunNow) -> Self {
        let mut tree = Self::default();
        let mut runs: Vec<Former> = Vec::new();
        for former in branches.past.iter().rev() {
            let next = runs.last().map_or(&now.tokens, |run| &run.tokens);
            let Some(run) = Former::of(former, next) else { break };
            runs.push(run);
        }
        let first = branches.past.len() - runs.len();
        let mut action = RunAction::Prompt;
        for (run, former) in runs.into_iter().rev().zip(&branches.past[first..]) {
            tree.arrive(run.after(action));
            action = former.action;
        }
        let RunNow { prompt, policy, edits, tokens, .. } = now;
        let own = Former { prompt: prompt.clone(), policy: *policy, edits: edits.clone(), tokens: tokens.clone() };
        tree.arrive(own.after(action));
        let mut next = tokens.clone();
        for former in branches.future.iter().rev() {
            let Some(run) = Former::of(former, &next) else { break };
            next.clone_from(&run.tokens);
            tree.arrive(run.after(former.action));
        }
        tree
    }

    /// Whether the nodes fit each other: a session may be damaged.
    fn is_sound(&self) -> bool {
        let ids: BTreeSet<u32> = self.nodes.iter().map(|node| node.id).collect();
        let fits = |(index, node): (usize, &super::TreeNode)| {
            let room = match node.parent {
                None => Some(0),
                Some(parent) if parent < index => Some(self.nodes[parent].len()),
                Some(_) => None,
            };
            !node.is_empty() && room.is_some_and(|room| node.keep <= room)
        };
        let is_inside =
            |place: &super::Place| self.nodes.get(place.node).is_some_and(|node| (1..=node.len()).contains(&place.len));
        ids.len() == self.nodes.len()
            && self.nodes.iter().enumerate().all(fits)
            && self.current.as_ref().is_none_or(is_inside)
    }
}
