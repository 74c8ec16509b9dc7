//! The tables of a sweep. `docs/sweep.md` names the source of each definition.

mod chance;
mod contexts;
mod experts;
mod grid;
mod groups;
mod layers;
mod pairs;
mod positions;
mod repeats;
mod transitions;
mod vocabulary;

pub use chance::{ChanceRow, chance};
pub use contexts::{ContextRow, contexts};
pub use experts::{ExpertRow, experts};
pub use grid::{GridRow, grid_rows};
pub use groups::{GroupRow, groups};
pub use layers::{LayerRow, layers};
pub use pairs::{PairRow, pairs};
pub use positions::{PositionRow, positions};
pub use repeats::{RepeatRow, repeats};
pub use transitions::{TransitionRow, transitions};
pub use vocabulary::{VocabularyRow, vocabulary};

use crate::analysis::sweep::{Count, Counts, Phase, Sweep};

/// Group, phase and counts of every part of a sweep that has its own rows.
fn parts(sweep: &Sweep) -> impl Iterator<Item = (&str, Phase, &Counts)> {
    sweep
        .groups
        .iter()
        .flat_map(|(name, group)| group.phases.iter().map(move |(phase, counts)| (name.as_str(), *phase, counts)))
}

/// As [`parts`], for every layer with a router: one without has routed no token of a part in which others have.
fn layers_of(sweep: &Sweep) -> impl Iterator<Item = (&str, Phase, usize, &Counts)> {
    parts(sweep).flat_map(|(group, phase, counts)| {
        let layers = 0..counts.shape().layers;
        let routed = move |layer: &usize| counts.one(Count::Tokens, *layer) > 0;
        let is_empty = !layers.clone().any(|layer| routed(&layer));
        layers.filter(move |layer| is_empty || routed(layer)).map(move |layer| (group, phase, layer, counts))
    })
}

/// `part` of `whole`; `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
