//! The heads of a layer combined weight by weight.

use crate::analysis::Pick;

/// Weights of several heads, combined one head at a time.
pub struct Together {
    pick: Pick,
    heads: usize,
    weights: Vec<f32>,
}

impl Together {
    /// The start of a combination of `heads` heads.
    pub fn new(pick: Pick, heads: usize) -> Self {
        Self { pick, heads, weights: Vec::new() }
    }

    /// Adds the weights of one more head.
    pub fn add(&mut self, weights: &[f32]) {
        if self.weights.is_empty() {
            self.weights.extend_from_slice(weights);
            return;
        }
        for (all, weight) in self.weights.iter_mut().zip(weights) {
            *all = if self.pick == Pick::Max { all.max(*weight) } else { *all + weight };
        }
    }

    /// The mean or the maximum of all heads; for one head, its weights.
    pub fn done(mut self) -> Vec<f32> {
        if self.pick == Pick::Mean {
            self.weights.iter_mut().for_each(|weight| *weight /= self.heads as f32);
        }
        self.weights
    }
}
