use crate::trace::{Candidate, Sampling};

/// A next-token distribution as it is sampled from.
#[derive(Clone, Debug, PartialEq)]
pub struct Tempered {
    /// Position of the token that it follows.
    pub pos: usize,
    /// Temperature and truncation; the seed is ignored.
    pub sampling: Sampling,
    /// Entropy after temperature alone, over the whole vocabulary, nats.
    pub heated: f32,
    /// Entropy after temperature, top-k and top-p, nats.
    pub entropy: f32,
    /// How many tokens can be sampled.
    pub kept: usize,
    /// The probability of sampling each stored candidate, in their order; 0 if top-k or top-p removes it.
    pub probs: Vec<f32>,
}

/// The distribution that would follow if the model read a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// Position of the token that the candidate would follow.
    pub pos: usize,
    /// The candidate.
    pub id: u32,
    /// The most probable tokens after it, best first; empty if the model's outputs are not finite there.
    pub top: Vec<Candidate>,
    /// Entropy of that distribution, nats.
    pub entropy: f32,
}
