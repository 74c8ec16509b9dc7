//! The search for what makes an operation differ: each suspect is put in force and has to give the recorded values.

use super::candidates::fixed;
use super::compared::{Compared, Scores};
use super::definition::{Definition, Held, NotRecorded};
use super::fit;
use super::held::held;
use super::recorded::Recorded;
use super::suspect::Suspect;
use crate::analysis::diff::{Gap, Limit, Operation};
use crate::control::Control;
use crate::model::{Loaded, Precision};
use crate::trace::{Dtype, HookKind as K};
use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::mem::discriminant;

/// Positions at which suspects are tested, at least and at most, and the multiply-adds that they may take.
const POSITIONS: (usize, usize) = (3, 12);
const BUDGET: u64 = 1 << 31;
/// A suspect of which only the size of its effect is known fits if the effect is between these times as large.
const SAME_SIZE: [f64; 2] = [0.3, 3.0];
/// And so it is, more widely, for the two thirds of the tokens that are off the least.
const SPREAD: [f64; 2] = [0.15, 5.0];
/// Cosine of differences and values, and share of the squared differences in a tenth of the columns, up to which
/// differences look like rounding.
const PROPORTIONAL: f64 = 0.5;
const CONCENTRATED: f64 = 0.9;
/// Roundings to 8 or 16 bits in between fall to the other side now and then, and move the whole of a token's values: this
/// share of the tokens must be within the limit, and the whole gap close to this factor of what it was.
const MOST_TOKENS: f64 = 0.6;
const CLOSED: f64 = 0.5;
/// A kind of rounding may leave a tenth of its effect, and this relative L2 at most.
const NEARLY: f64 = 5e-4;
/// Through several operations it may leave this share.
const THROUGH: f64 = 0.4;
/// Through several operations in f32 this relative L2 may be left.
const F32_THROUGH: f64 = 1e-4;
/// A computation of another structure fits if it leaves this share of the gap, in a rounding of its own.
const STRUCTURE: f64 = 0.02;

/// A suspect that gives the recorded values.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// What it is.
    pub cause: String,
    /// Whether it is a matter of rounding.
    pub rounding: bool,
    /// The dtype in which values are equal or not.
    pub dtype: Dtype,
    /// The gap that is left with it, over the positions and parts that were tested.
    pub with: Gap,
    /// The gap without it there.
    pub without: Gap,
    #[serde(skip)]
    pub suspect: Suspect,
}

/// One operation that differs, and what is needed to test suspects on it.
pub struct Case<'a> {
    loaded: &'a Loaded,
    operation: &'a Operation,
    held: Held,
    /// The recorded output, and the dtype in which it is stored.
    a: Vec<f32>,
    stored: Dtype,
    positions: Vec<usize>,
    scores: Scores,
    chosen: Vec<u32>,
    precision: Precision,
}

impl<'a> Case<'a> {
    /// Reads what the recording holds around `operation`; `None` if its layer's input is not there.
    ///
    /// # Errors
    /// If the recording can't be read.
    pub fn of(
        loaded: &'a Loaded,
        recorded: &Recorded,
        operation: &'a Operation,
        precision: Precision,
    ) -> Result<Option<Self>> {
        let hook = operation.hook;
        // The stream between two layers is copied: nothing is computed there.
        let is_copy = hook.kind == K::ResidPre && hook.layer > 0;
        if is_copy || recorded.sources(hook).crosses_layers {
            return Ok(None);
        }
        let held = held(loaded, recorded, hook)?;
        let tensor = recorded.tensor(hook)?.with_context(|| format!("`{hook}` is not recorded"))?;
        let a = tensor.f32().with_context(|| format!("`{hook}`"))?.to_vec();
        let of = |kind: K| held.values.get(&kind);
        let scores = match (of(K::RotQ), of(K::RotK)) {
            (Some(q), Some(k)) => Scores::of(q, k, loaded.meta.dims),
            _ => Scores::default(),
        };
        let chosen = operation.chosen.clone();
        let stored = tensor.dtype;
        let mut case = Self { loaded, operation, held, a, stored, positions: Vec::new(), scores, chosen, precision };
        case.positions = case.worst_positions(recorded.tokens)?;
        Ok(Some(case))
    }

    /// The values by definition at the positions that are tested `[positions, …]`.
    fn values(&self, suspects: &[Suspect]) -> Result<Vec<Vec<f64>>> {
        let hook = self.operation.hook;
        let layer = self.layer();
        let row = |pos: &usize| -> Result<Vec<f64>> {
            let at = (layer, hook.kind);
            let mut definition = Definition::new(self.loaded, &self.held, at, self.precision, suspects);
            Ok(definition.row(hook.kind, *pos)?.to_vec())
        };
        // Rows of products are shared among the threads already.
        match hook.kind {
            K::Pattern | K::Z | K::RotQ | K::RotK => self.positions.par_iter().map(row).collect(),
            _ => self.positions.iter().map(row).collect(),
        }
    }

    fn layer(&self) -> usize {
        match self.operation.hook.kind {
            K::LnFinal | K::LnFinalScale | K::Logits => self.loaded.meta.dims.layers - 1,
            _ => self.operation.hook.layer as usize,
        }
    }

    /// The gap to the recorded values with these suspects in force, over the bad parts.
    ///
    /// # Errors
    /// If weights can't be read.
    pub fn gap(&self, suspects: &[Suspect]) -> Result<Gap> {
        Ok(self.gaps(&self.values(suspects)?).into_iter().fold(Gap::default(), Gap::and))
    }

    /// The gap of each position.
    fn gaps(&self, values: &[Vec<f64>]) -> Vec<Gap> {
        let hook = self.operation.hook;
        let compared = Compared {
            hook,
            dims: self.loaded.meta.dims,
            tokens: self.held.tokens.len(),
            dtype: self.operation.dtype,
            scores: &self.scores,
            chosen: &self.chosen,
            skip: None,
        };
        let gap = |(pos, own): (&usize, &Vec<f64>)| {
            let a = compared.row(&self.a, *pos);
            compared.row_gap(*pos, &a, own, &self.operation.parts)
        };
        self.positions.iter().zip(values).map(gap).collect()
    }

    /// Whether the recorded values follow with these suspects in force.
    ///
    /// # Errors
    /// If weights can't be read.
    pub fn explains(&self, suspects: &[Suspect]) -> Result<bool> {
        let Some(last) = suspects.last() else { return Ok(false) };
        if suspects.contains(&Suspect::SumsInF16) {
            let rest: Vec<Suspect> = suspects.iter().filter(|s| **s != Suspect::SumsInF16).cloned().collect();
            return self.is_size_of(&rest, suspects);
        }
        let (before, after) = (self.gap(&[])?, self.gaps(&self.values(suspects)?));
        Ok(self.closes(last, before, &after))
    }

    fn is_size_of(&self, before: &[Suspect], all: &[Suspect]) -> Result<bool> {
        let (plain, summed) = (self.values(before)?, self.values(all)?);
        let norm = |of: &dyn Fn(f64, f64) -> f64| {
            let pairs = plain.iter().flatten().zip(summed.iter().flatten());
            pairs.map(|(a, b)| of(*a, *b)).sum::<f64>().sqrt()
        };
        let effect = norm(&|a, b| (a - b) * (a - b)) / norm(&|a, _| a * a).max(f64::MIN_POSITIVE);
        let ratio = self.gap(before)?.relative_l2 / effect.max(f64::MIN_POSITIVE);
        let is_size = effect > 0.0 && (SAME_SIZE[0]..=SAME_SIZE[1]).contains(&ratio);
        Ok(is_size && self.is_spread_as(&plain, &summed) && self.looks_random(&plain))
    }

    /// Whether tokens are off by about as much as rounding makes them, also without the third that is off the most: a fault
    /// at some tokens leaves the others as they are.
    fn is_spread_as(&self, plain: &[Vec<f64>], rounded: &[Vec<f64>]) -> bool {
        let width = plain.first().map_or(0, Vec::len);
        let mut squares = Vec::new();
        for ((pos, plain), rounded) in self.positions.iter().zip(plain).zip(rounded) {
            let Some(recorded) = self.a.get(pos * width..).and_then(|rest| rest.get(..width)) else { return false };
            let gap: f64 = recorded.iter().zip(plain).map(|(a, plain)| (f64::from(*a) - plain).powi(2)).sum();
            let effect: f64 = rounded.iter().zip(plain).map(|(b, plain)| (b - plain).powi(2)).sum();
            squares.push((gap, effect));
        }
        squares.sort_by(|a, b| b.0.total_cmp(&a.0));
        let rest = &squares[squares.len() / 3..];
        let (gap, effect) = rest.iter().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        effect > 0.0 && (SPREAD[0]..=SPREAD[1]).contains(&(gap / effect).sqrt())
    }

    /// Whether the differences look like rounding: not in proportion to the values, and spread over the columns.
    fn looks_random(&self, plain: &[Vec<f64>]) -> bool {
        let width = plain.first().map_or(0, Vec::len);
        let mut columns = vec![0.0; width];
        let (mut along, mut norm, mut gap) = (0.0, 0.0, 0.0);
        for (pos, row) in self.positions.iter().zip(plain) {
            for (i, own) in row.iter().enumerate() {
                let Some(a) = self.a.get(pos * width + i) else { return false };
                let off = f64::from(*a) - own;
                along += off * own;
                norm += own * own;
                gap += off * off;
                columns[i] += off * off;
            }
        }
        columns.sort_by(|a, b| b.total_cmp(a));
        let top: f64 = columns.iter().take(width.div_ceil(10)).sum();
        let share = along.abs() / norm.max(f64::MIN_POSITIVE) / (gap / norm.max(f64::MIN_POSITIVE)).sqrt();
        share <= PROPORTIONAL && top <= CONCENTRATED * gap
    }

    /// Whether a suspect closes the gap that was there without it, given what is left at each position.
    fn closes(&self, suspect: &Suspect, before: Gap, after: &[Gap]) -> bool {
        let all = after.iter().copied().fold(Gap::default(), Gap::and);
        if all.non_finite > 0 || before.relative_l2 == 0.0 {
            return false;
        }
        let limit = Limit::of(self.operation.hook.kind, self.operation.dtype);
        let closes = all.relative_l2 <= 0.1 * before.relative_l2 || all.share() >= 0.5 + 0.5 * before.share();
        if closes && limit.allows(&all) {
            return true;
        }
        let room = self.operation.rounding.map(|rounding| match self.operation.dtype {
            Dtype::F32 => F32_THROUGH.min(0.1 * before.relative_l2),
            _ => (2.0 * rounding).min(CLOSED * before.relative_l2),
        });
        if room.is_some_and(|room| all.non_finite == 0 && all.relative_l2 <= room) {
            return true;
        }
        if !suspect.is_rounding() && !matches!(suspect, Suspect::Policy(..)) {
            let ulp = f64::from(self.operation.dtype.ulp(1.0));
            return all.relative_l2 <= (STRUCTURE * before.relative_l2).min(ulp);
        }
        if all.relative_l2 <= (0.1 * before.relative_l2).min(NEARLY) {
            return true;
        }
        // Through several operations such roundings add up.
        if !self.operation.direct && all.relative_l2 <= THROUGH * before.relative_l2 {
            return true;
        }
        let within = after.iter().filter(|gap| limit.allows(gap)).count();
        after.len() >= 2
            && within >= (MOST_TOKENS * after.len() as f64).round() as usize
            && all.relative_l2 <= CLOSED * before.relative_l2
    }

    /// The positions that are tested: those with the largest gaps, others evenly from the first bad one on, as many as the
    /// sizes of the model allow, and two before it.
    fn worst_positions(&self, tokens: usize) -> Result<Vec<usize>> {
        let cost = match self.operation.hook.kind {
            K::ExpertOut | K::MlpOut | K::ResidPost => self.loaded.meta.params.1 / self.loaded.meta.dims.layers as u64,
            K::Logits => (self.loaded.meta.dims.vocab * self.loaded.meta.dims.d_model) as u64,
            _ => (self.loaded.meta.dims.d_model * self.loaded.meta.dims.d_model) as u64,
        };
        let most = ((BUDGET / cost.max(1)) as usize).clamp(POSITIONS.0, POSITIONS.1).min(tokens);
        let first = self.operation.position.unwrap_or(0);
        let room = tokens - first;
        let step = |i: usize| first + if most > 1 { i * (room - 1) / (most - 1) } else { 0 };
        // Positions before, which agree, contradict what would change them too.
        let before = [first / 2, first.saturating_sub(1)].into_iter().filter(|pos| *pos < first);
        let mut all: Vec<usize> = before.chain((0..most).map(step)).chain(self.operation.worst.clone()).collect();
        all.sort_unstable();
        all.dedup();
        if matches!(self.operation.hook.kind, K::ExpertOut) && !self.operation.parts.is_empty() {
            let k = self.loaded.meta.dims.top_k;
            let has = |pos: &usize| {
                self.chosen[pos * k..][..k].iter().any(|expert| self.operation.parts.contains(&(*expert as usize)))
            };
            let with: Vec<usize> = (0..tokens).filter(has).collect();
            let stride = with.len().div_ceil(most).max(1);
            let worst = self.operation.worst.iter().copied().filter(has);
            all = with.iter().copied().step_by(stride).chain(worst).collect();
            all.sort_unstable();
            all.dedup();
        }
        Ok(all)
    }

    /// Whether the definition in f64 gives the recorded values: a product's sums in f32 are rounding of their own.
    ///
    /// # Errors
    /// If weights can't be read.
    pub fn agrees_in_f64(&self) -> Result<bool> {
        let limit = Limit::of(self.operation.hook.kind, self.operation.dtype);
        Ok(limit.allows_most(&self.gaps(&self.values(&[])?)))
    }

    /// The suspect that fits best on top of those `in_force`, with how well; `None` if none does.
    ///
    /// # Errors
    /// If weights can't be read, or `control` stops the search.
    pub fn search(&self, in_force: &[Suspect], control: &Control) -> Result<Option<Fit>> {
        // No computation that is known gives NaN.
        if self.operation.gap.non_finite > 0 {
            return Ok(None);
        }
        let without = self.gap(in_force)?;
        let mut best: Option<Fit> = None;
        let mut fitting: Vec<Fit> = Vec::new();
        for suspect in self.suspects()? {
            control.check()?;
            let mut all = in_force.to_vec();
            all.push(suspect.clone());
            let values = match self.values(&all) {
                Err(error) if error.is::<NotRecorded>() => continue,
                values => values?,
            };
            let left = self.gaps(&values);
            let with = left.iter().copied().fold(Gap::default(), Gap::and);
            let fits = match suspect {
                Suspect::SumsInF16 => self.operation.direct && in_force.is_empty() && self.is_size_of(&[], &all)?,
                _ => self.closes(&suspect, without, &left),
            };
            if !fits {
                continue;
            }
            // By size alone is less than by value, whatever is left.
            let rank = |fit: &Fit| (fit.suspect == Suspect::SumsInF16, fit.with.relative_l2);
            let (cause, rounding) = (suspect.to_string(), suspect.is_rounding());
            let fit = Fit { cause, rounding, dtype: self.operation.dtype, with, without, suspect };
            let is_better = best.as_ref().is_none_or(|best| {
                let ((loose, left), (best_loose, best_left)) = (rank(&fit), rank(best));
                (loose, left < best_left * 0.5) < (best_loose, false) || loose == best_loose && left < best_left * 0.5
            });
            fitting.push(fit.clone());
            if is_better {
                best = Some(fit);
            }
        }
        if let Some(best) = best.as_mut().filter(|best| !best.rounding) {
            // Another digit of the same number is not another cause.
            let is_other = |fit: &Fit| discriminant(&fit.suspect) != discriminant(&best.suspect);
            let as_well =
                |fit: &&Fit| is_other(fit) && !fit.rounding && fit.with.relative_l2 <= 2.0 * best.with.relative_l2;
            let mut others: Vec<String> = fitting.iter().filter(as_well).map(|fit| fit.cause.clone()).collect();
            others.sort();
            others.dedup();
            if !others.is_empty() {
                best.cause = format!("{} (or, which gives the same here: {})", best.cause, others.join("; "));
            }
        }
        Ok(best)
    }

    /// Every suspect that acts between the recorded inputs and the operation; some with a number that the values suggest.
    fn suspects(&self) -> Result<Vec<Suspect>> {
        let kinds = self.between();
        let mut all = fit::suggested(self.loaded, &self.held, &self.a, self.operation, self.layer())?;
        all.extend(fixed(self.loaded, self.operation.dtype, self.stored));
        if self.operation.hook.kind == K::ExpertOut && !self.operation.parts.is_empty() {
            for suspect in &mut all {
                if let Suspect::OtherExpert(map) = suspect {
                    map.retain(|(of, _)| self.operation.parts.contains(of));
                }
            }
        }
        all.retain(|suspect| kinds.iter().any(|kind| suspect.acts_on(*kind)));
        Ok(all)
    }

    /// The operation, and those between it and the recorded values.
    fn between(&self) -> Vec<K> {
        let mut all = vec![self.operation.hook.kind];
        let mut i = 0;
        while i < all.len() {
            for input in super::recorded::inputs(all[i]) {
                if !self.held.values.contains_key(input) && !all.contains(input) {
                    all.push(*input);
                }
            }
            if all[i] == K::ResidPre && self.layer() == 0 && !all.contains(&K::Embed) {
                all.push(K::Embed);
            }
            i += 1;
        }
        all
    }
}
