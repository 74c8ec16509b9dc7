//! Edits of values: one row of a hook at one position.

use super::means::Means;
use super::source::{Data, Rows};
use crate::model::precision::{Precision, Rounding};
use crate::trace::{Change, Dims, Edit, HookKind as K, Part, Patched, Picks};
use anyhow::{Result, ensure};

/// A row of a hook at one position.
pub struct RowAt<'a> {
    pub kind: K,
    pub layer: usize,
    /// The first position of the edit's scope.
    pub first: usize,
    pub position: usize,
    /// The experts that the token chose, best first; known from the choice on.
    pub chosen: &'a [u32],
    pub dims: Dims,
    pub precision: Precision,
}

/// Whether an edit changes the values of `kind`.
pub fn changes(change: &Change, kind: K) -> bool {
    match change {
        Change::Bias(..) => kind == K::RouterLogits,
        Change::Zero(part @ Part::Experts(_)) => kind == output(part, K::MixingWeights) || kind == K::ExpertOut,
        Change::Zero(part) | Change::Scale(part, _) => kind == output(part, K::MixingWeights),
        Change::Mean(part) => kind == output(part, K::ExpertOut),
        Change::Add { hook, .. } | Change::Patch { what: Patched::Hook(hook), .. } => kind == *hook,
        Change::Patch { what: Patched::Heads(_), .. } => kind == K::Z,
        Change::Patch { what: Patched::Experts(_), .. } => kind == K::ExpertOut,
        Change::Replay { weights, .. } => *weights && kind == K::MixingWeights,
        Change::Ban(_) | Change::Force(_) | Change::TopK(_) | Change::Cut { .. } => false,
    }
}

/// The hook of a part's output; of an expert, `of_experts`.
pub(super) fn output(part: &Part, of_experts: K) -> K {
    match part {
        Part::Experts(_) => of_experts,
        Part::Shared => K::SharedOut,
        Part::Heads(_) => K::Z,
        Part::Attn => K::AttnOut,
        Part::Mlp => K::MlpOut,
    }
}

impl RowAt<'_> {
    /// Where the policy rounds the values.
    fn round(&self) -> Rounding {
        match self.kind {
            K::RouterLogits => self.precision.router,
            K::ExpertWeights => self.precision.choice,
            K::MixingWeights => self.precision.weights,
            kind if kind.always_f32() => Rounding::None,
            _ => self.precision.module,
        }
    }

    /// Carries out an edit of `row`.
    ///
    /// # Errors
    /// If a file's values do not fit the row.
    pub fn edit(&self, edit: &Edit, (data, means): (&Data, &Means), row: &mut [f32]) -> Result<()> {
        let round = self.round();
        match (&edit.change, data) {
            (Change::Bias(experts, by), _) => {
                row.iter_mut().enumerate().filter(|(expert, _)| experts.has(*expert)).for_each(|(_, logit)| {
                    *logit = round.one(*logit + by);
                });
            }
            // The weight of a zeroed expert is 0; what is not finite would still count.
            (Change::Zero(part), _) if self.kind == K::ExpertOut => self.parts(part, row, |_, values| {
                values.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
            }),
            (Change::Zero(part), _) => self.parts(part, row, |_, values| values.fill(0.0)),
            (Change::Scale(part, by), _) => {
                self.parts(part, row, |_, values| values.iter_mut().for_each(|x| *x = round.one(*x * by)));
            }
            (Change::Mean(part), _) => self.parts(part, row, |index, values| {
                if let Some(mean) = means.of(self.layer, part, index) {
                    values.copy_from_slice(mean);
                    round.slice(values);
                }
            }),
            (Change::Add { factor, .. }, Data::Vector(vector)) => {
                ensure!(
                    vector.len() == row.len(),
                    "`{edit}`: expected a vector of {} values, found {}",
                    row.len(),
                    vector.len()
                );
                row.iter_mut().zip(vector.iter()).for_each(|(x, by)| *x = round.one(*x + factor * by));
            }
            (Change::Patch { what, from, .. }, Data::Rows(rows)) => {
                let position = match from {
                    Some(from) => from + self.position - self.first,
                    None => self.position,
                };
                self.patch(edit, what, rows, position, row)?;
            }
            (Change::Replay { .. }, Data::Chosen(recorded)) => {
                for (expert, weight) in recorded.weights(self.position, self.layer) {
                    if let Some(slot) = self.chosen.iter().position(|chosen| chosen == expert) {
                        row[slot] = *weight;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Calls `change` with the index and the values of each part that is picked.
    fn parts(&self, part: &Part, row: &mut [f32], mut change: impl FnMut(usize, &mut [f32])) {
        match part {
            Part::Attn | Part::Mlp | Part::Shared => change(0, row),
            Part::Heads(heads) => of_width(row, self.dims.d_head, heads, Some, change),
            Part::Experts(experts) => {
                let width = if self.kind == K::ExpertOut { self.dims.d_model } else { 1 };
                let expert = |slot: usize| self.chosen.get(slot).map(|expert| *expert as usize);
                of_width(row, width, experts, expert, change);
            }
        }
    }

    fn patch(&self, edit: &Edit, what: &Patched, rows: &Rows, position: usize, row: &mut [f32]) -> Result<()> {
        let Some(other) = rows.row(position, self.layer) else { return Ok(()) };
        let round = self.round();
        match what {
            Patched::Hook(_) => {
                ensure!(
                    other.len() == row.len(),
                    "`{edit}`: expected {} values a position, found {}",
                    row.len(),
                    other.len()
                );
                row.copy_from_slice(other);
                round.slice(row);
            }
            Patched::Heads(heads) => of_width(row, self.dims.d_head, heads, Some, |head, values| {
                values.copy_from_slice(&other[head * values.len()..][..values.len()]);
                round.slice(values);
            }),
            Patched::Experts(experts) => {
                let (theirs, width) = (rows.chosen(position, self.layer), self.dims.d_model);
                let expert = |slot: usize| self.chosen.get(slot).map(|expert| *expert as usize);
                of_width(row, width, experts, expert, |expert, values| {
                    if let Some(slot) = theirs.iter().position(|e| *e as usize == expert) {
                        values.copy_from_slice(&other[slot * width..][..width]);
                        round.slice(values);
                    }
                });
            }
        }
        Ok(())
    }
}

/// Calls `change` with the picked ones of the pieces of `row`, each `width` wide. `index` gives the index of a piece's part.
fn of_width(
    row: &mut [f32],
    width: usize,
    picks: &Picks,
    index: impl Fn(usize) -> Option<usize>,
    mut change: impl FnMut(usize, &mut [f32]),
) {
    for (piece, values) in row.chunks_exact_mut(width).enumerate() {
        if let Some(index) = index(piece).filter(|index| picks.has(*index)) {
            change(index, values);
        }
    }
}
