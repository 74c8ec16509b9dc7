//! Layers × experts over the run: how often experts are chosen.

use super::{layer_usage, layers};
use crate::analysis::UsageMeasure;
use crate::analysis::tables::{self, Row, UsageRow};
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::{Clip, Copied};

pub(in crate::state::views) const RULES: Rules = Rules {
    next_measure: Some(|state| {
        let usage = &mut state.pane_mut().usage;
        *usage = usage.next();
    }),
    ..Rules::new(copy)
};

/// Copies the usage with the columns of the exported view.
fn copy(state: &State, extent: Extent) -> Copied {
    let c = state.cursor;
    let layers = match extent {
        Extent::Cell => {
            let layer = layer_usage(state, c.layer)?;
            let (name, value) = match state.pane().usage {
                UsageMeasure::First => ("share of first choices", layer.first_share(c.expert)),
                UsageMeasure::Chosen => ("share of all choices", layer.chosen_share(c.expert)),
                UsageMeasure::Weight => ("mean weight", layer.mean_weight(c.expert)),
            };
            let value = value.ok_or("no token chose this expert")?;
            let text = format!("L{} E{} {name} {value}", c.layer, c.expert);
            return Ok((text.clone(), text));
        }
        Extent::Row => c.layer..c.layer + 1,
        Extent::View => layers(state),
    };
    let mut clip = Clip::new(UsageRow::TABLE)?;
    for layer in layers {
        clip.extend(tables::usage(layer, layer_usage(state, layer)?))?;
    }
    clip.finish("the usage")
}
