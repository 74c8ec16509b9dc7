//! Requests for derived values: answered in parts, in turn, and for a short time each, so that the run's next token
//! never waits long.

use super::{Kept, Part, derive};
use crate::control::{Control, Stopped};
use crate::engine::Emit;
use crate::engine::interrupts::Interrupts;
use crate::engine::run::{Live, Run};
use crate::protocol::{Derive, Event, Outcome, RequestId};
use crate::trace::Edit;
use anyhow::Result;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time for which attention of long runs is derived before requests and the run's next token have their turn.
const SLICE: Duration = Duration::from_millis(60);
/// Heads derived in one part.
const HEADS: usize = 16;

/// A request that is not answered yet.
struct Pending {
    id: RequestId,
    what: Derive,
    /// What is left of it.
    parts: VecDeque<Derive>,
}

/// The pending requests, at most one of each kind, and what they continue from.
#[derive(Default)]
pub struct Queue {
    pending: VecDeque<Pending>,
    kept: Kept,
    /// The newest request that was queued anywhere.
    newest: RequestId,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Queues a request, which replaces an earlier one of its kind.
    pub fn push(&mut self, id: RequestId, what: Derive, emit: Emit) {
        let old = self.pending.iter().position(|old| old.what.kind() == what.kind());
        if let Some(old) = old.and_then(|at| self.pending.remove(at)) {
            emit(Event::Finished { id: old.id, outcome: Outcome::Cancelled });
        }
        self.pending.push_back(Pending { id, parts: parts(&what), what });
    }

    /// Notes a request to the engine, of whatever sort.
    pub fn note(&mut self, id: RequestId) {
        self.newest = self.newest.max(id);
    }

    /// The variant of `run` under other edits, if it is kept.
    pub fn variant_like(&self, run: &Live, edits: &[Edit]) -> Option<Live> {
        self.kept.variant_like(run, edits)
    }

    /// The runs that are kept for derived values.
    pub fn runs(&self) -> impl Iterator<Item = &Live> {
        self.kept.runs()
    }

    /// Keeps a run that was left for another policy or other edits, for the requests of that variant.
    ///
    /// Unfinished requests for the former variant are cancelled: they would take the place of what is kept.
    pub fn keep_variant(&mut self, left: Live, emit: Emit) {
        let is_variant = |what: &Derive| matches!(what, Derive::Variant { .. } | Derive::VariantLens { .. });
        let all = std::mem::take(&mut self.pending);
        let (old, others): (VecDeque<Pending>, VecDeque<Pending>) =
            all.into_iter().partition(|pending| is_variant(&pending.what));
        self.pending = others;
        for old in old {
            emit(Event::Finished { id: old.id, outcome: Outcome::Cancelled });
        }
        self.kept.keep_variant(left);
    }

    /// The request whose turn it is, of those that don't wait for everything else.
    pub fn next(&self) -> Option<RequestId> {
        self.pending.iter().find(|pending| !pending.what.is_background()).map(|pending| pending.id)
    }

    /// The request whose turn it is if there is nothing else to do.
    pub fn next_background(&self) -> Option<RequestId> {
        self.pending.front().map(|pending| pending.id)
    }

    /// Derives a part of the request `id`; the rest is queued after the other requests.
    ///
    /// # Errors
    /// [`Stopped`] if it was cancelled or replaced; if it can't be derived. The request is dropped then.
    pub fn work(&mut self, id: RequestId, run: &Run, interrupts: &Interrupts, emit: Emit) -> Result<()> {
        let at = self.pending.iter().position(|pending| pending.id == id);
        let Some(mut pending) = at.and_then(|at| self.pending.remove(at)) else { return Ok(()) };
        let requests = self.pending.iter().chain([&pending]).map(|pending| &pending.what);
        self.kept.heads.expect(requests, run.meta().dims.heads);
        if let Some(part) = pending.parts.pop_front() {
            let is_background = pending.what.is_background();
            let is_over = || interrupts.is_outdated(id, &pending.what) || is_background && interrupts.is_cancelled(id);
            let progress = |done, total| emit(Event::Progress { id, done, total });
            let control = Control::new(&is_over, &progress);
            let (newest, started) = (self.newest.max(id), Instant::now());
            let gives_way = || match is_background {
                true => interrupts.is_pressing_after(newest),
                false => keeps_what_it_read(&part) && started.elapsed() >= SLICE,
            };
            match derive(run, &mut self.kept, &part, &control.until(&gives_way)) {
                Ok(Part::Whole(result)) => emit(Event::Derived { id, result }),
                Ok(Part::Some(result, rest)) => {
                    pending.parts.push_front(rest);
                    emit(Event::Derived { id, result });
                }
                Ok(Part::None) => pending.parts.push_front(part),
                // It continues later; any other stop ends the request.
                Err(error) if error.is::<Stopped>() && gives_way() && !is_over() => pending.parts.push_front(part),
                Err(error) => return Err(error),
            }
        }
        if pending.parts.is_empty() {
            emit(Event::Finished { id, outcome: Outcome::Done });
        } else {
            self.pending.push_back(pending);
        }
        Ok(())
    }
}

/// Whether a derivation that gives way continues later from where it was.
fn keeps_what_it_read(part: &Derive) -> bool {
    matches!(part, Derive::HeadMaps { .. } | Derive::HeadColumns { .. } | Derive::HeadStats { .. })
}

/// A request in parts: on a large model or a long run the whole takes a while, and each part is shown as soon as it is
/// derived.
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
