//! The run's tokens read under another policy, to be compared with the run.

use super::control::Control;
use super::session::Session;
use crate::analysis::diff::shared;
use crate::protocol::{Derive, Derived};
use crate::trace::{LensKey, Policy};
use anyhow::{Context, Result};

/// Tokens read at once; what is read when a step is asked for meanwhile is read again.
const PART: usize = 32;
/// Tokens kept of every lens cell.
const TOP: usize = 1;

/// A run beside the run.
#[derive(Default)]
pub(super) struct Beside {
    session: Option<Session>,
}

impl Beside {
    /// Keeps a run that was left for another policy.
    pub fn keep(&mut self, left: Session) {
        self.session = Some(left);
    }

    /// Reads the next of the first `len` tokens of `run` under `policy`. Returns the records behind the first `have`, as far
    /// as they are there, and what is left to be asked for.
    ///
    /// # Errors
    /// [`Stopped`](super::Stopped) if `cancelled`, which is asked between layers; as [`Session::extend`].
    pub fn advance(
        &mut self,
        run: &Session,
        (policy, have, len): (Policy, usize, usize),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(Derived, Option<Derive>)> {
        let fits = |session: &Session| session.is_of_the_model_of(run) && session.meta().policy == policy;
        let session = match self.session.take().filter(fits) {
            Some(session) => self.session.insert(session),
            None => self.session.insert(run.under(policy)),
        };
        let stands = shared(session.tokens(), run.tokens());
        session.truncate(stands);
        let (keep, len) = (have.min(stands), len.min(run.tokens().len()));
        // What is there already is told before more is read.
        if stands <= keep {
            let ahead = &run.tokens()[stands..len.max(stands)];
            let source = ahead.first().map(|token| token.source);
            let part = ahead.iter().take(PART).take_while(|token| Some(token.source) == source);
            let ids: Vec<u32> = part.map(|token| token.id).collect();
            let mut control = Control { cancelled, progress: &mut |_, _| {}, arrived: &mut |_, _| {} };
            if let Some(source) = source {
                session.extend(&ids, source, &mut control)?;
            }
        }
        let have = session.tokens().len();
        let tokens = session.tokens()[keep..].to_vec();
        let left = (have < len).then_some(Derive::Variant { policy, have, len });
        Ok((Derived::Variant { meta: session.meta().clone(), keep, tokens }, left))
    }

    /// Lens cells of it.
    ///
    /// # Errors
    /// [`Stopped`](super::Stopped) if `cancelled`; if it was not read under this policy so far.
    pub fn lens(&self, policy: Policy, cells: &[LensKey], cancelled: &dyn Fn() -> bool) -> Result<Derived> {
        let session = self.session.as_ref().filter(|session| session.meta().policy == policy);
        // An empty answer would be asked for again.
        let session = session.with_context(|| format!("the tokens have not been read under {policy}"))?;
        Ok(Derived::VariantLens(policy, super::derive::compute_lens(session, cells, TOP, cancelled)?))
    }
}
