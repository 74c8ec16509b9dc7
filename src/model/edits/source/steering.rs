//! Experts to switch off and on, as a list of edits.

use crate::trace::{Change, Dims, Picks, parse_edits};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// By layer: the experts that can't be chosen, and those that are chosen first.
pub type Steering = BTreeMap<usize, (Picks, Picks)>;

/// Reads a file.
pub fn read(path: &Path, dims: Dims) -> Result<Steering> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let none = || (Picks::These(Vec::new()), Picks::These(Vec::new()));
    let mut steering = Steering::new();
    for edit in parse_edits(&text).with_context(|| name.to_string())? {
        edit.check(dims).with_context(|| name.to_string())?;
        for layer in edit.layers.below(dims.layers) {
            let (off, on) = steering.entry(layer).or_insert_with(none);
            match &edit.change {
                Change::Ban(experts) => *off = experts.clone(),
                Change::Force(experts) => *on = experts.clone(),
                _ => bail!("{name}: `{edit}` chooses no experts: list it as an edit of its own"),
            }
        }
    }
    Ok(steering)
}
