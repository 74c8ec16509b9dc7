//! Edits of the run, so that each can be taken back and done again.

use super::Emit;
use super::board::Board;
use super::body::Body;
use super::session::Live;
use super::worker::Core;
use crate::protocol::{Ask, Event, RequestId, Revision};
use crate::protocol::{Branches, Edit, Left};
use crate::trace::Prompt;
use crate::trace::Source;
use anyhow::{Context, Result};
use std::collections::VecDeque;

/// Edits that can be undone at most.
const MOST_EDITS: usize = 100;
/// Bytes that runs which are not on screen any more may hold beyond what they share; the oldest go first.
const BUDGET: usize = 256 << 20;

/// A run before or after an edit.
struct Snapshot {
    edit: Edit,
    /// The prompt of the run.
    prompt: Option<Prompt>,
    run: Run,
}

/// What it takes to have a run back.
enum Run {
    /// It is the first tokens of the run that followed it: nothing is kept.
    Start(usize),
    /// Records and pages are shared with other runs as far as they are the same.
    Whole(Box<Live>),
    /// It is one of an earlier live: read when it is wanted.
    Told(Left),
}

/// The edits so far.
#[derive(Default)]
pub(super) struct Edits {
    /// Runs before each edit, oldest first.
    past: VecDeque<Snapshot>,
    /// Runs after each edit that was undone, the last undone last.
    future: Vec<Snapshot>,
    /// The run before the edit under way.
    open: Option<(Edit, Option<Prompt>, Live)>,
}

/// What a request does to the run; `None` for those that don't change it.
fn edit(ask: &Ask) -> Option<Edit> {
    Some(match ask {
        Ask::Prompt(_) => Edit::Prompt,
        Ask::Step { count: Some(1), .. } => Edit::Step,
        Ask::Step { .. } => Edit::Generation,
        Ask::ForceToken(_) | Ask::Branch { .. } => Edit::ForcedToken,
        Ask::ForceText(_) => Edit::ForcedText,
        Ask::Back => Edit::StepBack,
        Ask::Truncate { .. } => Edit::Rewinding,
        Ask::Policy(_) => Edit::Policy,
        // A live that comes back is where editing begins.
        Ask::Restore { .. } | Ask::Undo | Ask::Redo | Ask::Derive(_) | Ask::Lab { .. } | Ask::Open(_) => return None,
    })
}

impl Run {
    /// Keeps `run` beside `next`, which takes its place.
    fn keep(run: Live, next: &Live) -> Self {
        if run.is_start_of(next) { Self::Start(run.tokens().len()) } else { Self::Whole(Box::new(run)) }
    }
}

impl Edits {
    /// Notes the run before the edit that `ask` makes.
    pub fn open(&mut self, ask: &Ask, prompt: &Option<Prompt>, live: &Live) {
        if let Some(edit) = edit(ask) {
            self.open = Some((edit, prompt.clone(), live.clone()));
        }
    }

    /// What can be undone and done again in a live that has come back.
    pub fn of(branches: Branches) -> Self {
        let told = |left: Left| Snapshot { edit: left.edit, prompt: left.prompt.clone(), run: Run::Told(left) };
        let Branches { past, future } = branches;
        Self { past: past.into_iter().map(told).collect(), future: future.into_iter().map(told).collect(), open: None }
    }

    /// Ends the edit under way; if it changed the run it counts, and the run before it and how many edits can be undone
    /// is returned.
    pub fn close(&mut self, live: &Live) -> Option<(Left, usize)> {
        let (edit, prompt, before) = self.open.take()?;
        if before.is_same_as(live) {
            return None;
        }
        let left = left(edit, prompt.clone(), &before, live);
        self.future.clear();
        self.past.push_back(Snapshot { edit, prompt, run: Run::keep(before, live) });
        self.drop_oldest(live, BUDGET);
        Some((left, self.past.len()))
    }

    fn drop_oldest(&mut self, live: &Live, budget: usize) {
        while self.past.len() > MOST_EDITS {
            self.past.pop_front();
        }
        let (mut next, mut held) = (live, 0);
        let over = self.past.iter().rposition(|snapshot| {
            let Run::Whole(run) = &snapshot.run else { return false };
            held += run.bytes_beside(next);
            next = run;
            held > budget
        });
        if let Some(at) = over {
            self.past.drain(..=at);
        }
    }
}

/// `before` as a run that `next` has taken the place of.
fn left(edit: Edit, prompt: Option<Prompt>, before: &Live, next: &Live) -> Left {
    let keep = before.shared_with(next);
    let rest = before.tokens()[keep..].iter().map(|token| (token.id, token.source)).collect();
    Left { edit, prompt, policy: before.meta().policy, keep, rest }
}

impl Core {
    /// Goes back to the run before the last edit, or on to the run after the last that was undone.
    ///
    /// # Errors
    /// If it is a saved run; if a run of an earlier live can't be read, or that was stopped.
    pub(super) fn revise(&mut self, id: RequestId, back: bool, board: &Board, emit: Emit) -> Result<()> {
        self.body.live_mut()?;
        let popped = if back { self.edits.past.pop_back() } else { self.edits.future.pop() };
        let Some(Snapshot { edit, prompt, run }) = popped else {
            let (verb, done) = if back { ("undo", "") } else { ("redo", ": a new edit forgets what was undone") };
            emit(Event::Warning(format!("there is nothing to {verb}{done}")));
            return Ok(());
        };
        let mut target = match run {
            Run::Whole(live) => *live,
            Run::Start(len) => {
                let mut start = self.body.live()?.clone();
                start.truncate(len);
                start
            }
            Run::Told(left) => match self.read_left(id, &left, board, emit) {
                Ok(live) => live,
                Err(error) => {
                    let snapshot = Snapshot { edit, prompt, run: Run::Told(left) };
                    if back {
                        self.edits.past.push_back(snapshot);
                    } else {
                        self.edits.future.push(snapshot);
                    }
                    return Err(error);
                }
            },
        };
        let live = self.body.live_mut()?;
        std::mem::swap(&mut target, live);
        let (old, live) = (target, live.clone());
        if old.meta().policy != live.meta().policy {
            self.deriver.beside.keep(old.clone());
            emit(Event::Switched(live.meta().clone()));
        }
        let keep = live.shared_with(&old);
        emit(Event::Tokens { id, keep, tokens: live.tokens()[keep..].to_vec(), ms: 0.0 });
        let old_prompt = std::mem::replace(&mut self.prompt, prompt.clone());
        let left = left(edit, old_prompt.clone(), &old, &live);
        if back {
            // Whole, although it may only be longer: what it is longer by is nowhere else.
            self.edits.future.push(Snapshot { edit, prompt: old_prompt, run: Run::Whole(Box::new(old)) });
        } else {
            let run = Run::keep(old, &live);
            self.edits.past.push_back(Snapshot { edit, prompt: old_prompt, run });
        }
        let (undos, redos) = (self.edits.past.len(), self.edits.future.len());
        emit(Event::Revised(Revision { left, back, prompt, undos, redos }));
        Ok(())
    }

    /// Reads a run of an earlier live; the one on screen stays as it is.
    fn read_left(&mut self, id: RequestId, left: &Left, board: &Board, emit: Emit) -> Result<Live> {
        let live = self.body.live()?;
        let here = live.tokens();
        let damaged = || format!("the live does not say how to go back to before {}", left.edit.name());
        let kept = here.get(..left.keep).with_context(damaged)?;
        let mut tokens: Vec<(u32, Source)> = kept.iter().map(|token| (token.id, token.source)).collect();
        tokens.extend(&left.rest);
        if !tokens.is_empty() {
            live.prompt_ids(&Prompt::Ids(tokens.iter().map(|(id, _)| *id).collect())).with_context(damaged)?;
        }
        let mut start = live.clone();
        let from = if start.meta().policy == left.policy { left.keep } else { 0 };
        if from == 0 {
            start.switch(left.policy);
        }
        start.truncate(from);
        let here = std::mem::replace(&mut self.body, Body::Live(Box::new(start)));
        // On screen it is there at once or not at all.
        let quiet = |event: Event| {
            if matches!(event, Event::Progress { .. }) {
                emit(event);
            }
        };
        let result = self.read_again(id, &tokens[from..], board, &quiet);
        let read = std::mem::replace(&mut self.body, here);
        result?;
        read.live().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::engine::Capture;
    use crate::model::{Location, open};
    use crate::trace::{Policy, Source};
    use std::sync::Arc;

    /// An edit that makes these ids the prompt.
    fn edit(edits: &mut Edits, live: &mut Live, ids: &[u32]) {
        let prompt = Prompt::Ids(ids.to_vec());
        edits.open(&Ask::Prompt(prompt), &None, live);
        live.set_prompt(ids, &Control::none(), &mut |_, _| {}).unwrap();
        edits.close(live);
    }

    #[test]
    fn what_runs_share_is_kept_once_and_the_oldest_go_when_it_is_too_much() {
        let loaded = Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap());
        let dims = loaded.meta.dims;
        let mut live = Live::new(loaded, Capture::for_views(dims.layers), 4);
        let mut edits = Edits::default();
        let ids: Vec<u32> = (0..40).map(|i| 300 + i).collect();
        edit(&mut edits, &mut live, &ids[..35]);
        edit(&mut edits, &mut live, &ids);
        assert!(edits.past.iter().all(|snapshot| matches!(snapshot.run, Run::Start(_))), "growing keeps nothing");

        // Another last token: that record and the last page of each layer are held for it.
        let mut other = ids.clone();
        other[39] = 1000;
        edit(&mut edits, &mut live, &other);
        let Some(Snapshot { run: Run::Whole(run), .. }) = edits.past.back() else { panic!() };
        assert_eq!(run.shared_with(&live), 39);
        let held = run.bytes_beside(&live);
        let page = 32 * dims.kv_bytes_per_token();
        let least = page + dims.kept_bytes_per_token();
        assert!((least..least + 4096).contains(&held), "{held} bytes, {least} expected and some pointers");

        edit(&mut edits, &mut live, &ids);
        edit(&mut edits, &mut live, &other);
        assert_eq!(edits.past.len(), 5);
        edits.drop_oldest(&live, 2 * held + 100);
        assert_eq!(edits.past.len(), 2, "room for two of the three, and what is older goes with the third");
        for i in 0..MOST_EDITS as u32 + 10 {
            edit(&mut edits, &mut live, &ids[..5 + (i as usize % 2)]);
        }
        assert_eq!(edits.past.len(), MOST_EDITS);
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
