//! A second prompt, read as the run on the screen is: both are compared side by side.

use super::lens::compute;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::protocol::Derived;
use crate::trace::{LensKey, Prompt};
use anyhow::{Context, Result};

/// Tokens kept of every lens cell.
const TOP: usize = 1;

/// The run of the second prompt.
#[derive(Default)]
pub struct SecondRun {
    kept: Option<(Prompt, Live)>,
}

/// The ids of a second prompt.
///
/// # Errors
/// If it can't be tokenised, or does not fit into the context.
pub fn ids_of(run: &Live, prompt: &Prompt) -> Result<Vec<u32>> {
    let ids = run.prompt_ids(prompt).context("the second prompt can't be read")?;
    run.check_context(ids.len(), "the second prompt has")?;
    Ok(ids)
}

impl SecondRun {
    /// Reads the prompt under the policy and the edits of `run`. What was read before a stop stays.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; as [`ids_of`] and [`Live::extend`].
    pub fn derive(&mut self, run: &Run, prompt: &Prompt, control: &Control) -> Result<Derived> {
        let run = run.need_live()?;
        let ids = ids_of(run, prompt)?;
        let fits = |(kept, live): &(Prompt, Live)| {
            let is_current = live.edits().is_none_or(|of| of.edits().are_current());
            kept == prompt && live.is_computed_as(run) && is_current
        };
        let (_, live) = match self.kept.take().filter(fits) {
            Some(kept) => self.kept.insert(kept),
            None => self.kept.insert((prompt.clone(), run.clone())),
        };
        live.set_prompt(&ids, &control.quiet(), &mut |_, _| {})?;
        Ok(Derived::Second { prompt: prompt.clone(), meta: live.meta().clone(), tokens: live.tokens().to_vec() })
    }

    /// What is kept.
    pub fn run(&self) -> Option<&Live> {
        self.kept.as_ref().map(|(_, live)| live)
    }

    /// What is read of the prompt.
    ///
    /// # Errors
    /// If it was not read.
    pub fn of(&self, prompt: &Prompt) -> Result<&Live> {
        let live = self.kept.as_ref().filter(|(kept, _)| kept == prompt).map(|(_, live)| live);
        live.context("the second prompt has not been read")
    }

    /// Lens cells of it.
    ///
    /// # Errors
    /// As [`SecondRun::of`] and [`lens_cells`](super::lens_cells).
    pub fn lens(&self, prompt: &Prompt, cells: &[LensKey], control: &Control) -> Result<Derived> {
        Ok(Derived::SecondLens(prompt.clone(), compute(self.of(prompt)?, cells, TOP, control)?))
    }
}
