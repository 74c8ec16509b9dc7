//! Edits of what the experts are chosen by: one row of choice scores `[experts]` and the number of experts to choose.

use super::source::{Chosen, Data, Steering};
use crate::model::pass::router;
use crate::trace::{Change, Picks};

/// The choice of one token in one layer, as far as the edits so far changed it.
pub struct Choice<'a> {
    /// The scores before any edit `[experts]`.
    pub own: &'a [f32],
    /// What top-k is taken from `[experts]`.
    pub scores: &'a mut [f32],
    /// The number of experts to choose.
    pub count: usize,
}

impl Choice<'_> {
    /// The experts that are chosen now, best first.
    fn experts(&self) -> Vec<u32> {
        router::top_k(self.scores, self.scores.len(), self.count)
    }

    /// Carries out an edit of the choice at `position`; returns whether other experts are chosen, or in another order.
    pub fn edit(&mut self, change: &Change, data: &Data, (position, layer): (usize, usize)) -> bool {
        let before = self.experts();
        match (change, data) {
            (Change::Ban(experts), _) => self.ban(experts),
            (Change::Force(experts), _) => self.force(experts),
            (Change::TopK(count), _) => self.count = *count,
            (Change::Replay { .. }, Data::Chosen(chosen)) => self.replay(chosen, position, layer),
            (Change::Replay { .. }, Data::Steering(steering)) => self.steer(steering, layer),
            _ => {}
        }
        let can_be_chosen = self.scores.iter().filter(|score| **score != f32::NEG_INFINITY).count();
        self.count = self.count.min(can_be_chosen).max(1);
        before != self.experts()
    }

    fn ban(&mut self, experts: &Picks) {
        for (expert, score) in self.scores.iter_mut().enumerate() {
            if experts.has(expert) {
                *score = f32::NEG_INFINITY;
            }
        }
    }

    /// Puts these experts before all others, in the order of their own scores.
    fn force(&mut self, experts: &Picks) {
        let mut order: Vec<u32> = (0..self.own.len() as u32).filter(|expert| experts.has(*expert as usize)).collect();
        order.sort_by(|a, b| self.own[*b as usize].total_cmp(&self.own[*a as usize]));
        self.first(&order);
    }

    /// Puts these experts before all others, in this order.
    fn first(&mut self, order: &[u32]) {
        let highest = self.scores.iter().copied().filter(|score| score.is_finite()).fold(0.0, f32::max).ceil();
        for (before, expert) in order.iter().rev().enumerate() {
            self.scores[*expert as usize] = highest + 1.0 + before as f32;
        }
    }

    fn replay(&mut self, chosen: &Chosen, position: usize, layer: usize) {
        if let Some(experts) = chosen.experts(position, layer) {
            self.count = experts.len();
            self.first(experts);
        }
    }

    fn steer(&mut self, steering: &Steering, layer: usize) {
        if let Some((off, on)) = steering.get(&layer) {
            self.ban(off);
            self.force(on);
        }
    }
}
