//! Copying from Fidelity.

use super::{Copied, Extent, csv};
use crate::analysis::tables::{self, FlipRow, LossRow, TokenText};
use crate::state::{FidelityLens, State, Tab};

const NO_OTHER: &str = "there is no second run to compare with yet: p or P reads the tokens under another policy";

impl State {
    /// Whether the view with the focus shows what was validated.
    pub(super) fn shows_findings(&self) -> bool {
        self.view == Tab::Fidelity && self.fidelity == FidelityLens::Validated
    }

    /// The view, with the columns of its file.
    pub(super) fn copy_fidelity(&self, extent: Extent) -> Copied {
        match self.fidelity {
            FidelityLens::Validated => self.copy_findings(extent),
            FidelityLens::Flips => self.copy_flips(extent),
            FidelityLens::Loss => self.copy_losses(extent),
            FidelityLens::Lab => self.copy_lab(extent),
        }
    }

    /// One row a token and layer; of the cursor's cell, all layers of its token, or all.
    fn copy_flips(&self, extent: Extent) -> Copied {
        let (meta, a, b) = (self.meta().ok_or(NO_OTHER)?, self.beside.tokens(), &self.tokens);
        let (policy, dtype) = self.beside.policy_of_a().zip(self.beside.differences()).ok_or(NO_OTHER)?;
        let dtype = dtype.dtype();
        let (at, c) = (self.cursor.token, self.cursor);
        let positions = if extent == Extent::View { 0..a.len().min(b.len()) } else { at..(at + 1).min(a.len()) };
        let layers = if extent == Extent::Cell { c.layer..c.layer + 1 } else { 0..meta.dims.layers };
        let places = positions.flat_map(|pos| layers.clone().map(move |layer| (pos, layer)));
        let row = |(pos, layer): (usize, usize)| {
            FlipRow::of([policy, meta.policy], (pos, layer), [&a[pos], &b[pos]], dtype, TokenText::Exact)
        };
        csv(places.filter_map(row), "flips")
    }

    /// One row a token.
    fn copy_losses(&self, extent: Extent) -> Copied {
        let (meta, a, b) = (self.meta().ok_or(NO_OTHER)?, self.beside.tokens(), &self.tokens);
        let policy = self.beside.policy_of_a().filter(|_| !a.is_empty()).ok_or(NO_OTHER)?;
        let at = self.cursor.token;
        let positions = match extent {
            Extent::Cell => {
                let by = self.loss_difference(at).ok_or("this token has no loss in both runs")?;
                return Ok((by.to_string(), format!("{by} nats, B − A")));
            }
            Extent::Row => at..(at + 1).min(a.len()),
            Extent::View => 0..a.len().min(b.len()),
        };
        let row = |pos: usize| {
            LossRow::of([policy, meta.policy], pos, [&a[pos], &b[pos]], meta.dims.layers, TokenText::Exact)
        };
        csv(positions.map(row), "losses")
    }

    /// One row a policy, end to end.
    fn copy_lab(&self, extent: Extent) -> Copied {
        let lab = self.lab.as_ref().ok_or("the precision lab has not been run yet: enter runs it")?;
        if extent != Extent::View {
            return Err("nothing is under a cursor here: y v copies the whole table".to_owned());
        }
        csv(tables::lab_end_to_end(lab), "the lab")
    }

    /// What was validated, one finding a row.
    fn copy_findings(&self, extent: Extent) -> Copied {
        let meta = self.meta().ok_or("no model is open")?;
        if extent != Extent::View {
            return Err("nothing is under a cursor here: y v copies the whole report".to_owned());
        }
        csv(tables::findings(&meta.report), "what was validated")
    }
}
