//! What heads do on the run: figures by which they are sorted and named.

use super::{HeadCache, in_steps, not_captured, reader, take};
use crate::analysis::{Earlier, HeadStats};
use crate::control::Control;
use crate::engine::run::Run;
use crate::protocol::Derived;
use anyhow::{Context, Result};

pub fn derive(run: &Run, cache: &mut HeadCache, heads: &[(usize, usize)], control: &Control) -> Result<Derived> {
    Ok(Derived::HeadStats(cache.stats(run, heads, control)?))
}

impl HeadCache {
    /// What `heads` do on the run.
    ///
    /// # Errors
    /// As [`HeadCache::maps`].
    pub fn stats(
        &mut self,
        run: &Run,
        heads: &[(usize, usize)],
        control: &Control,
    ) -> Result<Vec<(usize, usize, HeadStats)>> {
        self.follow(run.tokens());
        let n = run.tokens().len();
        let ids: Vec<u32> = run.tokens().iter().map(|token| token.id).collect();
        let earlier = Earlier::of(&ids);
        let mut work = take(&mut self.scorers, heads);
        let result = in_steps(
            run,
            &mut work,
            control,
            |scorer| scorer.next(),
            |(layer, head), scorer, end| {
                let (reader, mut row) = (reader(run, layer, head)?, Vec::new());
                while scorer.next() < end {
                    reader.row(scorer.next(), &mut row).with_context(not_captured)?;
                    scorer.push(&row, &earlier);
                }
                Ok(())
            },
        );
        let stats = work.iter().map(|((layer, head), scorer)| (*layer, *head, scorer.stats(n))).collect();
        self.scorers.extend(work);
        result.map(|()| stats)
    }
}
