//! The run's tokens read under another policy or other edits, to be compared with the run.

use super::Part;
use crate::analysis::diff::shared;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::model::Edits;
use crate::protocol::{Derive, Derived};
use crate::trace::{Edit, Variant};
use anyhow::{Context, Result};

/// Tokens read at once; a step that is requested meanwhile interrupts them, and they are read again.
const PART: usize = 32;

/// The variant of the run on the screen, as far as it is read.
#[derive(Default)]
pub struct VariantRun {
    live: Option<Live>,
}

impl VariantRun {
    /// Keeps a run that was left for another policy or other edits.
    pub fn keep(&mut self, left: Live) {
        self.live = Some(left);
    }

    /// What is kept.
    pub fn run(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// What is read of a variant.
    ///
    /// # Errors
    /// If none of it was read so far.
    pub fn of(&self, variant: &Variant) -> Result<&Live> {
        let live = self.live.as_ref().filter(|live| Variant::of(live.meta()) == *variant);
        live.with_context(|| format!("the tokens have not been read under {variant}"))
    }

    /// The variant of `run` under other edits, if all its tokens are read.
    pub fn like(&self, run: &Live, edits: &[Edit]) -> Option<Live> {
        let is_it = |live: &&Live| {
            let same_ids = shared(live.tokens(), run.tokens()) == run.tokens().len();
            let same_length = live.tokens().len() == run.tokens().len();
            let meta = live.meta();
            let same = meta.policy == run.meta().policy && *meta.edits == *edits;
            let sources = live.tokens().iter().zip(run.tokens()).all(|(a, b)| a.source == b.source);
            same && same_ids
                && same_length
                && sources
                && is_current(live)
                && live.is_fit()
                && live.is_of_the_model_of(run)
        };
        self.live.as_ref().filter(is_it).cloned()
    }

    /// Reads the next of the first `len` tokens of `run` as `variant`. Gives the records after the first `have`, as
    /// far as they are read.
    ///
    /// # Errors
    /// If `run` is a replay; as [`Live::extend`].
    pub fn derive(
        &mut self,
        run: &Run,
        (variant, have, len): (&Variant, usize, usize),
        control: &Control,
    ) -> Result<Part> {
        let run = run.need_live()?;
        let prompt = |live: &Live| live.edits().map(|of| of.prompt().to_vec());
        let is_fit = |live: &Live| {
            !live.edits().is_some_and(|of| of.edits().depend_on_prompt())
                || prompt(live) == Some(run.prompt().map(|token| token.id).collect())
        };
        let is_it = |live: &Live| live.is_of_the_model_of(run) && Variant::of(live.meta()) == *variant;
        let fits = |live: &Live| is_it(live) && is_fit(live) && is_current(live);
        let live = match self.live.take().filter(fits) {
            Some(live) => live,
            None if run.meta().policy == variant.policy => run.edited(Some(&edits(variant, run)?), &control.quiet())?,
            None => run.variant(variant.policy, Some(&edits(variant, run)?), control)?,
        };
        let live = self.live.insert(live);
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
        Ok(if have < len {
            Part::Some(found, Derive::Variant { variant: variant.clone(), have, len })
        } else {
            Part::Whole(found)
        })
    }
}

/// Whether the files that its edits name are those that were read.
fn is_current(live: &Live) -> bool {
    live.edits().is_none_or(|of| of.edits().are_current())
}

fn edits(variant: &Variant, run: &Live) -> Result<Edits> {
    Edits::new(variant.edits.to_vec(), run.meta().dims)
}
