//! How much each later query looks at one key.

use super::together::Together;
use super::{HeadCache, not_captured, reader};
use crate::analysis::{HeadColumn, Pick};
use crate::control::Control;
use crate::engine::run::Run;
use crate::protocol::Derived;
use anyhow::{Context, Result};
use std::sync::Arc;

pub fn derive(
    run: &Run,
    cache: &mut HeadCache,
    (layer, pick): (usize, Pick),
    key: usize,
    control: &Control,
) -> Result<Derived> {
    let column = cache.column(run, layer, pick, key, control)?;
    Ok(Derived::HeadColumns(column.into_iter().map(Arc::new).collect()))
}

impl HeadCache {
    /// The attention on `key`; `None` if the run has become too short for it.
    ///
    /// # Errors
    /// As [`HeadCache::maps`].
    pub fn column(
        &mut self,
        run: &Run,
        layer: usize,
        pick: Pick,
        key: usize,
        control: &Control,
    ) -> Result<Option<HeadColumn>> {
        let n = run.tokens().len();
        if key >= n {
            return Ok(None);
        }
        let heads = pick.heads(run.meta().dims.heads);
        let picks: Vec<(usize, Pick)> = heads.clone().map(|head| (layer, Pick::One(head))).collect();
        self.grow(run, &picks, control)?;
        let mut together = Together::new(pick, heads.len());
        for head in heads {
            let reader = reader(run, layer, head)?;
            let norms = self.grown.get(&(layer, Pick::One(head))).map_or(&[][..], |grown| &grown.norms);
            let weight = |query: usize| reader.weight(query, key, *norms.get(query)?);
            let weights = (key..n).map(weight).collect::<Option<Vec<f32>>>().with_context(not_captured)?;
            together.add(&weights);
        }
        Ok(Some(HeadColumn::new(layer, pick, key, together.done())))
    }
}
