//! What the screen shows of a run beyond its records, for the files of a view.

use crate::analysis::view::{View, ViewData, ViewSpec};
use crate::analysis::{Distance, EffectMap, HeadScores, Lab, ModelShares};
use crate::state::State;
use crate::trace::Records;
use std::sync::Arc;

/// Results of the explorer that are not in the run.
#[derive(Default)]
pub struct Shown {
    /// The run to compare with.
    pub against: Option<Records>,
    /// The result of the last precision lab.
    pub lab: Option<Arc<Lab>>,
    /// The map of the view.
    pub effects: Option<Arc<EffectMap>>,
    /// The contributions of all layers.
    pub shares: Option<Arc<ModelShares>>,
    /// The run of the second prompt.
    pub second: Option<Records>,
    /// How far the other run is from the run.
    pub distance: Option<Arc<Distance>>,
    /// The scores of all heads on random tokens.
    pub scores: Option<Arc<HeadScores>>,
}

impl Shown {
    /// What the pane with the focus shows, or would show of a view.
    pub fn of(state: &State, view: View) -> Self {
        let request = state.map_request(&state.pane().effects, view);
        let second = state
            .second
            .as_ref()
            .and_then(|second| Some(Records { meta: second.meta()?.clone(), tokens: second.tokens().to_vec() }));
        Self {
            against: state.baseline.records(),
            lab: state.lab.clone(),
            effects: request.and_then(|request| state.derived.shared_map(&request)),
            shares: state.watch().and_then(|watch| state.derived.shared_shares(watch)),
            second,
            scores: state.derived.shared_scores(),
            distance: state.other_run().and_then(|other| state.derived.shared_distance(&other)),
        }
    }

    /// Adds it to the numbers of a view.
    pub fn add_to(self, data: &mut ViewData, spec: &ViewSpec) {
        (data.lab, data.effects, data.shares) = (self.lab, self.effects, self.shares);
        data.scores = self.scores;
        if spec.view.needs_second() {
            data.second.clone_from(&self.second);
        }
        if !spec.view.is_comparison() {
            return;
        }
        data.distance = self.distance;
        match (self.second, self.against) {
            (Some(_), _) if spec.view == View::Compare => {}
            (_, Some(other)) => data.compare_with(other),
            _ => {}
        }
    }
}
