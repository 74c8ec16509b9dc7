//! The run's tokens read under another policy, to be compared with the run.

use super::session::Session;
use crate::analysis::diff::shared;
use crate::control::Control;
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
    /// [`Stopped`](crate::control::Stopped) if `control` says so, which is asked between layers; as [`Session::extend`].
    pub fn advance(
        &mut self,
        run: &Session,
        (policy, have, len): (Policy, usize, usize),
        control: &Control,
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
            if let Some(source) = source {
                session.extend(&ids, source, control)?;
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
    /// [`Stopped`](crate::control::Stopped) if `control` says so; if it was not read under this policy so far.
    pub fn lens(&self, policy: Policy, cells: &[LensKey], control: &Control) -> Result<Derived> {
        let session = self.session.as_ref().filter(|session| session.meta().policy == policy);
        // An empty answer would be asked for again.
        let session = session.with_context(|| format!("the tokens have not been read under {policy}"))?;
        Ok(Derived::VariantLens(policy, super::derive::compute_lens(session, cells, TOP, control)?))
    }
}
