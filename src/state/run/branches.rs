//! The branches of the run: how the tree follows the engine, and how the user goes to one, names it and compares with it.

use super::baseline::Baseline;
use super::tree::{BranchRow, Deleted, RunNow, RunTree};
use crate::analysis::mean_loss;
use crate::analysis::view::View;
use crate::protocol::{Ask, Failure, FormerRun, RunAction};
use crate::state::{Effect, State};
use crate::trace::{Prompt, Source, Variant};

impl State {
    /// Keeps the run before an action, and adds the run after it to the tree.
    pub(in crate::state) fn on_acted(&mut self, former: FormerRun, undos: usize, prompt: Option<Prompt>) {
        let (action, mut tree) = (former.action, std::mem::take(&mut self.tree));
        let now = self.run_now(action, prompt.clone());
        let mut tokens = now.tokens[..former.keep.min(now.tokens.len())].to_vec();
        tokens.extend(&former.rest);
        let before = RunNow {
            action: RunAction::Prompt,
            prompt: former.prompt.clone(),
            policy: former.policy,
            edits: former.edits.clone(),
            tokens,
            shown: &[],
            loss: None,
        };
        tree.acted(before, now);
        self.keep_tree(tree);
        self.branches.acted(former, undos);
        if action == RunAction::Branch {
            self.take_prompt(prompt);
            let (count, label) = (self.tokens.len(), self.branch_label());
            self.say(format!("went to {label}: {count} tokens · z goes back"));
        }
    }

    /// Follows undo, redo or a session in the tree.
    pub(in crate::state) fn settle_tree(&mut self, prompt: Option<Prompt>) {
        let mut tree = std::mem::take(&mut self.tree);
        tree.settle(self.run_now(RunAction::Branch, prompt));
        self.keep_tree(tree);
    }

    /// Takes the tree of a session whose tokens are read.
    pub(in crate::state) fn restore_tree(&mut self, saved: RunTree) {
        let now = self.run_now(RunAction::Generation, self.start.clone());
        self.tree = RunTree::restored(saved, &self.branches, now);
    }

    fn keep_tree(&mut self, mut tree: RunTree) {
        let dropped = tree.bound();
        self.tree = tree;
        if dropped > 0 && !std::mem::replace(&mut self.said_dropped, true) {
            self.say("the tree of runs is full: the oldest branches without a name go (Y lists them, n names one)");
        }
    }

    /// The run on screen, for the tree.
    fn run_now(&self, action: RunAction, prompt: Option<Prompt>) -> RunNow<'_> {
        let variant = self.current_variant();
        RunNow {
            action,
            prompt,
            policy: variant.policy,
            edits: variant.edits.iter().map(ToString::to_string).collect(),
            tokens: self.tokens.iter().map(|token| (token.id, token.source)).collect(),
            shown: &self.shown,
            loss: mean_loss(&self.tokens).filter(|loss| loss.is_finite()).map(|loss| loss as f32),
        }
    }

    /// The tree of runs.
    pub fn tree(&self) -> &RunTree {
        &self.tree
    }

    /// The lines of the list of branches.
    pub fn branch_rows(&self) -> Vec<BranchRow> {
        self.tree.rows()
    }

    fn branch_label(&self) -> String {
        let node = self.tree.current().and_then(|place| self.tree.nodes().get(place.node));
        node.map_or_else(String::new, |node| match &node.name {
            Some(name) => crate::state::text::quoted(&crate::state::text::harmless(name)),
            None => format!("the {}", node.label()),
        })
    }

    /// Makes a branch the run.
    pub(in crate::state) fn go_to_branch(&mut self, id: u32) -> Vec<Effect> {
        let Some((index, node)) = self.tree.find(id) else { return Vec::new() };
        if self.is_busy() {
            self.say("pause first: a branch takes the place of the run");
            return Vec::new();
        }
        if self.tree.is_current(index) {
            self.say("this is the current run");
            return Vec::new();
        }
        let edits = match node.parsed_edits() {
            Ok(edits) => edits,
            Err(error) => {
                let error = error.context("this branch has edits that this program can't read");
                self.fail(Failure::of(&error));
                return Vec::new();
            }
        };
        let (prompt, policy) = (node.prompt.clone(), node.policy);
        self.start_job(Ask::GoTo { prompt, tokens: self.tree.tokens(index), policy, edits })
    }

    /// Compares a branch with the run on screen: as the baseline if only policy or edits differ, else as a second prompt.
    pub(in crate::state) fn compare_with_branch(&mut self, id: u32) {
        let Some((index, node)) = self.tree.find(id) else { return };
        if self.tree.is_current(index) {
            return self.say("this is the current run: mark another to compare it with");
        }
        let edits = match node.parsed_edits() {
            Ok(edits) => edits,
            Err(error) => {
                let error = error.context("this branch has edits that this program can't read");
                return self.fail(Failure::of(&error));
            }
        };
        let variant = Variant { policy: node.policy, edits: edits.into() };
        let ids = |tokens: &[(u32, Source)]| tokens.iter().map(|(id, _)| *id).collect::<Vec<u32>>();
        let theirs = ids(&self.tree.tokens(index));
        let is_same_text = self.tokens.iter().map(|token| token.id).eq(theirs.iter().copied());
        let is_computed_alike = variant == self.current_variant();
        if is_same_text && is_computed_alike {
            // Only the sources of the tokens differ.
            return self.say("this branch has the same tokens under the same policy and edits");
        }
        if is_same_text {
            self.set_second(None);
            self.baseline = Baseline::of(Some(variant));
        } else {
            self.set_second(Some(Prompt::Ids(theirs)));
        }
        self.pane_mut().show(View::Compare);
        if !is_same_text && !is_computed_alike {
            self.say("the tokens of the branch are compared under the policy and the edits of the current run");
        }
    }

    /// Deletes a branch with all below it; returns whether the user has to confirm it.
    pub(in crate::state) fn delete_branch(&mut self, id: u32, sure: bool) -> bool {
        match self.tree.delete(id, sure) {
            Deleted::Gone(1) => self.say("deleted the branch"),
            Deleted::Gone(count) => self.say(format!("deleted the branch: {count} runs")),
            Deleted::IsCurrent => self.say("this leads to the current run: go to another branch before you delete it"),
            Deleted::HasName(name) => {
                let name = crate::state::text::harmless(&name);
                self.say(format!("this would delete ‘{name}’: the same key again deletes it"));
                return true;
            }
        }
        false
    }

    /// Names a branch; an empty name takes the name away.
    pub(in crate::state) fn name_branch(&mut self, id: u32, name: &str) {
        if let Err(sentence) = self.tree.rename(id, name) {
            self.say(sentence);
        }
    }
}
