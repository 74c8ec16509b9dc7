//! Attention derived from captured queries and keys. What was read of a head is kept and grows with the run, so that a
//! new token costs one row per head and stepping back costs next to nothing.

pub mod columns;
pub mod maps;
mod pattern;
pub mod rows;
mod scores;
pub mod stats;
mod together;

pub use pattern::{pattern, pattern_of};
pub use rows::head_rows;
pub use scores::{Scores, head_scores};

use super::captured::not_captured;
use crate::analysis::{HeadScorer, Pick, Pooled};
use crate::control::Control;
use crate::engine::run::Run;
use crate::model::{HeadReader, SoftmaxNorm};
use crate::protocol::Derive;
use crate::trace::{HookValues, TokenRecord};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use together::Together;

/// Queries read from every head between two checks whether the work is still wanted.
const ROWS: usize = 64;
/// Bytes of pooled patterns kept beyond those that are requested.
const MOST_BYTES: usize = 64 << 20;
/// Bytes of pooled patterns kept beyond those being read. If the heads need more, some are read again every time.
const MOST_ASKED_BYTES: usize = 256 << 20;

/// What was read of the heads of one run.
#[derive(Default)]
pub struct HeadCache {
    /// The run that they were read from, to notice tokens that were read again.
    seen: Vec<Weak<HookValues>>,
    grown: HashMap<(usize, Pick), Grown>,
    /// The heads of all pending requests, in whatever parts they are read.
    requested: HashSet<(usize, Pick)>,
    /// How often heads were read.
    turn: u64,
    scorers: HashMap<(usize, usize), HeadScorer>,
}

/// What was read of one head, or of all heads of a layer combined.
#[derive(Default)]
struct Grown {
    pooled: Pooled,
    /// The norm of every row; empty for several heads combined.
    norms: Vec<SoftmaxNorm>,
    /// The turn in which it was last read.
    used: u64,
}

impl Grown {
    fn bytes(&self) -> usize {
        self.pooled.bytes() + self.norms.len() * size_of::<SoftmaxNorm>()
    }
}

impl HeadCache {
    /// Sets the requested heads, which are dropped last.
    pub fn expect<'a>(&mut self, requests: impl Iterator<Item = &'a Derive>, heads: usize) {
        self.requested.clear();
        for request in requests {
            match request {
                Derive::HeadMaps { maps } => self.requested.extend(maps.iter().map(|(layer, pick, _)| (*layer, *pick))),
                Derive::HeadColumns { layer, pick, .. } => {
                    self.requested.extend(pick.heads(heads).map(|head| (*layer, Pick::One(head))));
                }
                _ => {}
            }
        }
    }

    /// Reads `heads` up to the end of the run.
    fn grow(&mut self, run: &Run, heads: &[(usize, Pick)], control: &Control) -> Result<()> {
        self.follow(run.tokens());
        self.make_room(heads, MOST_BYTES, MOST_ASKED_BYTES);
        self.turn += 1;
        let mut work = take(&mut self.grown, heads);
        work.iter_mut().for_each(|(_, grown)| grown.used = self.turn);
        let result = in_steps(
            run,
            &mut work,
            control,
            |grown| grown.pooled.len(),
            |head, grown, end| grow(run, head, grown, end),
        );
        self.grown.extend(work);
        result
    }

    /// Forgets heads other than those `under_way` until no more than `most` bytes are left, or `most_asked` of
    /// requested ones.
    fn make_room(&mut self, under_way: &[(usize, Pick)], most: usize, most_asked: usize) {
        let mut bytes: usize = self.grown.values().map(Grown::bytes).sum();
        if bytes <= most {
            return;
        }
        let others = self.grown.iter().filter(|(head, _)| !under_way.contains(head));
        let (mut asked, mut idle): (Vec<_>, Vec<_>) = others
            .map(|(head, grown)| (grown.used, *head, grown.bytes()))
            .partition(|(_, head, _)| self.requested.contains(head));
        // The heads used longest ago go first. But requested heads are read in turns: the one read last is needed last.
        idle.sort_unstable();
        asked.sort_unstable_by(|a, b| b.cmp(a));
        for (gone, most) in [(idle, most), (asked, most_asked)] {
            for (_, head, size) in gone {
                if bytes <= most {
                    break;
                }
                self.grown.remove(&head);
                bytes -= size;
            }
        }
    }

    /// Forgets what was read of tokens that the run no longer has.
    fn follow(&mut self, tokens: &[Arc<TokenRecord>]) {
        let same = |(seen, token): &(&Weak<HookValues>, &Arc<TokenRecord>)| {
            std::ptr::eq(seen.as_ptr(), Arc::as_ptr(&token.values))
        };
        let stands = self.seen.iter().zip(tokens).take_while(same).count();
        if stands < self.seen.len() {
            for grown in self.grown.values_mut() {
                let left = grown.pooled.truncate(stands);
                grown.norms.truncate(left);
            }
            self.scorers.values_mut().for_each(|scorer| scorer.truncate(stands));
            self.seen.truncate(stands);
        }
        self.seen.extend(tokens[stands..].iter().map(|token| Arc::downgrade(&token.values)));
    }
}

/// Takes the entries of `keys` out, new ones where there are none.
fn take<K: Copy + Eq + std::hash::Hash, V: Default>(from: &mut HashMap<K, V>, keys: &[K]) -> Vec<(K, V)> {
    keys.iter().map(|key| (*key, from.remove(key).unwrap_or_default())).collect()
}

/// Brings every entry to the end of the run by `step`, all of them in parallel and a few rows at a time.
fn in_steps<K: Copy + Send, V: Send>(
    run: &Run,
    work: &mut [(K, V)],
    control: &Control,
    done: impl Fn(&V) -> usize + Sync,
    step: impl Fn(K, &mut V, usize) -> Result<()> + Sync,
) -> Result<()> {
    let n = run.tokens().len();
    while let Some(least) = work.iter().map(|(_, entry)| done(entry)).min().filter(|least| *least < n) {
        control.check()?;
        let end = (least + ROWS).min(n);
        work.par_iter_mut()
            .filter(|(_, entry)| done(entry) < end)
            .try_for_each(|(key, entry)| step(*key, entry, end))?;
    }
    Ok(())
}

fn reader(run: &Run, layer: usize, head: usize) -> Result<HeadReader<'_>> {
    let (meta, round) = (run.meta(), run.precision().module);
    HeadReader::new(run.tokens(), (layer, head), (meta.dims, &meta.scores), round, run.cuts(layer))
        .with_context(not_captured)
}

fn grow(run: &Run, (layer, pick): (usize, Pick), grown: &mut Grown, end: usize) -> Result<()> {
    let readers = pick.heads(run.meta().dims.heads).map(|head| reader(run, layer, head)).collect::<Result<Vec<_>>>()?;
    let mut row = Vec::new();
    for query in grown.pooled.len()..end {
        if let (Pick::One(_), [reader]) = (pick, &readers[..]) {
            grown.norms.push(reader.row(query, &mut row).with_context(not_captured)?);
            grown.pooled.push(&row);
            continue;
        }
        let mut together = Together::new(pick, readers.len());
        for reader in &readers {
            reader.row(query, &mut row).with_context(not_captured)?;
            together.add(&row);
        }
        grown.pooled.push(&together.done());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
