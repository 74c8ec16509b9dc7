//! Every head on a text that is nothing but repetition: random tokens given twice.

use super::capture::Capture;
use super::heads::HeadCache;
use super::session::Session;
use crate::analysis::HeadScores;
use crate::control::Control;
use crate::trace::{HookKind, Policy, Source};
use anyhow::{Result, ensure};
use std::collections::HashSet;
use std::sync::Arc;

/// Random tokens, before they are repeated; fewer where the context is too short.
const REPEATED: usize = 32;
/// Tokens read before the engine turns to other work.
const CHUNK: usize = 8;
/// Where the random tokens begin: the same for every model and run.
const SEED: u64 = 20_260_101;

/// A side run over BOS and random tokens given twice; the run on the screen is left alone.
pub struct Probe {
    policy: Policy,
    session: Session,
    repeated: usize,
    ids: Vec<u32>,
}

impl Probe {
    /// A probe of the model of `session` under its policy, nothing read yet.
    pub fn new(session: &Session) -> Self {
        let dims = session.meta().dims;
        let kept = Capture::of([HookKind::RotQ, HookKind::RotK], 0..dims.layers, dims.layers);
        let first = bos(session);
        let room = dims.context.min(dims.window.unwrap_or(usize::MAX)).saturating_sub(usize::from(first.is_some()));
        let words = words(session);
        let repeated = REPEATED.min(room / 2).min(words.len());
        let random = draw(&words, repeated);
        let ids = first.into_iter().chain(random.iter().copied()).chain(random.iter().copied()).collect();
        Self { policy: session.meta().policy, session: session.beside(kept), repeated, ids }
    }

    /// Whether it is of the run's policy.
    pub fn fits(&self, session: &Session) -> bool {
        self.policy == session.meta().policy
    }

    /// Tokens read, and tokens in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.session.tokens().len(), self.ids.len())
    }

    /// Reads a few more tokens; the scores once all are read.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` says so; if the vocabulary has nothing to repeat, or the model's activations are not finite.
    pub fn advance(&mut self, control: &Control) -> Result<Option<Arc<HeadScores>>> {
        ensure!(self.repeated > 1, "the model's context or vocabulary is too small for repeated random tokens");
        control.check()?;
        let done = self.session.tokens().len();
        let rest = &self.ids[done..];
        self.session.extend(&rest[..rest.len().min(CHUNK)], Source::Prompt, control)?;
        if self.session.tokens().len() < self.ids.len() {
            return Ok(None);
        }
        let dims = self.session.meta().dims;
        let heads: Vec<(usize, usize)> =
            (0..dims.layers).flat_map(|layer| (0..dims.heads).map(move |head| (layer, head))).collect();
        let stats = HeadCache::default().stats(&self.session, &heads, control)?;
        let stats = stats.into_iter().map(|(_, _, stats)| stats).collect();
        Ok(Some(Arc::new(HeadScores { repeated: self.repeated, heads: dims.heads, stats })))
    }
}

/// The token that texts begin with: what the tokenizer puts before an empty text, else what the config says.
fn bos(session: &Session) -> Option<u32> {
    let vocab = session.meta().dims.vocab;
    let of_tokenizer = session.tokenize("", true).ok().and_then(|ids| ids.first().copied());
    let of_config = || session.meta().config.get("bos_token_id")?.as_u64()?.try_into().ok();
    of_tokenizer.or_else(of_config).filter(|id| (*id as usize) < vocab)
}

/// Ordinary tokens: not special, not a bare byte, spelled once. Without a tokenizer, all but those that begin or end
/// texts.
fn words(session: &Session) -> Vec<u32> {
    let (vocab, eos) = (session.meta().dims.vocab as u32, &session.meta().eos);
    if session.loaded().tokenizer.is_none() {
        let first = bos(session);
        return (0..vocab).filter(|id| !eos.contains(id) && Some(*id) != first).collect();
    }
    let is_bracketed = |piece: &str| {
        piece.len() > 2
            && [("<", ">"), ("[", "]")].iter().any(|(open, close)| piece.starts_with(open) && piece.ends_with(close))
    };
    (0..vocab).filter(|id| !eos.contains(id) && !is_bracketed(&session.piece(*id))).collect()
}

/// `count` different ones of `from`, drawn by splitmix64.
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
