//! What the recording holds around one operation.

use super::definition::{Held, reads};
use super::recorded::Recorded;
use crate::model::Loaded;
use crate::trace::{Hook, HookKind as K, Values};
use anyhow::Result;
use std::collections::BTreeMap;

/// The recorded values that the operation at `hook` may read.
///
/// # Errors
/// If they can't be read.
pub fn held(loaded: &Loaded, recorded: &Recorded, hook: Hook) -> Result<Held> {
    let layer = match hook.kind {
        K::LnFinal | K::LnFinalScale | K::Logits => loaded.meta.dims.layers - 1,
        _ => hook.layer as usize,
    };
    let (mut values, mut dtypes) = (BTreeMap::new(), BTreeMap::new());
    let mut kinds = reads(hook.kind, recorded.dims, hook.layer as usize);
    if kinds.contains(&K::MlpOut) || kinds.contains(&K::ExpertOut) {
        kinds.push(K::ResidMid);
    }
    for kind in kinds {
        if kind == hook.kind || kind == K::Logits {
            continue;
        }
        if let Some(tensor) = recorded.tensor(kind.at(layer))? {
            dtypes.insert(kind, tensor.dtype);
            let rows = match tensor.values {
                Values::F32(rows) => rows,
                Values::U32(ids) => ids.into_iter().map(|id| id as f32).collect(),
            };
            values.insert(kind, rows);
        }
    }
    Ok(Held { values, dtypes, tokens: recorded.trace.tokens()? })
}
