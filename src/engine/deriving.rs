//! Derived views under way: in parts, by turns, and for a short time each, so that the run's next token never waits long.

use super::Emit;
use super::beside::Beside;
use super::board::Board;
use super::derive::derive;
use super::heads::HeadCache;
use super::probe::Probe;
use super::run::{Run, need_model};
use super::session::Session;
use crate::analysis::HeadScores;
use crate::control::{Control, Stopped};
use crate::protocol::{Derive, Derived, Event, Outcome, RequestId};
use anyhow::Result;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Attention of long runs is derived for so long before requests and the run's next token have their turn.
const SLICE: Duration = Duration::from_millis(60);
/// Heads derived in one part.
const HEADS: usize = 16;

/// A derived view under way.
struct Deriving {
    id: RequestId,
    what: Derive,
    /// What is left of it.
    parts: VecDeque<Derive>,
}

/// All of them, and what they can go on from.
#[derive(Default)]
pub(super) struct Deriver {
    queue: VecDeque<Deriving>,
    heads: HeadCache,
    /// The run under another policy.
    pub beside: Beside,
    /// Reads repeated random tokens when asked to.
    probe: Option<Probe>,
    /// What it found.
    scores: Option<Arc<HeadScores>>,
    /// The newest request that was queued anywhere.
    newest: RequestId,
}

impl Deriver {
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Queues a request in the place of an earlier one of its lane.
    pub fn take(&mut self, id: RequestId, what: Derive, emit: Emit) {
        let old = self.queue.iter().position(|old| old.what.kind() == what.kind());
        if let Some(old) = old.and_then(|at| self.queue.remove(at)) {
            emit(Event::Finished { id: old.id, outcome: Outcome::Cancelled });
        }
        self.queue.push_back(Deriving { id, parts: parts(&what), what });
    }

    /// Notes a request that came in, whatever it is.
    pub fn note(&mut self, id: RequestId) {
        self.newest = self.newest.max(id);
    }

    /// The request whose turn it is, of those that don't wait for everything else.
    pub fn next(&self) -> Option<RequestId> {
        self.queue.iter().find(|deriving| !deriving.what.is_background()).map(|deriving| deriving.id)
    }

    /// The request whose turn it is if there is nothing else to do.
    pub fn next_background(&self) -> Option<RequestId> {
        self.queue.front().map(|deriving| deriving.id)
    }

    /// Derives a part of the view whose turn it is; what is left of it waits behind the others.
    ///
    /// # Errors
    /// [`Stopped`] if it was asked for anew; if it can't be derived. It is not gone on with then.
    pub fn work(&mut self, run: &dyn Run, board: &Board, emit: Emit) -> Result<()> {
        let at = self.queue.iter().position(|deriving| !deriving.what.is_background());
        let Some(mut deriving) = at.and_then(|at| self.queue.remove(at)) else { return Ok(()) };
        let id = deriving.id;
        let asked = self.queue.iter().chain([&deriving]).map(|deriving| &deriving.what);
        self.heads.expect(asked, run.meta().dims.heads);
        let is_outdated = || board.is_outdated(id, &deriving.what);
        let control = Control::cancelled_by(&is_outdated);
        let result = match deriving.parts.front() {
            Some(Derive::HeadScores) => self.probe(need_model(run)?, id, &control, emit)?.map(Derived::HeadScores),
            Some(Derive::VariantLens { policy, cells }) => Some(self.beside.lens(*policy, cells, &control)?),
            Some(part) => self.part(run, part, &control)?,
            None => None,
        };
        if let Some(result) = result {
            deriving.parts.pop_front();
            emit(Event::Derived { id, result });
        }
        self.put_back(deriving, emit);
        Ok(())
    }

    /// Derives a part of what has time; gives way between layers to everything else and goes on with that part later.
    ///
    /// # Errors
    /// As [`Deriver::work`].
    pub fn work_background(&mut self, run: &dyn Run, board: &Board, emit: Emit) -> Result<()> {
        let Some(mut deriving) = self.queue.pop_front() else { return Ok(()) };
        let (id, newest) = (deriving.id, self.newest.max(deriving.id));
        let is_over = || board.is_outdated(id, &deriving.what) || board.is_cancelled(id);
        if let Some(part) = deriving.parts.pop_front() {
            let over = Control::cancelled_by(&is_over);
            let gives_way = || board.is_pressing_after(newest);
            let control = over.until(&gives_way);
            let found = match part {
                Derive::Variant { policy, have, len } => {
                    self.beside.advance(need_model(run)?, (policy, have, len), &control)
                }
                _ => derive(run, &mut self.heads, &part, &control).map(|result| (result, None)),
            };
            match found {
                Err(error) if error.is::<Stopped>() && !is_over() => deriving.parts.push_front(part),
                found => {
                    let (result, left) = found?;
                    deriving.parts.extend(left);
                    emit(Event::Derived { id, result });
                }
            }
        }
        self.put_back(deriving, emit);
        Ok(())
    }

    /// Puts what is left of a view behind the others, or says that it is done.
    fn put_back(&mut self, deriving: Deriving, emit: Emit) {
        if deriving.parts.is_empty() {
            emit(Event::Finished { id: deriving.id, outcome: Outcome::Done });
        } else {
            self.queue.push_back(deriving);
        }
    }

    /// One part; `None` if it is to be gone on with later.
    fn part(&mut self, run: &dyn Run, part: &Derive, control: &Control) -> Result<Option<Derived>> {
        // What is read of heads is kept.
        let can_pause = matches!(part, Derive::HeadMaps { .. } | Derive::HeadColumns { .. } | Derive::HeadStats { .. });
        let started = Instant::now();
        let is_long = || can_pause && started.elapsed() >= SLICE;
        match derive(run, &mut self.heads, part, &control.until(&is_long)) {
            Err(error) if can_pause && error.is::<Stopped>() && !control.is_cancelled() => Ok(None),
            result => result.map(Some),
        }
    }

    /// Reads a few of the repeated random tokens; the scores once all are read.
    fn probe(
        &mut self,
        session: &Session,
        id: RequestId,
        control: &Control,
        emit: Emit,
    ) -> Result<Option<Arc<HeadScores>>> {
        let mut probe = match self.probe.take().filter(|probe| probe.fits(session)) {
            Some(probe) => probe,
            None => {
                self.scores = None;
                Probe::new(session)
            }
        };
        let found = if self.scores.is_none() { probe.advance(control) } else { Ok(self.scores.take()) };
        let (done, total) = probe.progress();
        // What was read stays, whatever comes.
        self.probe = Some(probe);
        self.scores = found?;
        if self.scores.is_none() {
            emit(Event::Progress { id, done, total });
        }
        Ok(self.scores.clone())
    }
}

/// A view in parts: on a large model or a long run the whole takes a while, and each part is shown when it is there.
fn parts(what: &Derive) -> VecDeque<Derive> {
    match what {
        Derive::Lens { cells } => {
            cells.chunk_by(|a, b| a.pos == b.pos).map(|cells| Derive::Lens { cells: cells.to_vec() }).collect()
        }
        Derive::HeadMaps { maps } => maps.chunks(HEADS).map(|maps| Derive::HeadMaps { maps: maps.to_vec() }).collect(),
        Derive::HeadStats { heads } => {
            heads.chunks(HEADS).map(|heads| Derive::HeadStats { heads: heads.to_vec() }).collect()
        }
        Derive::WhatIf { pos, ids } => ids.iter().map(|id| Derive::WhatIf { pos: *pos, ids: vec![*id] }).collect(),
        whole => [whole.clone()].into(),
    }
}
