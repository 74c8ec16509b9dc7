use crate::trace::{Candidate, Sampling};

/// A next-token distribution as it is sampled from.
#[derive(Clone, Debug, PartialEq)]
pub struct Tempered {
    /// Position of the token it follows.
    pub pos: usize,
    /// Temperature and truncation; the seed has no part in it.
    pub sampling: Sampling,
    /// Entropy after temperature alone, over the whole vocabulary, nats.
    pub heated: f32,
    /// Entropy after temperature, top-k and top-p, nats.
    pub entropy: f32,
    /// Tokens that can be sampled at all.
    pub kept: usize,
    /// The probability with which each stored candidate is sampled, in their order; 0 if it was cut off.
    pub probs: Vec<f32>,
}

/// What would follow if a candidate were read.
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
