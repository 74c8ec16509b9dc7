//! Undo and redo: going back to a former run, and forward again.

use super::Core;
use super::history::{SavedRun, Snapshot, former};
use super::request::Request;
use crate::engine::run::Live;
use crate::model::Edits;
use crate::protocol::{Event, FormerRun, Revision};
use crate::trace::{Direction, Edit, Prompt, Source, Variant};
use anyhow::{Context, Result};

impl Core {
    /// Goes back to the run before the last action, or forward to the run after the last that was undone.
    ///
    /// # Errors
    /// If the run is a replay, or a run of a session file can't be read, or reading it was stopped.
    pub(super) fn revise(&mut self, request: &Request, direction: Direction) -> Result<()> {
        let live = self.run.need_live()?;
        let Some(Snapshot { action, prompt, run }) = self.history.pop(direction) else {
            let text = match direction {
                Direction::Back => "there is nothing to undo",
                Direction::Forward => "there is nothing to redo: a new action forgets what was undone",
            };
            request.emit(Event::Warning(text.to_owned()));
            return Ok(());
        };
        let next = match run {
            SavedRun::Whole(run) => *run,
            SavedRun::Start(len) => {
                let mut start = live.clone();
                start.truncate(len);
                start
            }
            SavedRun::Unread(former) => {
                let read = read(request, live, &former);
                self.paging.skip(&self.run);
                match read {
                    Ok(run) => run,
                    Err(error) => {
                        self.history.push(direction, Snapshot { action, prompt, run: SavedRun::Unread(former) });
                        return Err(error);
                    }
                }
            }
        };
        let left = std::mem::replace(self.run.need_live_mut()?, next.clone());
        if Variant::of(left.meta()) != Variant::of(next.meta()) {
            self.derivations.keep_variant(left.clone(), request.emit);
            request.emit(Event::Switched(next.meta().clone()));
        }
        let keep = next.shared_with(&left);
        request.emit_tokens(keep, &next.tokens()[keep..], 0.0);
        let left_prompt = std::mem::replace(&mut self.prompt, prompt.clone());
        let former = former(action, left_prompt.clone(), &left, &next);
        let (other, run) = match direction {
            // Kept whole even if it is only longer than the earlier run: its last tokens are kept nowhere else.
            Direction::Back => (Direction::Forward, SavedRun::Whole(Box::new(left))),
            Direction::Forward => (Direction::Back, SavedRun::keep(left, &next)),
        };
        self.history.push(other, Snapshot { action, prompt: left_prompt, run });
        let (undos, redos) = self.history.counts();
        request.emit(Event::Revised(Revision { former, direction, prompt, undos, redos }));
        Ok(())
    }
}

/// Reads a run of a session file, which begins as `live` does.
fn read(request: &Request, live: &Live, former: &FormerRun) -> Result<Live> {
    let damaged = || format!("the session does not say how to go back to before {}", former.action.name());
    let kept = live.tokens().get(..former.keep).with_context(damaged)?;
    let mut tokens: Vec<(u32, Source)> = kept.iter().map(|token| (token.id, token.source)).collect();
    tokens.extend(&former.rest);
    if !tokens.is_empty() {
        live.prompt_ids(&Prompt::Ids(tokens.iter().map(|(id, _)| *id).collect())).with_context(damaged)?;
    }
    let mut run = live.clone();
    let edits = former.edits.iter().map(|edit| edit.parse()).collect::<Result<Vec<Edit>>>().with_context(damaged)?;
    let is_same = run.meta().policy == former.policy && *run.meta().edits == edits[..];
    let from = if is_same { former.keep } else { 0 };
    if from == 0 {
        run.switch(former.policy);
    }
    run.truncate(from);
    // The screen shows it at once or not at all.
    request.control(|control| {
        if !is_same {
            run = run.edited(Some(&Edits::new(edits, run.meta().dims)?), control)?;
        }
        run.extend_from(&tokens[from..], control, &mut |_, _| {})?;
        run.refit(control)
    })?;
    Ok(run)
}
