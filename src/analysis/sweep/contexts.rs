use super::hash::mixed;
use super::reading::{LayerReading, Place, Reading};
use super::shape::Shape;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Tokens of a context before the one that chose the expert.
const BEFORE: usize = 16;
/// Tokens after it.
const AFTER: usize = 8;

/// How contexts are picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PickedBy {
    /// At random, each token that chose the expert as likely as any other.
    Random,
    /// The tokens to which the router gave the expert the largest probability.
    Strongest,
}

impl PickedBy {
    /// Both.
    pub const ALL: [PickedBy; 2] = [PickedBy::Random, PickedBy::Strongest];

    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Strongest => "strongest",
        }
    }

    fn order(self, a: &Sample, b: &Sample) -> Ordering {
        let by_chance = (a.priority, a.place, a.position).cmp(&(b.priority, b.place, b.position));
        match self {
            Self::Random => by_chance,
            Self::Strongest => b.prob.total_cmp(&a.prob).then(by_chance),
        }
    }
}

/// A token that chose an expert, with the tokens around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its rank among random ones, lowest first: a hash of seed, place, layer and expert.
    pub priority: u64,
    /// The group of its text.
    pub group: String,
    /// Its window.
    pub place: Place,
    /// Its position in the window.
    pub position: usize,
    /// Probability of the expert over all experts; 0 if it is not known.
    pub prob: f32,
    /// Mixing weight; 0 if it is not known.
    pub weight: f32,
    /// Rank of the expert among those that the token chose, from 1.
    pub rank: usize,
    /// The tokens around it and itself.
    pub ids: Vec<u32>,
    /// Its index in `ids`.
    pub at: usize,
}

/// A few contexts of every expert, which do not depend on the order in which windows are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Contexts {
    shape: Shape,
    seed: u64,
    most: usize,
    /// By layer and expert, for each of [`PickedBy`], in its order.
    pub(super) kept: Vec<[Vec<Sample>; 2]>,
}

impl Contexts {
    /// Nothing yet; at most `most` contexts are kept of an expert and way to pick them.
    pub fn new(shape: Shape, seed: u64, most: usize) -> Self {
        Self { shape, seed, most, kept: vec![Default::default(); shape.layers * shape.experts] }
    }

    /// Looks at every token of a window.
    pub fn add(&mut self, reading: &Reading) {
        let Shape { layers, experts, top_k, .. } = self.shape;
        if self.most == 0 {
            return;
        }
        for layer in 0..layers {
            let routing = &reading.layers[layer];
            for pos in reading.from..reading.ids.len() {
                let at =
                    mixed(&[self.seed, reading.place.part, reading.place.window, pos as u64, reading.phase as u64]);
                for (slot, expert) in LayerReading::row(&routing.chosen, pos, top_k).iter().enumerate() {
                    let of_expert = layer * experts + *expert as usize;
                    let priority = mixed(&[at, of_expert as u64]);
                    let prob = LayerReading::row(&routing.probs, pos, experts).get(*expert as usize).copied();
                    let prob = prob.unwrap_or(0.0);
                    let [random, strongest] = &self.kept[of_expert];
                    let is_random =
                        random.len() < self.most || random.last().is_some_and(|last| priority <= last.priority);
                    let is_strong =
                        strongest.len() < self.most || strongest.last().is_some_and(|last| prob >= last.prob);
                    if !is_random && !is_strong {
                        continue;
                    }
                    let from = pos.saturating_sub(BEFORE);
                    let to = (pos + AFTER + 1).min(reading.ids.len());
                    let weight = LayerReading::row(&routing.weights, pos, top_k).get(slot).copied().unwrap_or(0.0);
                    let sample = Sample {
                        priority,
                        group: reading.group.clone(),
                        place: reading.place,
                        position: pos,
                        prob,
                        weight,
                        rank: slot + 1,
                        ids: reading.ids[from..to].to_vec(),
                        at: pos - from,
                    };
                    self.keep(of_expert, &sample);
                }
            }
        }
    }

    fn keep(&mut self, of_expert: usize, sample: &Sample) {
        for by in PickedBy::ALL {
            let kept = &mut self.kept[of_expert][by as usize];
            let place = kept.partition_point(|other| by.order(other, sample).is_lt());
            if place < self.most {
                kept.insert(place, sample.clone());
                kept.truncate(self.most);
            }
        }
    }

    /// Adds the contexts of another part of the corpus, picked in the same way.
    pub fn merge(&mut self, other: &Self) {
        for (of_expert, theirs) in other.kept.iter().enumerate() {
            for by in PickedBy::ALL {
                let mine = &mut self.kept[of_expert][by as usize];
                mine.extend(theirs[by as usize].iter().cloned());
                mine.sort_by(|a, b| by.order(a, b));
                mine.truncate(self.most);
            }
        }
    }

    /// The contexts of an expert, best first.
    pub fn of(&self, layer: usize, expert: usize, by: PickedBy) -> &[Sample] {
        self.kept.get(layer * self.shape.experts + expert).map_or(&[], |kept| &kept[by as usize])
    }

    /// The ids of all tokens in contexts.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.kept.iter().flatten().flatten().flat_map(|sample| sample.ids.iter().copied())
    }
}
