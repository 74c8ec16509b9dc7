//! Former runs, each kept as the data from which it can be computed again.

use crate::trace::{Direction, Policy, Prompt, Source};
use serde::{Deserialize, Serialize};

/// Tokens that [`Branches::bounded`] keeps at most.
const MOST_TOKENS: usize = 1 << 16;

/// An action that changes the run and can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunAction {
    /// Another prompt.
    Prompt,
    /// One generated token.
    Step,
    /// Generated tokens.
    Generation,
    /// A candidate that was chosen.
    ForcedToken,
    /// A text that was typed.
    ForcedText,
    /// The last token was forgotten.
    StepBack,
    /// Tokens at the end were forgotten.
    Rewinding,
    /// Another precision policy.
    Policy,
    /// Other edits of the pass.
    Edits,
    /// Another branch of the tree of runs.
    Branch,
}

impl RunAction {
    /// Its name as part of a sentence: `the generation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "the prompt",
            Self::Step => "the step",
            Self::Generation => "the generation",
            Self::ForcedToken => "the forced token",
            Self::ForcedText => "the forced text",
            Self::StepBack => "the step back",
            Self::Rewinding => "the rewinding",
            Self::Policy => "the change of policy",
            Self::Edits => "the change of edits",
            Self::Branch => "the change of branch",
        }
    }
}

/// The run before an action, or the run after an action that was undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormerRun {
    /// The action between this run and the one that replaced it.
    // Session files call it `edit`.
    #[serde(rename = "edit")]
    pub action: RunAction,
    /// The prompt that it began with, if known.
    pub prompt: Option<Prompt>,
    /// The policy under which it was computed.
    pub policy: Policy,
    /// The edits of its pass, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<String>,
    /// How many tokens at its start are also those of the run that replaced it.
    pub keep: usize,
    /// Ids and sources of its other tokens.
    pub rest: Vec<(u32, Source)>,
}

/// An action that was undone or redone.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The run that was on screen before.
    pub former: FormerRun,
    /// Back if it was undone, forward if it was redone.
    pub direction: Direction,
    /// The prompt of the current run; `None` before the first prompt.
    pub prompt: Option<Prompt>,
    /// How many more actions can be undone.
    pub undos: usize,
    /// How many actions can be redone.
    pub redos: usize,
}

/// The former runs that undo and redo go to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Branches {
    /// The run before each action, oldest first.
    pub past: Vec<FormerRun>,
    /// The run after each undone action, the last undone last.
    pub future: Vec<FormerRun>,
}

impl Branches {
    /// Keeps the run before a new action, after which `undos` actions can be undone.
    pub fn acted(&mut self, former: FormerRun, undos: usize) {
        self.future.clear();
        self.past.push(former);
        self.past.drain(..self.past.len().saturating_sub(undos));
    }

    /// Keeps the run that undo (back) or redo (forward) has replaced.
    pub fn revised(&mut self, former: FormerRun, direction: Direction) {
        let (from, to) = match direction {
            Direction::Back => (&mut self.past, &mut self.future),
            Direction::Forward => (&mut self.future, &mut self.past),
        };
        from.pop();
        to.push(former);
    }

    /// The nearest former runs, with 65,536 tokens at most.
    pub fn bounded(&self) -> Self {
        let mut room = MOST_TOKENS;
        let mut nearest = |runs: &[FormerRun]| {
            let fits = |run: &&FormerRun| {
                let rest = room.checked_sub(run.rest.len());
                room = rest.unwrap_or(room);
                rest.is_some()
            };
            let count = runs.iter().rev().take_while(fits).count();
            runs[runs.len() - count..].to_vec()
        };
        Self { past: nearest(&self.past), future: nearest(&self.future) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn former(tokens: usize) -> FormerRun {
        let rest = vec![(1, Source::Forced); tokens];
        FormerRun { action: RunAction::Step, prompt: None, policy: Policy::Hf, edits: Vec::new(), keep: 0, rest }
    }

    #[test]
    fn the_nearest_runs_are_kept_and_none_after_one_that_is_not() {
        let branches = Branches {
            past: vec![former(1), former(MOST_TOKENS), former(2), former(MOST_TOKENS - 10)],
            future: vec![former(9), former(8), former(0)],
        };
        let bounded = branches.bounded();
        assert_eq!((&bounded.past[..], &bounded.future[..]), (&branches.past[2..], &branches.future[1..]));
    }

    #[test]
    fn as_many_runs_are_kept_as_can_be_undone() {
        let mut branches = Branches::default();
        for tokens in 0..5 {
            branches.acted(former(tokens), 3);
        }
        assert_eq!(branches.past, [former(2), former(3), former(4)]);
        branches.revised(former(7), Direction::Back);
        assert_eq!((branches.past.len(), &branches.future[..]), (2, &[former(7)][..]));
        branches.revised(former(4), Direction::Forward);
        assert_eq!((&branches.past[..], branches.future.len()), (&[former(2), former(3), former(4)][..], 0));
        branches.revised(former(7), Direction::Back);
        branches.acted(former(1), 3);
        assert_eq!(branches.future, [], "a new action forgets what was undone");
    }
}
