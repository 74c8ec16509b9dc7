//! Layers × tokens after one residual of each layer, or after both.

use super::{LensMeasure, all_cells, best, cell_text, layers, to_follow};
use crate::analysis::tables::{self, TokenText};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::copy::{Copied, csv};
use crate::state::views::{Rules, measures};

pub(in crate::state::views) const RULES: Rules =
    Rules { measures: Some(measures::of_lens), to_follow: Some(to_follow), ..Rules::new(copy) };

/// Copies the value of a cell; rows and the view with the columns of `lens.csv`, of each cell the best token, or of
/// `lens_summary.csv` where the screen shows numbers.
fn copy(state: &State, extent: Extent) -> Copied {
    let (layer, lens) = (state.cursor.layer, &state.pane().lens);
    let (layers, sites) = match extent {
        Extent::Cell => {
            let text = cell_text(state, best)?;
            return Ok((text.clone(), text));
        }
        Extent::Row => (layer..layer + 1, &[lens.site()][..]),
        Extent::View => (layers(state), lens.sites()),
    };
    let cells = all_cells(state, 0..state.tokens.len(), layers, sites)?.into_iter();
    if lens.measure != LensMeasure::Top {
        return csv(cells.map(|(key, cell)| tables::lens_summary(key, cell)), "the cells");
    }
    csv(cells.flat_map(|(key, cell)| tables::lens(key, cell, TokenText::Exact).take(1)), "the cells")
}
