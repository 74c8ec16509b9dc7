//! The sampling in words.

use crate::state::State;
use crate::trace::Sampling;

/// The current sampling, or that of a saved run; empty if it is not known.
pub fn in_words(state: &State) -> String {
    match state.meta().and_then(|meta| meta.recording.as_ref()) {
        Some(saved) => saved.sampling.as_ref().map(describe).unwrap_or_default(),
        None => describe(&state.sampling),
    }
}

/// `greedy`, or `T 0.8 k 40 p 0.9 seed 7`
fn describe(sampling: &Sampling) -> String {
    if sampling.temperature == 0.0 {
        return "greedy".to_owned();
    }
    let k = sampling.top_k.map(|k| format!(" k {k}")).unwrap_or_default();
    let p = sampling.top_p.map(|p| format!(" p {p}")).unwrap_or_default();
    format!("T {}{k}{p} seed {}", sampling.temperature, sampling.seed)
}
