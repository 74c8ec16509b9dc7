use super::hash::mixed;
use super::reading::{LayerReading, Phase, Reading};
use super::shape::Shape;
use std::collections::BTreeMap;

/// Parts of texts whose counts are kept apart.
const MOST: usize = 4096;

/// The counts of one part of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The group of its text.
    pub group: String,
    /// Tokens.
    pub tokens: u64,
    /// Tokens that chose each expert `[layers, experts]`.
    pub chosen: Vec<u64>,
}

/// Parts of texts, drawn at random from the corpus, whose labels can be shuffled: if groups mean nothing, it does not matter
/// which part has which label. Which parts are kept does not depend on the order in which windows are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    shape: Shape,
    seed: u64,
    /// By a hash of the part, and the part.
    pub(super) kept: BTreeMap<(u64, u64), Unit>,
}

/// How a group's use of an expert differs from what shuffled labels give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// Share of the group's tokens that chose the expert, in the parts that were kept.
    pub found: f64,
    /// The same over all groups.
    pub overall: f64,
    /// Mean over the shuffles.
    pub mean: f64,
    /// Standard deviation over the shuffles.
    pub deviation: f64,
    /// Shuffles in which the group differs from all groups at least as much.
    pub as_far: usize,
}

impl Units {
    /// Nothing yet.
    pub fn new(shape: Shape, seed: u64) -> Self {
        Self { shape, seed, kept: BTreeMap::new() }
    }

    /// Counts a window, if its part is one of those that are kept.
    pub fn add(&mut self, reading: &Reading) {
        if reading.phase != Phase::Prefill {
            return;
        }
        let Shape { layers, experts, top_k, .. } = self.shape;
        let part = reading.place.part;
        let key = (mixed(&[self.seed, part]), part);
        if !self.kept.contains_key(&key) {
            if self.kept.len() == MOST && self.kept.last_key_value().is_some_and(|(last, _)| key > *last) {
                return;
            }
            let group = reading.group.clone();
            self.kept.insert(key, Unit { group, tokens: 0, chosen: vec![0; layers * experts] });
            self.cut();
        }
        let Some(unit) = self.kept.get_mut(&key) else { return };
        unit.tokens += (reading.ids.len() - reading.from) as u64;
        for (layer, routing) in reading.layers.iter().enumerate() {
            for pos in reading.from..reading.ids.len() {
                for expert in LayerReading::row(&routing.chosen, pos, top_k) {
                    unit.chosen[layer * experts + *expert as usize] += 1;
                }
            }
        }
    }

    fn cut(&mut self) {
        while self.kept.len() > MOST {
            self.kept.pop_last();
        }
    }

    /// Adds the parts of another part of the corpus.
    pub fn merge(&mut self, other: &Self) {
        self.kept.extend(other.kept.iter().map(|(key, unit)| (*key, unit.clone())));
        self.cut();
    }

    /// The names of the groups, and how many of their parts are kept.
    pub fn groups(&self) -> BTreeMap<&str, usize> {
        let mut groups = BTreeMap::new();
        self.kept.values().for_each(|unit| *groups.entry(unit.group.as_str()).or_default() += 1);
        groups
    }

    /// Shuffles the labels `times` times: for each group, in the order of their names, each layer and expert.
    pub fn shuffled(&self, times: usize) -> Vec<Vec<Chance>> {
        let units: Vec<&Unit> = self.kept.values().collect();
        let names: Vec<&str> = self.groups().into_keys().collect();
        let width = self.shape.layers * self.shape.experts;
        let of_name = |unit: &&Unit| names.binary_search(&unit.group.as_str()).unwrap_or(0);
        let mut labels: Vec<usize> = units.iter().map(of_name).collect();
        let shares = |labels: &[usize]| -> Vec<Vec<f64>> {
            let (mut tokens, mut chosen) = (vec![0u64; names.len()], vec![vec![0u64; width]; names.len()]);
            for (unit, label) in units.iter().zip(labels) {
                tokens[*label] += unit.tokens;
                chosen[*label].iter_mut().zip(&unit.chosen).for_each(|(sum, count)| *sum += count);
            }
            let share = |(chosen, tokens): (&Vec<u64>, &u64)| {
                chosen.iter().map(|count| *count as f64 / (*tokens).max(1) as f64).collect()
            };
            chosen.iter().zip(&tokens).map(share).collect()
        };
        let all = &shares(&vec![0; units.len()]);
        let overall = all.first().cloned().unwrap_or_default();
        let found = shares(&labels);
        let (mut sums, mut squares) = (vec![vec![0.0; width]; names.len()], vec![vec![0.0; width]; names.len()]);
        let mut as_far = vec![vec![0usize; width]; names.len()];
        for time in 0..times {
            for end in (1..labels.len()).rev() {
                let other = mixed(&[self.seed, time as u64, end as u64]) % (end as u64 + 1);
                labels.swap(end, other as usize);
            }
            for (group, shares) in shares(&labels).iter().enumerate() {
                for (at, share) in shares.iter().enumerate() {
                    // As a difference from all groups, small numbers keep their digits.
                    let apart = share - overall[at];
                    sums[group][at] += apart;
                    squares[group][at] += apart * apart;
                    as_far[group][at] += usize::from(apart.abs() >= (found[group][at] - overall[at]).abs());
                }
            }
        }
        let n = times.max(1) as f64;
        let chance = |group: usize, at: usize| {
            let mean = sums[group][at] / n;
            Chance {
                found: found[group][at],
                overall: overall[at],
                mean: overall[at] + mean,
                deviation: (squares[group][at] / n - mean * mean).max(0.0).sqrt(),
                as_far: as_far[group][at],
            }
        };
        (0..names.len()).map(|group| (0..width).map(|at| chance(group, at)).collect()).collect()
    }
}
