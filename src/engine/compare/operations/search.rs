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
    /// The gap that is left with it, over the positions and parts that were tested; of a cause known by its size, that which
    /// it makes.
    pub with: Gap,
    /// The gap without it there.
    pub without: Gap,
    /// How many positions were tested.
    pub positions: usize,
    #[serde(skip)]
    pub suspect: Suspect,
}

impl Fit {
    /// How well it fits, in words.
    pub fn words(&self) -> String {
        let (with, without) = (self.with.words(self.dtype), self.without.words(self.dtype));
        match self.suspect.is_by_size() {
            true => format!("that moves values by about as much: {with}; found, {without}"),
            false => format!("so computed, {with}; without it, {without} ({})", counted(self.positions, "token")),
        }
    }
}

/// A number and what it counts.
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{} tested", if n == 1 { "" } else { "s" })
}

/// One operation that differs, and what is needed to test suspects on it.
pub struct Case<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) operation: &'a Operation,
    pub(super) held: Held,
    /// The recorded output, and the dtype in which it is stored.
    pub(super) a: Vec<f32>,
    pub(super) stored: Dtype,
    pub(super) positions: Vec<usize>,
    pub(super) scores: Scores,
    pub(super) chosen: Vec<u32>,
    pub(super) precision: Precision,
    /// The dtype to which values were rounded when they were saved, and not before.
    pub(super) saved_in: Option<Dtype>,
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
            (Some(q), Some(k)) => {
                Scores::of(q, k, loaded.meta.dims, (hook.layer as usize, loaded.config.arch.score_scale()))
            }
            _ => Scores::default(),
        };
        let chosen = operation.chosen.clone();
        let stored = tensor.dtype;
        let narrow = held.dtypes.values().copied().fold(stored, Dtype::coarser);
        let is_late = narrow != Dtype::F32 && recorded.is_rounded_late(loaded.meta.policy)?;
        let saved_in = is_late.then_some(narrow);
        let positions = Vec::new();
        let mut case = Self { loaded, operation, held, a, stored, positions, scores, chosen, precision, saved_in };
        case.positions = case.worst_positions(recorded.tokens)?;
        Ok(Some(case))
    }

    /// The values by definition at the positions that are tested `[positions, …]`.
    pub(super) fn values(&self, suspects: &[Suspect]) -> Result<Vec<Vec<f64>>> {
        self.values_from(&self.held, suspects)
    }

    pub(super) fn values_from(&self, held: &Held, suspects: &[Suspect]) -> Result<Vec<Vec<f64>>> {
        let hook = self.operation.hook;
        let layer = self.layer();
        let row = |pos: &usize| -> Result<Vec<f64>> {
            let at = (layer, hook.kind);
            let mut definition = Definition::new(self.loaded, held, at, self.precision, suspects);
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
    pub(super) fn gaps(&self, values: &[Vec<f64>]) -> Vec<Gap> {
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
        if suspects.iter().any(Suspect::is_by_size) {
            return Ok(self.by_size(suspects)?.is_some());
        }
        let (before, after) = (self.gap(&[])?, self.gaps(&self.values(suspects)?));
        Ok(self.closes(last, before, &after))
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
            let rows = self.gaps(&values);
            let left = &rows;
            let left = left.iter().copied().fold(Gap::default(), Gap::and);
            let with = match suspect.is_by_size() {
                // What is left is then not told by its size.
                true if !in_force.is_empty() || suspect == Suspect::SumsInF16 && !self.operation.direct => None,
                true => self.by_size(&all)?,
                // Once values are known to have been rounded late, what such rounding makes is always left.
                false if all.iter().any(Suspect::is_by_size) => {
                    let is_closer = left.relative_l2 <= CLOSED * without.relative_l2;
                    if is_closer { self.by_size(&all)?.map(|_| left) } else { None }
                }
                false => self.closes(&suspect, without, &rows).then_some(left),
            };
            let Some(with) = with else { continue };
            // By size alone is less than by value, whatever is left.
            let rank = |fit: &Fit| (fit.suspect.is_by_size(), fit.with.relative_l2);
            let (cause, rounding) = (suspect.to_string(), suspect.is_rounding());
            let (dtype, positions) = (self.operation.dtype, self.positions.len());
            let fit = Fit { cause, rounding, dtype, with, without, positions, suspect };
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
            let is_other =
                |fit: &Fit| fit.cause != best.cause && discriminant(&fit.suspect) != discriminant(&best.suspect);
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
        all.extend(fixed(self.loaded, self.operation.dtype, self.stored, self.saved_in));
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
            for input in super::recorded::inputs(all[i], self.loaded.meta.dims, self.layer()) {
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
