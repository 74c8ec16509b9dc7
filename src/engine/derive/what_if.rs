//! What would follow a candidate if it were read next.

use crate::analysis::WhatIf;
use crate::control::Control;
use crate::engine::run::{Live, Run};
use crate::model::Distribution;
use crate::protocol::Derived;
use anyhow::Result;
use std::sync::Arc;

/// Tokens kept of what would follow a candidate.
const TOP: usize = 5;

pub fn derive(run: &Run, pos: usize, ids: &[u32], control: &Control) -> Result<Derived> {
    let live = run.need_live()?;
    let mut found = Vec::new();
    for id in ids {
        found.extend(what_if(live, pos, *id, &control.quiet())?.map(Arc::new));
    }
    Ok(Derived::WhatIf(found))
}

/// What would follow token `id` if it were read after position `pos`; the run stays as it is. `None` if the position is
/// after the end of the run or the context ends there.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the id is outside the vocabulary.
pub fn what_if(live: &Live, pos: usize, id: u32, control: &Control) -> Result<Option<WhatIf>> {
    if pos >= live.tokens().len() || pos + 1 >= live.meta().dims.context {
        return Ok(None);
    }
    let logits = live.peek(pos + 1, id, control)?;
    let next = Distribution::of(&logits);
    let is_finite = logits.iter().all(|x| x.is_finite());
    let top = if is_finite { next.top(TOP) } else { Vec::new() };
    let top = top.into_iter().map(|id| live.candidate(&next, id)).collect();
    Ok(Some(WhatIf { pos, id, top, entropy: next.entropy() }))
}
