//! Copying from Fidelity.

use super::{Copied, Extent, Table};
use crate::analysis::Lab;
use crate::analysis::diff::Mode;
use crate::analysis::tables::{FlipRow, LossRow};
use crate::state::{FidelityLens, State, View};
use std::borrow::Cow;

const NO_OTHER: &str = "there is no second run to compare with yet: p or P reads the tokens under another policy";

impl State {
    /// Whether the view with the focus shows what was validated.
    pub(super) fn shows_findings(&self) -> bool {
        self.view == View::Fidelity && self.fidelity == FidelityLens::Validated
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
        let mut table = Table::new(&FlipRow::COLUMNS)?;
        for pos in positions {
            for layer in layers.clone() {
                let token = Cow::Borrowed(&*b[pos].piece);
                let row = FlipRow::of([policy, meta.policy], pos, [&a[pos], &b[pos]], token, (layer, dtype));
                row.map_or(Ok(()), |row| table.add(row))?;
            }
        }
        table.finish("flips")
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
        let mut table = Table::new(&LossRow::COLUMNS)?;
        for pos in positions {
            let tokens = [&*a[pos], &*b[pos]];
            table.add(LossRow::of([policy, meta.policy], pos, tokens, meta.dims.layers, Cow::Borrowed))?;
        }
        table.finish("losses")
    }

    /// One row a policy, end to end.
    fn copy_lab(&self, extent: Extent) -> Copied {
        let lab = self.lab.as_ref().ok_or("the precision lab has not been run yet: enter runs it")?;
        if extent != Extent::View {
            return Err("nothing is under a cursor here: y v copies the whole table".to_owned());
        }
        let columns = [
            "policy",
            "mean_loss",
            "loss_change",
            "flips",
            "attn_out",
            "router_logits",
            "mlp_out",
            "resid_post",
            "differs_at",
        ];
        let mut table = Table::new(&columns)?;
        for row in &lab.rows {
            let shares = Lab::COMPONENTS.map(|hook| row.equal(Mode::EndToEnd, hook).share());
            let loss = (row.policy, row.mean_loss, lab.loss_change(row));
            table.add((loss, row.flips(Mode::EndToEnd), shares, row.differs_at))?;
        }
        table.finish("the lab")
    }

    /// What was validated, one finding a row.
    fn copy_findings(&self, extent: Extent) -> Copied {
        let meta = self.meta().ok_or("no model is open")?;
        if extent != Extent::View {
            return Err("nothing is under a cursor here: y v copies the whole report".to_owned());
        }
        let mut table = Table::new(&["level", "subject", "expected", "found", "advice"])?;
        for finding in &meta.report.findings {
            table.add(finding)?;
        }
        table.finish("what was validated")
    }
}
