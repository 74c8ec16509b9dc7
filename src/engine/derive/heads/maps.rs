//! Attention patterns pooled to a size, for several heads at once.

use super::HeadCache;
use crate::analysis::{HeadMap, Pick};
use crate::control::Control;
use crate::engine::run::Run;
use crate::protocol::Derived;
use anyhow::Result;
use std::collections::BTreeSet;
use std::sync::Arc;

pub fn derive(run: &Run, cache: &mut HeadCache, wanted: &[(usize, Pick, usize)], control: &Control) -> Result<Derived> {
    Ok(Derived::HeadMaps(cache.maps(run, wanted, control)?))
}

impl HeadCache {
    /// Pooled maps, in the order of `wanted`: layer, head or heads, and the largest number of cells per side.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if queries or keys were not captured.
    pub fn maps(&mut self, run: &Run, wanted: &[(usize, Pick, usize)], control: &Control) -> Result<Vec<Arc<HeadMap>>> {
        let heads: BTreeSet<(usize, Pick)> = wanted.iter().map(|(layer, pick, _)| (*layer, *pick)).collect();
        self.grow(run, &Vec::from_iter(heads), control)?;
        let map = |(layer, pick, max_side): &(usize, Pick, usize)| {
            self.grown.get(&(*layer, *pick)).map(|grown| Arc::new(grown.pooled.map(*layer, *pick, *max_side)))
        };
        Ok(wanted.iter().filter_map(map).collect())
    }
}
