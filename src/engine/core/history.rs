//! Former runs, so that each action can be undone and redone.

use crate::engine::run::Live;
use crate::protocol::{Ask, Branches, FormerRun, RunAction};
use crate::trace::{Direction, Prompt};

/// The most actions that can be undone.
const MOST_ACTIONS: usize = 100;
/// Bytes that former runs may hold beyond what they share; the oldest go first.
const BUDGET: usize = 256 << 20;

/// A run before or after an action.
pub struct Snapshot {
    pub action: RunAction,
    /// The prompt of the run.
    pub prompt: Option<Prompt>,
    pub run: SavedRun,
}

/// What is kept of a former run, to restore it.
pub enum SavedRun {
    /// The length of a run that the run after it begins with: nothing else is kept.
    Start(usize),
    /// Records and pages are shared with other runs as far as they are the same.
    Whole(Box<Live>),
    /// A run from a session file: its tokens are read when it is restored.
    Unread(FormerRun),
}

impl SavedRun {
    /// Keeps `run`, which `next` replaces.
    pub fn keep(run: Live, next: &Live) -> Self {
        if run.is_start_of(next) { Self::Start(run.tokens().len()) } else { Self::Whole(Box::new(run)) }
    }
}

/// The actions so far.
#[derive(Default)]
pub struct History {
    /// Runs before each action, oldest first.
    past: Vec<Snapshot>,
    /// Runs after each action that was undone, the last undone last.
    future: Vec<Snapshot>,
    /// The action under way, and the run before it.
    open: Option<(RunAction, Option<Prompt>, Live)>,
}

impl History {
    /// What can be undone and redone in a session that was restored.
    pub fn of(branches: Branches) -> Self {
        let unread = |former: FormerRun| Snapshot {
            action: former.action,
            prompt: former.prompt.clone(),
            run: SavedRun::Unread(former),
        };
        let [past, future] = [branches.past, branches.future].map(|runs| runs.into_iter().map(unread).collect());
        Self { past, future, open: None }
    }

    /// Notes the run before the action of `ask`.
    pub fn begin(&mut self, ask: &Ask, prompt: &Option<Prompt>, live: &Live) {
        if let Some(action) = action(ask) {
            self.open = Some((action, prompt.clone(), live.clone()));
        }
    }

    /// Ends the action under way. If it changed the run, it can be undone: returns the run before it, and how many
    /// actions can be undone.
    pub fn end(&mut self, live: &Live) -> Option<(FormerRun, usize)> {
        let (action, prompt, before) = self.open.take()?;
        if before.is_same_as(live) {
            return None;
        }
        let former = former(action, prompt.clone(), &before, live);
        self.future.clear();
        self.past.push(Snapshot { action, prompt, run: SavedRun::keep(before, live) });
        self.drop_oldest(live, BUDGET);
        Some((former, self.past.len()))
    }

    /// The nearest run in this direction, which is no longer kept.
    pub fn pop(&mut self, direction: Direction) -> Option<Snapshot> {
        self.runs(direction).pop()
    }

    /// Keeps the nearest run in this direction.
    pub fn push(&mut self, direction: Direction, snapshot: Snapshot) {
        self.runs(direction).push(snapshot);
    }

    /// How many actions can be undone, and redone.
    pub fn counts(&self) -> (usize, usize) {
        (self.past.len(), self.future.len())
    }

    /// Former runs that are kept whole.
    pub fn whole(&self) -> impl Iterator<Item = &Live> {
        self.past.iter().chain(&self.future).filter_map(|snapshot| match &snapshot.run {
            SavedRun::Whole(run) => Some(&**run),
            SavedRun::Start(_) | SavedRun::Unread(_) => None,
        })
    }

    fn runs(&mut self, direction: Direction) -> &mut Vec<Snapshot> {
        match direction {
            Direction::Back => &mut self.past,
            Direction::Forward => &mut self.future,
        }
    }

    fn drop_oldest(&mut self, live: &Live, budget: usize) {
        self.past.drain(..self.past.len().saturating_sub(MOST_ACTIONS));
        let (mut next, mut held) = (live, 0);
        let over = self.past.iter().rposition(|snapshot| {
            let SavedRun::Whole(run) = &snapshot.run else { return false };
            held += run.bytes_beyond(next);
            next = run;
            held > budget
        });
        if let Some(at) = over {
            self.past.drain(..=at);
        }
    }
}

/// What a request does to the run; `None` for those that don't change it.
fn action(ask: &Ask) -> Option<RunAction> {
    Some(match ask {
        Ask::Prompt(_) => RunAction::Prompt,
        Ask::Step { count: Some(1), .. } => RunAction::Step,
        Ask::Step { .. } => RunAction::Generation,
        Ask::ForceToken(_) | Ask::Branch { .. } => RunAction::ForcedToken,
        Ask::ForceText(_) => RunAction::ForcedText,
        Ask::Back => RunAction::StepBack,
        Ask::Truncate { .. } => RunAction::Rewinding,
        Ask::Policy(_) => RunAction::Policy,
        Ask::Edits { .. } => RunAction::Edits,
        Ask::GoTo { .. } => RunAction::Branch,
        // History begins with the run of a restored session.
        Ask::Restore { .. } | Ask::Undo | Ask::Redo | Ask::Derive(_) | Ask::Lab { .. } | Ask::Open(_) => return None,
    })
}

/// `before` as a run that `next` has replaced.
pub fn former(action: RunAction, prompt: Option<Prompt>, before: &Live, next: &Live) -> FormerRun {
    let keep = before.shared_with(next);
    let rest = before.ids_and_sources().split_off(keep);
    let edits = before.meta().edits.iter().map(ToString::to_string).collect();
    FormerRun { action, prompt, policy: before.meta().policy, edits, keep, rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::engine::run::Capture;
    use crate::model::{Location, open};
    use crate::trace::{Policy, Source};
    use std::sync::Arc;

    /// An action that makes these ids the prompt.
    fn act(history: &mut History, live: &mut Live, ids: &[u32]) {
        let prompt = Prompt::Ids(ids.to_vec());
        history.begin(&Ask::Prompt(prompt), &None, live);
        live.set_prompt(ids, &Control::none(), &mut |_, _| {}).unwrap();
        history.end(live);
    }

    #[test]
    fn what_runs_share_is_kept_once_and_the_oldest_go_when_it_is_too_much() {
        let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
        let dims = loaded.meta.dims;
        let mut live = Live::new(loaded, Capture::for_views(dims.layers), 4);
        let mut history = History::default();
        let ids: Vec<u32> = (0..40).map(|i| 300 + i).collect();
        act(&mut history, &mut live, &ids[..35]);
        act(&mut history, &mut live, &ids);
        let is_start = |snapshot: &Snapshot| matches!(snapshot.run, SavedRun::Start(_));
        assert!(history.past.iter().all(is_start), "growing keeps nothing");

        // Another last token: that record and the last page of each layer are held for it.
        let mut other = ids.clone();
        other[39] = 1000;
        act(&mut history, &mut live, &other);
        let Some(Snapshot { run: SavedRun::Whole(run), .. }) = history.past.last() else { panic!() };
        assert_eq!(run.shared_with(&live), 39);
        let held = run.bytes_beyond(&live);
        let page = 32 * dims.kv_bytes_per_token();
        let least = page + dims.kept_bytes_per_token();
        assert!((least..least + 4096).contains(&held), "{held} bytes, {least} expected and some pointers");

        act(&mut history, &mut live, &ids);
        act(&mut history, &mut live, &other);
        assert_eq!(history.past.len(), 5);
        history.drop_oldest(&live, 2 * held + 100);
        assert_eq!(history.past.len(), 2, "room for two of the three, and what is older goes with the third");
        for i in 0..MOST_ACTIONS as u32 + 10 {
            act(&mut history, &mut live, &ids[..5 + (i as usize % 2)]);
        }
        assert_eq!(history.past.len(), MOST_ACTIONS);
    }

    #[test]
    fn a_run_under_another_source_or_policy_is_another_run() {
        let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
        let layers = loaded.meta.dims.layers;
        let mut live = Live::new(loaded, Capture::for_views(layers), 4);
        live.extend(&[1, 300, 301], Source::Forced, &Control::none()).unwrap();
        let before = live.clone();
        live.set_prompt(&[1, 300, 301], &Control::none(), &mut |_, _| {}).unwrap();
        assert!(!before.is_same_as(&live) && live.is_same_as(&live.clone()));
        let before = live.clone();
        live.switch(Policy::F32);
        assert!(!before.is_same_as(&live));
    }
}
