//! The run's tokens read under another policy, to be compared with the run.

use super::Part;
use crate::analysis::diff::shared;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::protocol::{Derive, Derived};
use crate::trace::Policy;
use anyhow::{Context, Result};

/// Tokens read at once; a step that is requested meanwhile interrupts them, and they are read again.
const PART: usize = 32;

/// The variant of the run on the screen, as far as it is read.
#[derive(Default)]
pub struct VariantRun {
    live: Option<Live>,
}

impl VariantRun {
    /// Keeps a run that was left for another policy.
    pub fn keep(&mut self, left: Live) {
        self.live = Some(left);
    }

    /// The variant under `policy`.
    ///
    /// # Errors
    /// If it was not read under this policy so far.
    pub fn under(&self, policy: Policy) -> Result<&Live> {
        let live = self.live.as_ref().filter(|live| live.meta().policy == policy);
        live.with_context(|| format!("the tokens have not been read under {policy}"))
    }

    /// Reads the next of the first `len` tokens of `run` under `policy`. Gives the records after the first `have`, as
    /// far as they are read.
    ///
    /// # Errors
    /// If `run` is a replay; as [`Live::extend`].
    pub fn derive(
        &mut self,
        run: &Run,
        (policy, have, len): (Policy, usize, usize),
        control: &Control,
    ) -> Result<Part> {
        let run = run.need_live()?;
        let fits = |live: &Live| live.is_of_the_model_of(run) && live.meta().policy == policy;
        let live = match self.live.take().filter(fits) {
            Some(live) => self.live.insert(live),
            None => self.live.insert(run.under(policy)),
        };
        let same = shared(live.tokens(), run.tokens());
        live.truncate(same);
        let (keep, len) = (have.min(same), len.min(run.tokens().len()));
        // What is read already is reported before more is read.
        if same <= keep {
            let ahead = &run.tokens()[same..len.max(same)];
            let source = ahead.first().map(|token| token.source);
            let part = ahead.iter().take(PART).take_while(|token| Some(token.source) == source);
            let ids: Vec<u32> = part.map(|token| token.id).collect();
            if let Some(source) = source {
                live.extend(&ids, source, &control.quiet())?;
            }
        }
        let have = live.tokens().len();
        let tokens = live.tokens()[keep..].to_vec();
        let found = Derived::Variant { meta: live.meta().clone(), keep, tokens };
        Ok(if have < len { Part::Some(found, Derive::Variant { policy, have, len }) } else { Part::Whole(found) })
    }
}
