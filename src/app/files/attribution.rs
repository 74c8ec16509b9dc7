//! `attribution.csv` of a run.

use super::{Rows, Watch};
use crate::analysis::tables::{self, TokenText};
use crate::engine::{Live, attribution};
use anyhow::{Context, Result};
use std::ops::Range;

/// Attributes the logit of the next token at every position; at the last position that of the most probable one.
pub(super) fn write(live: &Live, layers: &Range<usize>, text: TokenText, rows: &mut Rows, watch: Watch) -> Result<()> {
    let tokens = live.tokens();
    for (pos, token) in tokens.iter().enumerate() {
        watch.at("attributed positions", pos, tokens.len())?;
        let came = tokens.get(pos + 1).map(|next| next.id);
        let target = came.or_else(|| token.next.top.first().map(|best| best.id));
        let target = target.context("no candidate was kept at the last position")?;
        let found = attribution(live, pos, target, layers.clone(), watch.control)?;
        rows.extend(tables::attribution(&found, text))?;
    }
    Ok(())
}
