//! What the model would say after each layer.

pub mod grid;
pub mod targets;

pub use crate::analysis::LensMeasure;
pub use targets::Target;

use super::copy::{UNDERWAY, candidate};
use crate::state::State;
use crate::state::text::show_piece;
use crate::trace::{Candidate, LensCell, LensKey, LensSite};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What the lens shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lens {
    /// The residual that the grid reads; `None` = both.
    pub site: Option<LensSite>,
    /// What is shown of each residual.
    pub measure: LensMeasure,
    /// Whether curves are on a logarithmic scale.
    pub log: bool,
}

impl Default for Lens {
    fn default() -> Self {
        Self { site: Some(LensSite::ResidPost), measure: LensMeasure::default(), log: false }
    }
}

impl Lens {
    /// The residual of the cursor.
    pub fn site(&self) -> LensSite {
        self.site.unwrap_or(LensSite::ResidPost)
    }

    /// The residuals of the grid, in the order of the forward pass.
    pub fn sites(&self) -> &[LensSite] {
        match &self.site {
            Some(site) => std::slice::from_ref(site),
            None => &LensSite::ALL,
        }
    }
}

fn layers(state: &State) -> Range<usize> {
    0..state.meta().map_or(0, |meta| meta.dims.layers)
}

/// The lens cell at the cursor.
fn cell(state: &State) -> Option<&LensCell> {
    let (cursor, site) = (state.cursor, state.pane().lens.site());
    state.derived.lens(LensKey { pos: cursor.token, layer: cursor.layer, site })
}

/// The lens cell at the cursor in words; `top` returns the text for its best token.
fn cell_text(state: &State, top: fn(&LensCell, &str) -> Option<String>) -> Result<String, String> {
    let cell = cell(state).ok_or(UNDERWAY)?;
    let answer = state.token().and_then(|token| token.next.top.first());
    let of_answer = answer.map_or_else(String::new, |answer| show_piece(&answer.piece));
    Ok(match state.pane().lens.measure {
        LensMeasure::Top => top(cell, &of_answer).ok_or(UNDERWAY)?,
        LensMeasure::Kl => format!("KL(final ‖ lens) {} nats", cell.kl),
        LensMeasure::Entropy => format!("entropy {} nats", cell.entropy),
        LensMeasure::Rank => format!("rank of {of_answer} {}", cell.final_rank),
    })
}

/// Every cell of these that the run has; an error unless all of them are derived.
fn all_cells<'a>(
    state: &'a State,
    positions: Range<usize>,
    layers: Range<usize>,
    sites: &[LensSite],
) -> Result<Vec<(LensKey, &'a LensCell)>, String> {
    let has = |layer: usize, site: LensSite| state.meta().is_some_and(|meta| meta.has_lens(layer, site));
    let places = layers.flat_map(|layer| sites.iter().map(move |site| (layer, *site)));
    let places: Vec<(usize, LensSite)> = places.filter(|(layer, site)| has(*layer, *site)).collect();
    let all = places.len() * positions.len();
    if all == 0 {
        return Err("the lens is not in this trace".to_owned());
    }
    let keys = positions.flat_map(|pos| places.iter().map(move |(layer, site)| (pos, *layer, *site)));
    let keys = keys.map(|(pos, layer, site)| LensKey { pos, layer, site });
    let cells: Vec<_> = keys.filter_map(|key| Some((key, state.derived.lens(key)?))).collect();
    if cells.len() < all {
        return Err(format!(
            "only the cells on the screen have been computed, {} of {all}: e writes the whole view to files",
            cells.len()
        ));
    }
    Ok(cells)
}

/// The best token at the cursor, which can be followed.
fn to_follow(state: &State) -> Option<&Candidate> {
    cell(state).and_then(|cell| cell.top.first())
}

fn best(cell: &LensCell, _: &str) -> Option<String> {
    cell.top.first().map(candidate)
}
