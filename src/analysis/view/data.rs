//! The numbers that a view is made of.

use crate::analysis::diff::shared;
use crate::analysis::effect_map::EffectMap;
use crate::analysis::heads::{HeadMap, HeadScores, HeadStats, Pattern};
use crate::analysis::lab::Lab;
use crate::analysis::lens::Trajectory;
use crate::analysis::model_shares::ModelShares;
use crate::analysis::side_by_side::Distance;
use crate::trace::{LensCell, LensKey, Records};
use std::sync::Arc;

/// Largest side of a thumbnail of a head, cells.
pub const THUMB: usize = 72;

/// The numbers of a view.
#[derive(Clone, Debug)]
pub struct ViewData {
    /// The run.
    pub trace: Records,
    /// The weights of the head, or of the heads combined, that the view shows.
    pub pattern: Option<Pattern>,
    /// All heads that the view shows, by layer and head: each pooled to a thumbnail of at most [`THUMB`] cells per
    /// side, with its scores on the run.
    pub heads: Vec<(HeadMap, HeadStats)>,
    /// The scores of all heads on random tokens given twice.
    pub scores: Option<Arc<HeadScores>>,
    /// The lens cells that the view shows, by position, layer and site.
    pub lens: Vec<(LensKey, Arc<LensCell>)>,
    /// The tokens that the view follows.
    pub trajectories: Vec<Arc<Trajectory>>,
    /// The baseline that the run is compared with: a run of the same tokens, at least as long.
    pub against: Option<Records>,
    /// The result of a precision lab.
    pub lab: Option<Arc<Lab>>,
    /// An effect map of the run.
    pub effects: Option<Arc<EffectMap>>,
    /// The contributions of all layers.
    pub shares: Option<Arc<ModelShares>>,
    /// The run of a second prompt, which the run is compared with.
    pub second: Option<Records>,
    /// How far the other run is from this one.
    pub distance: Option<Arc<Distance>>,
}

impl ViewData {
    /// Data of a run, without anything that is not in its records.
    pub fn of(trace: Records) -> Self {
        Self {
            trace,
            pattern: None,
            heads: Vec::new(),
            scores: None,
            lens: Vec::new(),
            trajectories: Vec::new(),
            against: None,
            lab: None,
            effects: None,
            shares: None,
            second: None,
            distance: None,
        }
    }

    /// Adds a baseline to compare with, and keeps the tokens that both runs share.
    pub fn compare_with(&mut self, baseline: Records) {
        self.trace.tokens.truncate(shared(&baseline.tokens, &self.trace.tokens));
        self.against = Some(baseline);
    }
}
