//! Suspects that are known by the size of their effect alone: whether the differences are as large and look like it.

use super::definition::nudge;
use super::search::Case;
use super::suspect::Suspect;
use crate::analysis::diff::Gap;
use crate::trace::HookKind as K;
use anyhow::Result;
use std::ops::RangeInclusive;

/// A suspect of which only the size of its effect is known fits if the effect is between these times as large.
/// With f16 sums in the order of a loop 0.8 to 1.5 was measured; sums in parts make less.
const SAME_SIZE: RangeInclusive<f64> = 0.3..=1.6;
/// Values that were rounded when they were saved are off by at most this many times what rounding makes of them, and single
/// tokens and columns by at most so many times: 1.0 is expected, and 1.4 and 2.4 was the most for outputs of many columns.
const SAVED: f64 = 1.45;
const FAR: f64 = 3.0;
/// Where a text repeats itself, so does the rounding of a column: up to 5.6 was seen.
const FAR_COLUMN: f64 = 8.0;
/// Outputs of fewer columns are drawn so often, and need this many tokens.
const WIDE: usize = 32;
const DRAWS: u64 = 8;
const FEW: usize = 3;
/// And so it is, more widely, for the two thirds of the tokens that are off the least.
const SPREAD: RangeInclusive<f64> = 0.15..=5.0;
/// Cosine of differences and values, and share of the squared differences in a tenth of the columns, up to which
/// differences look like rounding.
const PROPORTIONAL: f64 = 0.5;
const CONCENTRATED: f64 = 0.9;

impl Case<'_> {
    /// Whether the recorded values are off by as much as suspects that are known by their size move them, and look like it:
    /// the gap that they make.
    pub(super) fn by_size(&self, suspects: &[Suspect]) -> Result<Option<Gap>> {
        if suspects.iter().any(|suspect| matches!(suspect, Suspect::SavedIn(_))) {
            return self.by_saving(suspects);
        }
        let without: Vec<Suspect> = suspects.iter().filter(|s| **s != Suspect::SumsInF16).cloned().collect();
        let (plain, summed) = (self.values(&without)?, self.values(suspects)?);
        let effect = self.effect(&plain, &summed);
        let found = self.gaps(&plain).into_iter().fold(Gap::default(), Gap::and);
        let ratio = found.relative_l2 / effect.relative_l2.max(f64::MIN_POSITIVE);
        let is_size = effect.equal < effect.values && SAME_SIZE.contains(&ratio);
        Ok((is_size && self.is_spread_as(&plain, &summed) && self.looks_random(&plain, &summed)).then_some(effect))
    }

    /// The same for values that were rounded when they were saved: each token and each column is off by no more than
    /// inputs and outputs that are moved at random within their rounding make it. Less is no contradiction.
    fn by_saving(&self, suspects: &[Suspect]) -> Result<Option<Gap>> {
        let kind = self.operation.hook.kind;
        let plain = self.values(suspects)?;
        let width = plain.first().map_or(0, Vec::len);
        let Some(recorded) = self.recorded_rows(width) else { return Ok(None) };
        // A few numbers of a draw tell little, nor do many that hang on one, as what an expert makes of a large input.
        let is_narrow = width < WIDE || matches!(kind, K::Pattern | K::RotQ | K::RotK | K::Z | K::ExpertOut);
        let draws = if is_narrow { DRAWS } else { DRAWS / 2 };
        let (mut moved, mut effects) = (Vec::new(), vec![vec![0.0; width]; plain.len()]);
        for draw in 0..draws {
            moved = self.values_from(&self.held.nudged(draw), suspects)?;
            for (x, i) in moved.iter_mut().flatten().zip(draw << 40..) {
                *x += f64::from(nudge(*x as f32, i, self.stored) - *x as f32);
            }
            for ((effect, moved), plain) in
                effects.iter_mut().flatten().zip(moved.iter().flatten()).zip(plain.iter().flatten())
            {
                *effect += (moved - plain).powi(2) / draws as f64;
            }
        }
        let gaps: Vec<Vec<f64>> = recorded
            .iter()
            .zip(&plain)
            .map(|(recorded, plain)| recorded.iter().zip(plain).map(|(a, b)| (a - b).powi(2)).collect())
            .collect();
        let sum = |rows: &[Vec<f64>], keep: &dyn Fn(usize, usize) -> bool| -> f64 {
            let of_row = |(i, row): (usize, &Vec<f64>)| (0..width).filter(|j| keep(i, *j)).map(|j| row[j]).sum::<f64>();
            rows.iter().enumerate().map(of_row).sum()
        };
        let ratio = |keep: &dyn Fn(usize, usize) -> bool| match (sum(&gaps, keep), sum(&effects, keep)) {
            (0.0, _) => 0.0,
            (gap, effect) => (gap / effect).sqrt(),
        };
        // Those with the largest gaps were chosen for these.
        let is_worst = |i: usize| self.operation.worst.contains(&self.positions[i]);
        let others = (0..plain.len()).filter(|i| !is_worst(*i)).count();
        let fits = match (is_narrow, others >= FEW) {
            (true, true) => ratio(&|i, _| !is_worst(i)) <= SAVED + 1.0 / ((others * width) as f64).sqrt(),
            (true, false) => ratio(&|_, _| true) <= 2.0 * SAVED,
            (false, _) => ratio(&|_, _| true) <= SAVED,
        };
        let far = if is_narrow { 2.0 * FAR } else { FAR };
        let rows = (0..plain.len()).all(|row| ratio(&|i, _| i == row) <= far);
        let has_columns = !is_narrow && plain.len() >= 2 * FEW;
        let columns = !has_columns || (0..width).all(|column| ratio(&|_, j| j == column) <= FAR_COLUMN);
        Ok((fits && rows && columns).then(|| self.effect(&plain, &moved)))
    }

    /// The gap between values and what they are moved to.
    fn effect(&self, plain: &[Vec<f64>], moved: &[Vec<f64>]) -> Gap {
        let mut gap = Gap::default();
        for (a, b) in plain.iter().flatten().zip(moved.iter().flatten()) {
            let (a, b) = (*a as f32, *b as f32);
            gap.add(a, b, a == b, self.operation.dtype.ulp(a.abs().max(b.abs())));
        }
        gap.done()
    }

    /// The recorded values of the positions that are tested, `width` of each.
    fn recorded_rows(&self, width: usize) -> Option<Vec<Vec<f64>>> {
        let row = |pos: &usize| Some(self.recorded_row(*pos, width)?.into_iter().map(f64::from).collect());
        self.positions.iter().map(row).collect()
    }

    /// The recorded values of one token, `width` of them.
    fn recorded_row(&self, pos: usize, width: usize) -> Option<Vec<f32>> {
        let n = self.held.tokens.len();
        match self.operation.hook.kind {
            K::Pattern => Some(self.a.chunks_exact(n * n).flat_map(|head| &head[pos * n..][..n]).copied().collect()),
            _ => self.a.get(pos * width..)?.get(..width).map(<[f32]>::to_vec),
        }
    }

    /// Whether tokens are off by about as much as rounding makes them, also without the third that is off the most: a fault
    /// at some tokens leaves the others as they are.
    fn is_spread_as(&self, plain: &[Vec<f64>], rounded: &[Vec<f64>]) -> bool {
        let width = plain.first().map_or(0, Vec::len);
        let mut squares = Vec::new();
        for ((pos, plain), rounded) in self.positions.iter().zip(plain).zip(rounded) {
            let Some(recorded) = self.recorded_row(*pos, width) else { return false };
            let gap: f64 = recorded.iter().zip(plain).map(|(a, plain)| (f64::from(*a) - plain).powi(2)).sum();
            let effect: f64 = rounded.iter().zip(plain).map(|(b, plain)| (b - plain).powi(2)).sum();
            squares.push((gap, effect));
        }
        squares.sort_by(|a, b| b.0.total_cmp(&a.0));
        let rest = &squares[squares.len() / 3..];
        let (gap, effect) = rest.iter().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        effect > 0.0 && SPREAD.contains(&(gap / effect).sqrt())
    }

    /// Whether the differences look like rounding: not in proportion to the values, and spread over the columns, or else as much
    /// as the rounding's own.
    fn looks_random(&self, plain: &[Vec<f64>], moved: &[Vec<f64>]) -> bool {
        let width = plain.first().map_or(0, Vec::len);
        let Some(rows) = self.recorded_rows(width) else { return false };
        let (found, own) = (Shape::of(plain, &rows), Shape::of(plain, moved));
        found.along <= PROPORTIONAL.max(2.0 * own.along) && found.top <= CONCENTRATED.max(1.0 - 0.5 * (1.0 - own.top))
    }
}

/// How differences are distributed.
struct Shape {
    /// Cosine of the differences and the values.
    along: f64,
    /// Share of the squared differences in the tenth of the columns that has the largest.
    top: f64,
}

impl Shape {
    /// That of `rows` against `plain`.
    fn of(plain: &[Vec<f64>], rows: &[Vec<f64>]) -> Self {
        let mut columns = vec![0.0; plain.first().map_or(0, Vec::len)];
        let (mut along, mut norm, mut gap) = (0.0, 0.0, 0.0);
        for (plain, row) in plain.iter().zip(rows) {
            for ((column, plain), value) in columns.iter_mut().zip(plain).zip(row) {
                let off = value - plain;
                along += off * plain;
                norm += plain * plain;
                gap += off * off;
                *column += off * off;
            }
        }
        columns.sort_by(|a, b| b.total_cmp(a));
        let top: f64 = columns.iter().take(columns.len().div_ceil(10)).sum();
        let (norm, gap) = (f64::max(norm, f64::MIN_POSITIVE), f64::max(gap, f64::MIN_POSITIVE));
        Self { along: f64::abs(along) / (norm * gap).sqrt(), top: top / gap }
    }
}
