//! The measures of each view, and the one that is shown.

use super::rules;
use crate::analysis::view::{ShownMeasure, View};
use crate::analysis::{MapMeasure, Measure};
use crate::state::{LensMeasure, Pane, State, UsageMeasure};
use crate::trace::Direction;

/// The measures of the usage of experts; the difference needs selected tokens.
pub(super) fn of_usage(state: &State, _: &Pane) -> Vec<ShownMeasure> {
    let all = [UsageMeasure::First, UsageMeasure::Chosen, UsageMeasure::Weight, UsageMeasure::Difference];
    let compared = state.selected_usage.is_some();
    all.into_iter().filter(|one| compared || *one != UsageMeasure::Difference).map(ShownMeasure::Usage).collect()
}

/// The measures of heads.
pub(super) fn of_heads(_: &State, _: &Pane) -> Vec<ShownMeasure> {
    Measure::ALL.map(ShownMeasure::Heads).into()
}

/// The measures of the lens.
pub(super) fn of_lens(_: &State, _: &Pane) -> Vec<ShownMeasure> {
    LensMeasure::ALL.map(ShownMeasure::Lens).into()
}

/// The measures of effect maps; the difference needs a foil.
pub(super) fn of_effects(state: &State, pane: &Pane) -> Vec<ShownMeasure> {
    let has_foil = state.watch().is_some_and(|watch| watch.foil.is_some());
    let compared = has_foil && pane.view() != View::EffectsRouting;
    MapMeasure::ALL
        .into_iter()
        .filter(|one| compared || *one != MapMeasure::Difference)
        .map(ShownMeasure::Effects)
        .collect()
}

impl State {
    /// The measures of the view in a pane; none if it has one only.
    pub fn measures(&self, pane: &Pane) -> Vec<ShownMeasure> {
        rules(pane.view()).measures.map_or(Vec::new(), |measures| measures(self, pane))
    }

    /// The measure that a pane shows, if its view has several.
    pub fn shown_measure(&self, pane: &Pane) -> Option<ShownMeasure> {
        let of_kind = *self.measures(pane).first()?;
        Some(match of_kind {
            ShownMeasure::Usage(_) => ShownMeasure::Usage(self.usage_measure(pane)),
            ShownMeasure::Heads(_) => ShownMeasure::Heads(pane.heads.measure),
            ShownMeasure::Lens(_) => ShownMeasure::Lens(pane.lens.measure),
            ShownMeasure::Effects(_) => ShownMeasure::Effects(self.measure_in(&pane.effects, pane.view())),
        })
    }

    /// The measure of the usage of experts: without selected tokens there is no difference.
    pub fn usage_measure(&self, pane: &Pane) -> UsageMeasure {
        match pane.usage {
            UsageMeasure::Difference if self.selected_usage.is_none() => UsageMeasure::Chosen,
            measure => measure,
        }
    }

    /// Shows the next measure of the view, or the previous one.
    pub(in crate::state) fn turn_measure(&mut self, direction: Direction) {
        let (all, shown) = (self.measures(self.pane()), self.shown_measure(self.pane()));
        let at = all.iter().position(|measure| Some(*measure) == shown).unwrap_or(0);
        let by = if direction == Direction::Forward { 1 } else { all.len().saturating_sub(1) };
        if let Some(measure) = all.get((at + by) % all.len().max(1)) {
            self.show_measure(*measure);
        }
    }

    /// Shows a measure; if the view does not have it, the view that does.
    pub(in crate::state) fn show_measure(&mut self, measure: ShownMeasure) {
        let has = |state: &Self| {
            state
                .measures(state.pane())
                .iter()
                .any(|one| std::mem::discriminant(one) == std::mem::discriminant(&measure))
        };
        if !has(self) {
            self.show_view(match measure {
                ShownMeasure::Usage(_) => View::RoutingUsage,
                ShownMeasure::Heads(_) => View::AttentionGrid,
                ShownMeasure::Lens(_) => View::LensGrid,
                ShownMeasure::Effects(_) => View::EffectsMap,
            });
        }
        if !self.measures(self.pane()).contains(&measure) {
            return self.say(match measure {
                ShownMeasure::Usage(_) => "the difference is that of selected tokens and all others: V selects",
                _ => "the difference is that of a target and a foil: F chooses the foil",
            });
        }
        let pane = self.pane_mut();
        match measure {
            ShownMeasure::Usage(measure) => pane.usage = measure,
            ShownMeasure::Heads(measure) => pane.heads.measure = measure,
            ShownMeasure::Lens(measure) => pane.lens.measure = measure,
            ShownMeasure::Effects(measure) => pane.effects.measure = measure,
        }
    }
}
