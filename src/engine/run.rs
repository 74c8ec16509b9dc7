//! What views are derived from: a run that a model reads, or one that was read from a trace file.

use super::session::Session;
use crate::control::Control;
use crate::model::Precision;
use crate::trace::{LensCell, LensKey, Meta, Records, TokenRecord};
use anyhow::{Result, anyhow};
use std::sync::Arc;

/// A run as views see it.
pub trait Run: Send + Sync {
    /// The model and how it was run.
    fn meta(&self) -> &Arc<Meta>;

    /// The records so far.
    fn tokens(&self) -> &[Arc<TokenRecord>];

    /// The rounding under which it was computed.
    fn precision(&self) -> Precision;

    /// The session, if a model is there.
    fn live(&self) -> Option<&Session>;

    /// Lens cells with the `top` best tokens each, position by position; cells behind the end of the run are left out,
    /// and so are those that a saved run does not hold.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` says so; if what they are computed from was not captured.
    fn lens_cells(&self, cells: &[LensKey], top: usize, control: &Control) -> Result<Vec<(LensKey, Arc<LensCell>)>>;

    /// The run as a trace that shares its records.
    fn records(&self) -> Records {
        Records { meta: self.meta().clone(), tokens: self.tokens().to_vec() }
    }
}

/// The session of a run that has a model.
///
/// # Errors
/// If it is a saved run.
pub fn need_model(run: &dyn Run) -> Result<&Session> {
    run.live().ok_or_else(no_model)
}

/// Why a saved run can't answer.
pub(super) fn no_model() -> anyhow::Error {
    anyhow!("this is a saved run without a model: o opens a model")
}

impl Run for Session {
    fn meta(&self) -> &Arc<Meta> {
        self.meta()
    }

    fn tokens(&self) -> &[Arc<TokenRecord>] {
        self.tokens()
    }

    fn precision(&self) -> Precision {
        self.precision()
    }

    fn live(&self) -> Option<&Session> {
        Some(self)
    }

    fn lens_cells(&self, cells: &[LensKey], top: usize, control: &Control) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
        super::derive::compute_lens(self, cells, top, control)
    }
}
