//! Two runs side by side, token by token: of the same text (another policy, other edits, a recording), or of two prompts.

use super::NO_OTHER;
use crate::analysis::tables::{CompareRow, Row, TokenText};
use crate::analysis::{Aligned, Distance};
use crate::protocol::OtherRun;
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::{Clip, Copied};
use crate::trace::{Direction, LensCell, LensKey, TokenRecord};
use std::sync::Arc;

pub(in crate::state::views) const RULES: Rules = Rules { jump, has_contributions: false, missing, ..Rules::new(copy) };

/// Goes to the next flip between two runs of the same text; between two prompts, to the next near-tie.
fn jump(state: &mut State, direction: Direction) {
    if state.compares_prompts() {
        return state.jump_to_near_tie(direction);
    }
    super::jump(state, direction);
}

fn missing(state: &State) -> Option<&'static str> {
    state.compared_rows().is_empty().then_some(NO_OTHER)
}

fn copy(state: &State, extent: Extent) -> Copied {
    let rows = state.compared_rows();
    let shown = match extent {
        Extent::View => 0..rows.len(),
        Extent::Cell | Extent::Row => {
            let at = state.compared_at(&rows);
            at..(at + 1).min(rows.len())
        }
    };
    let layers = state.meta().map_or(0, |meta| meta.dims.layers);
    let distance = state.compared_distance();
    let mut clip = Clip::new(CompareRow::TABLE)?;
    for at in shown {
        let row = rows[at];
        clip.extend([CompareRow::of(
            row,
            state.compared_records(row),
            distance.and_then(|found| *found.kl.get(at)?),
            layers,
            TokenText::Exact,
        )])?;
    }
    clip.finish("the comparison")
}

impl State {
    /// Whether two prompts are compared: A is the run on screen then, and B the second prompt. Else A is the baseline, and B
    /// the run.
    pub fn compares_prompts(&self) -> bool {
        self.second.is_some()
    }

    /// The rows of the comparison.
    pub fn compared_rows(&self) -> Vec<Aligned> {
        if let Some(second) = &self.second {
            return if second.tokens().is_empty() { Vec::new() } else { self.aligned() };
        }
        (0..self.baseline.tokens().len().min(self.tokens.len())).map(|pos| (Some(pos), Some(pos))).collect()
    }

    /// The row at the cursor, which is in the run on screen.
    pub fn compared_at(&self, rows: &[Aligned]) -> usize {
        let own = |row: &Aligned| if self.compares_prompts() { row.0 } else { row.1 };
        rows.iter().position(|row| own(row) == Some(self.cursor.token)).unwrap_or(0)
    }

    /// The records of A and B in a row.
    pub fn compared_records(&self, (a, b): Aligned) -> [Option<&TokenRecord>; 2] {
        fn record(tokens: &[Arc<TokenRecord>], at: Option<usize>) -> Option<&TokenRecord> {
            tokens.get(at?).map(|token| &**token)
        }
        match &self.second {
            Some(second) => [record(&self.tokens, a), record(second.tokens(), b)],
            None => [record(self.baseline.tokens(), a), record(&self.tokens, b)],
        }
    }

    /// The other run, if the engine can say how far it is from the run on screen.
    pub fn other_run(&self) -> Option<OtherRun> {
        if let Some(second) = &self.second {
            return (!second.tokens().is_empty()).then(|| OtherRun::Second(second.prompt.clone()));
        }
        let variant = self.baseline.variant()?;
        (self.baseline.tokens().len() == self.tokens.len()).then(|| OtherRun::Variant(variant.clone()))
    }

    /// How far A and B are apart, once it is known.
    pub fn compared_distance(&self) -> Option<&Distance> {
        self.derived.distance(&self.other_run()?)
    }

    /// The lens cells of A and B in a row, in the layer of the cursor.
    pub fn compared_lens(&self, (a, b): Aligned) -> [Option<&LensCell>; 2] {
        let site = self.pane().lens.site();
        let key = |pos: usize| LensKey { pos, layer: self.cursor.layer, site };
        match &self.second {
            Some(second) => [a.and_then(|pos| self.derived.lens(key(pos))), b.and_then(|pos| second.lens(key(pos)))],
            None => [a.and_then(|pos| self.baseline.lens(key(pos))), b.and_then(|pos| self.derived.lens(key(pos)))],
        }
    }
}
