//! Runs that edits have left, told by what it takes to read them again.

use crate::trace::Prompt;
use crate::trace::{Policy, Source};
use serde::{Deserialize, Serialize};

/// Tokens that [`Branches::bounded`] keeps at most.
const MOST_TOKENS: usize = 1 << 16;

/// What changed a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
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
}

impl Edit {
    /// For sentences: `the generation`.
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
        }
    }
}

/// A run before an edit, or after one that was undone. It stands beside the run that took its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// The edit between the two.
    pub edit: Edit,
    /// The prompt it began with, if that is known.
    pub prompt: Option<Prompt>,
    /// The policy it was read under.
    pub policy: Policy,
    /// Its first tokens that the run in its place has as well.
    pub keep: usize,
    /// Ids and sources of its tokens from there on.
    pub rest: Vec<(u32, Source)>,
}

/// The runs before and after the one on screen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Branches {
    /// Before each edit, oldest first.
    pub past: Vec<Left>,
    /// After each edit that was undone, the last undone last.
    pub future: Vec<Left>,
}

impl Branches {
    /// An edit has left a run; `undos` edits can be undone now.
    pub fn edited(&mut self, left: Left, undos: usize) {
        self.future.clear();
        self.past.push(left);
        self.past.drain(..self.past.len().saturating_sub(undos));
    }

    /// An edit was undone (`back`) or done again, which has left a run.
    pub fn revised(&mut self, left: Left, back: bool) {
        let (from, to) = if back { (&mut self.past, &mut self.future) } else { (&mut self.future, &mut self.past) };
        from.pop();
        to.push(left);
    }

    /// The nearest of them, with 65,536 tokens at most.
    pub fn bounded(&self) -> Self {
        let mut room = MOST_TOKENS;
        let mut nearest = |runs: &[Left]| {
            let fits = |left: &&Left| {
                let left_over = room.checked_sub(left.rest.len());
                room = left_over.unwrap_or(room);
                left_over.is_some()
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

    fn left(tokens: usize) -> Left {
        let rest = vec![(1, Source::Forced); tokens];
        Left { edit: Edit::Step, prompt: None, policy: Policy::Hf, keep: 0, rest }
    }

    #[test]
    fn the_nearest_runs_are_kept_and_none_behind_one_that_is_not() {
        let branches = Branches {
            past: vec![left(1), left(MOST_TOKENS), left(2), left(MOST_TOKENS - 10)],
            future: vec![left(9), left(8), left(0)],
        };
        let bounded = branches.bounded();
        assert_eq!((&bounded.past[..], &bounded.future[..]), (&branches.past[2..], &branches.future[1..]));
    }

    #[test]
    fn as_many_are_known_as_can_be_undone() {
        let mut branches = Branches::default();
        for tokens in 0..5 {
            branches.edited(left(tokens), 3);
        }
        assert_eq!(branches.past, [left(2), left(3), left(4)]);
        branches.revised(left(7), true);
        assert_eq!((branches.past.len(), &branches.future[..]), (2, &[left(7)][..]));
        branches.revised(left(4), false);
        assert_eq!((&branches.past[..], branches.future.len()), (&[left(2), left(3), left(4)][..], 0));
        branches.revised(left(7), true);
        branches.edited(left(1), 3);
        assert_eq!(branches.future, [], "a new edit forgets what was undone");
    }
}
