//! Attention as the screen sees it, derived from captured queries and keys. What was read of a head is kept and goes
//! on with the run, so that a new token costs one row a head and stepping back costs next to nothing.

mod together;

pub use together::{head_rows, pattern_of};

use super::run::Run;
use crate::analysis::{Earlier, HeadColumn, HeadMap, HeadScorer, HeadStats, Pick, Pooled};
use crate::control::Control;
use crate::model::{HeadReader, SoftmaxNorm};
use crate::protocol::Derive;
use crate::trace::{HookValues, TokenRecord};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Weak};
use together::Together;

/// Queries read of every head before it is looked whether the work is still wanted.
const ROWS: usize = 64;
/// Bytes of pooled patterns kept beyond those that are asked for.
const MOST_BYTES: usize = 64 << 20;
/// Bytes of pooled patterns kept beyond those under way: of more heads than fit here some are read anew every time.
const MOST_ASKED_BYTES: usize = 256 << 20;

/// What was read of the heads of one run.
#[derive(Default)]
pub struct HeadCache {
    /// The run it was read from: a token read anew has other values.
    seen: Vec<Weak<HookValues>>,
    grown: HashMap<(usize, Pick), Grown>,
    /// The heads that requests under way ask for, in whatever parts they are read.
    asked: HashSet<(usize, Pick)>,
    /// How often heads were read.
    turn: u64,
    scorers: HashMap<(usize, usize), HeadScorer>,
}

/// What was read of one head, or of all heads of a layer together.
#[derive(Default)]
struct Grown {
    pooled: Pooled,
    /// Of every row; empty for several heads together.
    norms: Vec<SoftmaxNorm>,
    /// When it was read last.
    used: u64,
}

impl Grown {
    fn bytes(&self) -> usize {
        self.pooled.bytes() + self.norms.len() * size_of::<SoftmaxNorm>()
    }
}

impl HeadCache {
    /// Notes what is asked for, in the place of what was: these heads are the last to be forgotten.
    pub(super) fn expect<'a>(&mut self, asks: impl Iterator<Item = &'a Derive>, heads: usize) {
        self.asked.clear();
        for ask in asks {
            match ask {
                Derive::HeadMaps { maps } => self.asked.extend(maps.iter().map(|(layer, pick, _)| (*layer, *pick))),
                Derive::HeadColumns { layer, pick: Pick::One(head), .. } => {
                    self.asked.insert((*layer, Pick::One(*head)));
                }
                Derive::HeadColumns { layer, .. } => {
                    self.asked.extend((0..heads).map(|head| (*layer, Pick::One(head))));
                }
                _ => {}
            }
        }
    }

    /// Pooled maps, in the order of `wanted`: layer, head or heads, and the largest number of cells a side.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` says so; if queries or keys were not captured.
    pub fn maps(
        &mut self,
        run: &dyn Run,
        wanted: &[(usize, Pick, usize)],
        control: &Control,
    ) -> Result<Vec<Arc<HeadMap>>> {
        let heads: BTreeSet<(usize, Pick)> = wanted.iter().map(|(layer, pick, _)| (*layer, *pick)).collect();
        self.grow(run, &Vec::from_iter(heads), control)?;
        let map = |(layer, pick, max_side): &(usize, Pick, usize)| {
            self.grown.get(&(*layer, *pick)).map(|grown| Arc::new(grown.pooled.map(*layer, *pick, *max_side)))
        };
        Ok(wanted.iter().filter_map(map).collect())
    }

    /// Who looks at `key`; `None` if the run has become too short for it.
    ///
    /// # Errors
    /// As [`HeadCache::maps`].
    pub fn column(
        &mut self,
        run: &dyn Run,
        layer: usize,
        pick: Pick,
        key: usize,
        control: &Control,
    ) -> Result<Option<HeadColumn>> {
        let n = run.tokens().len();
        if key >= n {
            return Ok(None);
        }
        let heads = match pick {
            Pick::One(head) => head..head + 1,
            Pick::Mean | Pick::Max => 0..run.meta().dims.heads,
        };
        let picks: Vec<(usize, Pick)> = heads.clone().map(|head| (layer, Pick::One(head))).collect();
        self.grow(run, &picks, control)?;
        let mut together = Together::new(pick, heads.len());
        for head in heads {
            let reader = reader(run, layer, head)?;
            let norms = self.grown.get(&(layer, Pick::One(head))).map_or(&[][..], |grown| &grown.norms);
            let weight = |query: usize| reader.weight(query, key, *norms.get(query)?);
            let weights =
                (key..n).map(weight).collect::<Option<Vec<f32>>>().with_context(super::derive::not_captured)?;
            together.add(&weights);
        }
        Ok(Some(HeadColumn::new(layer, pick, key, together.done())))
    }

    /// What `heads` do on the run.
    ///
    /// # Errors
    /// As [`HeadCache::maps`].
    pub fn stats(
        &mut self,
        run: &dyn Run,
        heads: &[(usize, usize)],
        control: &Control,
    ) -> Result<Vec<(usize, usize, HeadStats)>> {
        self.follow(run.tokens());
        let n = run.tokens().len();
        let ids: Vec<u32> = run.tokens().iter().map(|token| token.id).collect();
        let earlier = Earlier::of(&ids);
        let mut work = take(&mut self.scorers, heads);
        let result = in_steps(
            run,
            &mut work,
            control,
            |scorer| scorer.next(),
            |(layer, head), scorer, end| {
                let (reader, mut row) = (reader(run, layer, head)?, Vec::new());
                while scorer.next() < end {
                    reader.row(scorer.next(), &mut row).with_context(super::derive::not_captured)?;
                    scorer.push(&row, &earlier);
                }
                Ok(())
            },
        );
        let stats = work.iter().map(|((layer, head), scorer)| (*layer, *head, scorer.stats(n))).collect();
        self.scorers.extend(work);
        result.map(|()| stats)
    }

    /// Reads `heads` up to the end of the run.
    fn grow(&mut self, run: &dyn Run, heads: &[(usize, Pick)], control: &Control) -> Result<()> {
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

    /// Forgets heads other than those `under_way` until no more than `most` bytes are left, or `most_asked` of those
    /// that are asked for.
    fn make_room(&mut self, under_way: &[(usize, Pick)], most: usize, most_asked: usize) {
        let mut bytes: usize = self.grown.values().map(Grown::bytes).sum();
        if bytes <= most {
            return;
        }
        let others = self.grown.iter().filter(|(head, _)| !under_way.contains(head));
        let (mut asked, mut idle): (Vec<_>, Vec<_>) = others
            .map(|(head, grown)| (grown.used, *head, grown.bytes()))
            .partition(|(_, head, _)| self.asked.contains(head));
        // What was used long ago is of least use, but those asked for are read in turns: the last comes last again.
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

    /// Forgets what was read of tokens that are no longer there.
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
    run: &dyn Run,
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

fn reader(run: &dyn Run, layer: usize, head: usize) -> Result<HeadReader<'_>> {
    let (dims, round) = (run.meta().dims, run.precision().module);
    HeadReader::new(run.tokens(), layer, head, dims, round).with_context(super::derive::not_captured)
}

fn grow(run: &dyn Run, (layer, pick): (usize, Pick), grown: &mut Grown, end: usize) -> Result<()> {
    let heads = match pick {
        Pick::One(head) => head..head + 1,
        Pick::Mean | Pick::Max => 0..run.meta().dims.heads,
    };
    let readers = heads.map(|head| reader(run, layer, head)).collect::<Result<Vec<_>>>()?;
    let mut row = Vec::new();
    for query in grown.pooled.len()..end {
        if let (Pick::One(_), [reader]) = (pick, &readers[..]) {
            grown.norms.push(reader.row(query, &mut row).with_context(super::derive::not_captured)?);
            grown.pooled.push(&row);
            continue;
        }
        let mut together = Together::new(pick, readers.len());
        for reader in &readers {
            reader.row(query, &mut row).with_context(super::derive::not_captured)?;
            together.add(&row);
        }
        grown.pooled.push(&together.done());
    }
    Ok(())
}

#[cfg(test)]
#[path = "heads/tests.rs"]
mod tests;
