//! Layers × experts over the run: how often experts are chosen.

use super::{layer_usage, layers};
use crate::analysis::tables::{self, Row, UsageRow};
use crate::analysis::view::View;
use crate::analysis::{LayerUsage, RunUsage, UsageMeasure};
use crate::state::input::Extent;
use crate::state::views::copy::{Clip, Copied};
use crate::state::views::{Rules, measures};
use crate::state::{Pane, State};
use crate::trace::Direction;
use std::cmp::Reverse;

pub(in crate::state::views) const RULES: Rules = Rules { measures: Some(measures::of_usage), ..Rules::new(copy) };

/// Copies the usage with the columns of the exported view.
fn copy(state: &State, extent: Extent) -> Copied {
    let c = state.cursor;
    let layers = match extent {
        Extent::Cell => {
            let layer = layer_usage(state, c.layer)?;
            let (name, value) = match state.usage_measure(state.pane()) {
                UsageMeasure::First => ("share of first choices", layer.first_share(c.expert)),
                UsageMeasure::Chosen => ("share of all choices", layer.chosen_share(c.expert)),
                UsageMeasure::Weight => ("mean weight", layer.mean_weight(c.expert)),
                UsageMeasure::Difference => {
                    ("share of the selected tokens minus that of the others", state.share_difference(c.layer, c.expert))
                }
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

impl State {
    /// The experts in the order of a view that counts them: by number, or those chosen most in the layer of the cursor first,
    /// without those that no layer on the screen ever chose.
    pub fn expert_order(&self, pane: &Pane) -> Vec<usize> {
        let experts = self.meta().map_or(0, |meta| meta.dims.experts);
        let mut order: Vec<usize> = (0..experts).collect();
        if !pane.usage_sorted || !matches!(pane.view(), View::RoutingUsage | View::RoutingPairs) {
            return order;
        }
        let usage = self.shown_usage();
        let count = |layer: &LayerUsage, expert: usize| layer.chosen.get(expert).copied().unwrap_or(0);
        let here = usage.layer(self.cursor.layer);
        // Pairs are those of one layer.
        let shown = match pane.view() {
            View::RoutingPairs => here.map_or(&[][..], std::slice::from_ref),
            _ => usage.layers(),
        };
        order.retain(|expert| shown.iter().any(|layer| count(layer, *expert) > 0));
        order.sort_by_key(|expert| Reverse(here.map_or(0, |layer| count(layer, *expert))));
        order
    }

    /// The expert beside that at the cursor, in the order of the view.
    pub(in crate::state) fn next_expert(&self, direction: Direction) -> usize {
        let (order, expert) = (self.expert_order(self.pane()), self.cursor.expert);
        let Some(at) = order.iter().position(|one| *one == expert) else {
            return order.first().copied().unwrap_or(expert);
        };
        let next = if direction == Direction::Forward { at + 1 } else { at.saturating_sub(1) };
        order.get(next).copied().unwrap_or(expert)
    }

    /// The share of an expert in all choices of the selected tokens, minus its share in those of all others.
    pub fn share_difference(&self, layer: usize, expert: usize) -> Option<f64> {
        let selected = self.selected_usage.as_ref()?;
        let share = |usage: &RunUsage| usage.layer(layer)?.chosen_share(expert);
        Some(share(&selected.inside)? - share(&selected.outside)?)
    }
}
