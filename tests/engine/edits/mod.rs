//! Edits of the pass: identities, the same bits however a run is read, what each edit does, and what follows from it.

mod against;
mod bits;
mod choices;
mod counts;
mod files;
mod identities;
mod long;
mod meaning;
mod requests;
mod shares;

use crate::support::load;
use mixscope::control::Control;
use mixscope::engine::{Capture, Live};
use mixscope::model::{Edits, Loaded};
use mixscope::trace::{Edit, HookKind, Policy, Source, TokenRecord};
use std::sync::Arc;

/// A text of the vocabulary of every fixture.
pub fn ids(loaded: &Loaded, len: usize) -> Vec<u32> {
    let vocab = loaded.meta.dims.vocab as u32;
    (0..len as u32).map(|i| if i == 0 { 1 } else { 3 + (i * 7919 + i * i * 31) % (vocab - 3) }).collect()
}

pub fn parsed(edits: &[&str]) -> Vec<Edit> {
    edits.iter().map(|edit| edit.parse().unwrap()).collect()
}

pub fn edits(loaded: &Loaded, texts: &[&str]) -> Edits {
    Edits::new(parsed(texts), loaded.meta.dims).unwrap()
}

/// A model under a policy, and a run of it without edits that keeps every hook.
pub struct Case {
    pub loaded: Arc<Loaded>,
    pub ids: Vec<u32>,
    pub plain: Live,
}

impl Case {
    pub fn new(name: &str, policy: Policy) -> Self {
        let loaded = match name {
            "demo" => mixscope::model::open(&mixscope::model::Location::Demo, policy, None, false).unwrap(),
            _ => load(name, policy),
        };
        let loaded = Arc::new(loaded);
        let ids = ids(&loaded, 20);
        let mut plain = empty(&loaded);
        plain.set_prompt(&ids, &Control::none(), &mut |_, _| {}).unwrap();
        Self { loaded, ids, plain }
    }

    /// The run under edits, read as one prompt.
    pub fn under(&self, texts: &[&str]) -> Live {
        let mut live = empty(&self.loaded).edited(Some(&edits(&self.loaded, texts)), &Control::none()).unwrap();
        live.set_prompt(&self.ids, &Control::none(), &mut |_, _| {}).unwrap();
        live
    }
}

pub fn empty(loaded: &Arc<Loaded>) -> Live {
    let layers = loaded.meta.dims.layers;
    Live::new(loaded.clone(), Capture::of(HookKind::recorded(), 0..layers, layers), 4)
}

/// Asserts that both runs hold the same bits at every hook, the same predictions and the same sites.
#[track_caller]
pub fn same(what: &str, a: &Live, b: &Live) {
    assert_eq!(a.tokens().len(), b.tokens().len(), "{what}");
    for (pos, (a, b)) in a.tokens().iter().zip(b.tokens()).enumerate() {
        assert!(a.values == b.values, "{what}: values at {pos}");
        assert_eq!((&a.next, a.score, &a.sites), (&b.next, b.score, &b.sites), "{what}: position {pos}");
    }
}

pub fn sites(tokens: &[Arc<TokenRecord>]) -> usize {
    tokens.iter().map(|token| token.sites.len()).sum()
}

pub fn differ(a: &Live, b: &Live) -> bool {
    a.tokens().iter().zip(b.tokens()).any(|(a, b)| a.next != b.next)
}

pub const AFTER: Source = Source::Forced;
