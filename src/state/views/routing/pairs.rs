//! Experts × experts of the layer at the cursor: which are chosen together.

use super::layer_usage;
use crate::analysis::tables;
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::{Copied, csv};

pub(in crate::state::views) const RULES: Rules = Rules::new(copy);

/// Copies pairs with the columns of the exported view.
fn copy(state: &State, extent: Extent) -> Copied {
    let (c, dims) = (state.cursor, state.meta().map(|meta| meta.dims).ok_or("no model is open")?);
    let usage = layer_usage(state, c.layer)?;
    let others = |expert: usize| (0..dims.experts).filter(move |other| *other != expert);
    let experts = match extent {
        Extent::Cell => {
            let partner = others(c.expert).max_by_key(|other| usage.together(c.expert, *other));
            let partner = partner.ok_or("there is only one expert")?;
            let share = usage.also(c.expert, partner).ok_or("no token chose this expert")?;
            let text = format!("L{} E{} with E{partner} {share}", c.layer, c.expert);
            return Ok((text.clone(), format!("the expert most often chosen with it: {text}")));
        }
        Extent::Row => c.expert..c.expert + 1,
        Extent::View => 0..dims.experts,
    };
    csv(experts.flat_map(|expert| tables::pairs(c.layer, usage, expert)), "the pairs")
}
