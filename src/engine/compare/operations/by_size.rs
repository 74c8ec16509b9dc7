//! Suspects that are known by the size of their effect alone: whether the differences are as large and look like it.

use super::definition::nudge;
use super::search::Case;
use super::suspect::Suspect;
use crate::analysis::diff::Gap;
use crate::trace::HookKind as K;
use anyhow::Result;
use std::ops::RangeInclusive;

/// A suspect of which only the size of its effect is known fits if the effect is between these times as large.
const SAME_SIZE: RangeInclusive<f64> = 0.3..=3.0;
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
        let without: Vec<Suspect> = suspects.iter().filter(|s| **s != Suspect::SumsInF16).cloned().collect();
        let plain = self.values(&without)?;
        let is_saved = suspects.iter().any(|suspect| matches!(suspect, Suspect::SavedIn(_)));
        let moved = match is_saved {
            true => {
                let mut rows = self.values_from(&self.held.nudged(), suspects)?;
                for (x, i) in rows.iter_mut().flatten().zip(0..) {
                    *x += f64::from(nudge(*x as f32, i, self.stored) - *x as f32);
                }
                rows
            }
            false => self.values(suspects)?,
        };
        let Some(recorded) = self.recorded_rows(plain.first().map_or(0, Vec::len)) else { return Ok(None) };
        let gap = |rows: &[Vec<f64>]| {
            let mut gap = Gap::default();
            for (a, b) in plain.iter().flatten().zip(rows.iter().flatten()) {
                let (a, b) = (*a as f32, *b as f32);
                gap.add(a, b, a == b, self.operation.dtype.ulp(a.abs().max(b.abs())));
            }
            gap.done()
        };
        let (effect, found) = match is_saved {
            true => (gap(&moved), gap(&recorded)),
            false => (gap(&moved), self.gaps(&plain).into_iter().fold(Gap::default(), Gap::and)),
        };
        let ratio = found.relative_l2 / effect.relative_l2.max(f64::MIN_POSITIVE);
        // The tokens that are off the most are among those tested, and by chance alone are off by some times as much.
        let room = if is_saved { 2.0 } else { 1.0 };
        let is_size = found.non_finite == 0 && effect.equal < effect.values && SAME_SIZE.contains(&(ratio / room));
        Ok((is_size && self.is_spread_as(&plain, &moved) && self.looks_random(&plain, &moved)).then_some(effect))
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
