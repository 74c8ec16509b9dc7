//! Experts to switch off and on, as a list of edits.

use crate::trace::{Change, Dims, Picks, Scope, parse_edits};
use anyhow::{Context, Result, bail, ensure};
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
            let both = |a: &Picks, b: &Picks| Picks::these((0..dims.experts).filter(|e| a.has(*e) || b.has(*e)));
            match &edit.change {
                _ if edit.scope != Scope::Everywhere => {
                    bail!("{name}: `{edit}` is for some positions only: list it as an edit of its own")
                }
                Change::Ban(experts) => *off = both(off, experts),
                Change::Force(experts) => *on = both(on, experts),
                _ => bail!("{name}: `{edit}` chooses no experts: list it as an edit of its own"),
            }
            let left = dims.experts - off.below(dims.experts).len();
            ensure!(
                left >= dims.top_k,
                "{name}: {left} experts are left in layer {layer}: a token needs {}",
                dims.top_k
            );
        }
    }
    Ok(steering)
}
