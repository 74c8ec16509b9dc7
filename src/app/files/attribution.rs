//! `attribution.csv` of a run.

use super::Watch;
use crate::engine::{Live, attribution};
use crate::export::Text;
use crate::export::csv::AttributionTable;
use anyhow::{Context, Result};
use std::io::Write;
use std::ops::Range;

/// Attributes at every position the logit of the token that came next; at the last, of the most probable one.
pub(super) fn write(live: &Live, layers: &Range<usize>, text: Text, out: &mut dyn Write, watch: Watch) -> Result<()> {
    let mut rows = AttributionTable::new(text, out)?;
    let tokens = live.tokens();
    for (pos, token) in tokens.iter().enumerate() {
        watch.at("attributed positions", pos, tokens.len())?;
        let came = tokens.get(pos + 1).map(|next| next.id);
        let target = came.or_else(|| token.next.top.first().map(|best| best.id));
        let target = target.context("no candidate was kept at the last position")?;
        rows.position(&attribution(live, pos, target, layers.clone(), watch.control)?)?;
    }
    rows.finish()
}
