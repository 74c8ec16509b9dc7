//! Layers × heads: one score of every head.

use crate::analysis::Pick;
use crate::analysis::tables::{HeadScoreRow, Row, head_scores};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::copy::{Clip, Copied, UNDERWAY};
use crate::state::views::{Rules, measures};

pub(in crate::state::views) const RULES: Rules = Rules { measures: Some(measures::of_heads), ..Rules::new(copy) };

/// Copies scores with the columns of the exported view.
fn copy(state: &State, extent: Extent) -> Copied {
    let (c, heads) = (state.cursor, state.pane().heads);
    let dims = state.meta().map(|meta| meta.dims).ok_or("no model is open")?;
    let layers = match extent {
        Extent::Cell => {
            let stats = state.head_stats(&heads, c.layer, c.head).ok_or(UNDERWAY)?;
            let value = heads.measure.of(stats).ok_or("this head has no such score: no token occurs twice")?;
            let text = format!("L{}H{} {} {value}", c.layer, c.head, heads.measure);
            return Ok((text.clone(), format!("{text}, {}", heads.on.about())));
        }
        Extent::Row => c.layer..c.layer + 1,
        Extent::View => 0..dims.layers,
    };
    let mut clip = Clip::new(HeadScoreRow::TABLE)?;
    for layer in layers {
        for head in 0..dims.heads {
            let stats = state.head_stats(&heads, layer, head).ok_or(UNDERWAY)?;
            clip.extend([head_scores(layer, Pick::One(head), stats)])?;
        }
    }
    clip.finish(&format!("the scores of heads {}", heads.on.about()))
}
