//! The scores of every head on a sequence of random tokens followed by the same sequence.

use super::HeadCache;
use crate::analysis::HeadScores;
use crate::control::Control;
use crate::engine::derive::Part;
use crate::engine::run::{Capture, Live, Run};
use crate::protocol::Derived;
use crate::trace::{HookKind, Policy, Source};
use anyhow::{Result, ensure};
use std::collections::HashSet;
use std::sync::Arc;

/// Random tokens, before they are repeated; fewer where the context is too short.
const REPEATED: usize = 32;
/// Tokens read before the engine turns to other work.
const CHUNK: usize = 8;
/// Seed of the random tokens: the same for every model and run.
const SEED: u64 = 20_260_101;

/// The scores of a model's heads as far as they are computed.
#[derive(Default)]
pub struct Scores {
    probe: Option<Probe>,
    found: Option<Arc<HeadScores>>,
}

impl Scores {
    /// Reads a few of the repeated tokens; the scores once all are read. Progress is in tokens.
    ///
    /// # Errors
    /// As [`Probe::advance`], and if `run` is a replay. What was read stays.
    pub fn derive(&mut self, run: &Run, control: &Control) -> Result<Part> {
        let live = run.need_live()?;
        if self.probe.as_ref().is_some_and(|probe| !probe.fits(live)) {
            *self = Self::default();
        }
        let probe = self.probe.get_or_insert_with(|| Probe::new(live));
        if self.found.is_none() {
            self.found = probe.advance(&control.quiet())?;
        }
        let Some(found) = &self.found else {
            let (done, total) = probe.progress();
            control.progress(done, total);
            return Ok(Part::None);
        };
        Ok(Part::Whole(Derived::HeadScores(found.clone())))
    }
}

/// The scores of all heads of a model on random tokens given twice, under the policy of `live` and without its edits. Progress
/// is in tokens.
///
/// # Errors
/// As [`Probe::advance`].
pub fn head_scores(live: &Live, control: &Control) -> Result<Arc<HeadScores>> {
    let mut probe = Probe::new(live);
    loop {
        if let Some(found) = probe.advance(&control.quiet())? {
            return Ok(found);
        }
        let (done, total) = probe.progress();
        control.progress(done, total);
    }
}

/// A run of its own over BOS and random tokens given twice; the run on the screen stays as it is.
struct Probe {
    policy: Policy,
    live: Live,
    repeated: usize,
    ids: Vec<u32>,
}

impl Probe {
    /// A probe of the model of `live` under its policy; nothing is read yet.
    fn new(live: &Live) -> Self {
        let dims = live.meta().dims;
        let kept = Capture::of([HookKind::RotQ, HookKind::RotK], 0..dims.layers, dims.layers);
        let first = bos(live);
        let room = dims.context.min(dims.window.unwrap_or(usize::MAX)).saturating_sub(usize::from(first.is_some()));
        let words = words(live);
        let repeated = REPEATED.min(room / 2).min(words.len());
        let random = draw(&words, repeated);
        let ids = first.into_iter().chain(random.iter().copied()).chain(random.iter().copied()).collect();
        Self { policy: live.meta().policy, live: live.fresh(kept), repeated, ids }
    }

    /// Whether it was made under the run's policy.
    fn fits(&self, live: &Live) -> bool {
        self.policy == live.meta().policy
    }

    /// Tokens read, and tokens in all.
    fn progress(&self) -> (usize, usize) {
        (self.live.tokens().len(), self.ids.len())
    }

    /// Reads a few more tokens; the scores once all are read.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the vocabulary has nothing to repeat, or the
    /// model's activations are not finite.
    fn advance(&mut self, control: &Control) -> Result<Option<Arc<HeadScores>>> {
        ensure!(self.repeated > 1, "the model's context or vocabulary is too small for repeated random tokens");
        control.check()?;
        let done = self.live.tokens().len();
        let rest = &self.ids[done..];
        self.live.extend(&rest[..rest.len().min(CHUNK)], Source::Prompt, control)?;
        if self.live.tokens().len() < self.ids.len() {
            return Ok(None);
        }
        let dims = self.live.meta().dims;
        let heads: Vec<(usize, usize)> =
            (0..dims.layers).flat_map(|layer| (0..dims.heads).map(move |head| (layer, head))).collect();
        let stats = HeadCache::default().stats(&Run::Live(self.live.clone()), &heads, control)?;
        let stats = stats.into_iter().map(|(_, _, stats)| stats).collect();
        Ok(Some(Arc::new(HeadScores { repeated: self.repeated, heads: dims.heads, stats })))
    }
}

/// The token that texts begin with: what the tokenizer puts before an empty text, or else what the config says.
fn bos(live: &Live) -> Option<u32> {
    let vocab = live.meta().dims.vocab;
    let of_tokenizer = live.tokenize("", true).ok().and_then(|ids| ids.first().copied());
    let of_config = || live.meta().config.get("bos_token_id")?.as_u64()?.try_into().ok();
    of_tokenizer.or_else(of_config).filter(|id| (*id as usize) < vocab)
}

/// Ordinary tokens: not special, not a bare byte, spelled once. Without a tokenizer, all but those that begin or end
/// texts.
fn words(live: &Live) -> Vec<u32> {
    let (vocab, eos) = (live.meta().dims.vocab as u32, &live.meta().eos);
    if live.loaded().tokenizer.is_none() {
        let first = bos(live);
        return (0..vocab).filter(|id| !eos.contains(id) && Some(*id) != first).collect();
    }
    let is_bracketed = |piece: &str| {
        piece.len() > 2
            && [("<", ">"), ("[", "]")].iter().any(|(open, close)| piece.starts_with(open) && piece.ends_with(close))
    };
    (0..vocab).filter(|id| !eos.contains(id) && !is_bracketed(&live.piece(*id))).collect()
}

/// `count` different elements of `from`, drawn by splitmix64.
fn draw(from: &[u32], count: usize) -> Vec<u32> {
    let mut state = SEED;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut taken = HashSet::new();
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count.min(from.len()) {
        let at = (next() % from.len() as u64) as usize;
        if taken.insert(at) {
            drawn.push(from[at]);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_tokens_differ_and_are_always_the_same() {
        let drawn = draw(&Vec::from_iter(100..140), 32);
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 32);
        assert!(drawn.iter().all(|id| (100..140).contains(id)));
        assert_eq!(drawn, draw(&Vec::from_iter(100..140), 32));
        assert_eq!(draw(&[7, 8], 2).len(), 2);
    }
}
