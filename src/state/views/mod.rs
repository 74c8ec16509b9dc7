//! What the state does for each view: copying, movement, measures, and what keys mean there. One file per view, and one
//! table of them all.

pub mod attention;
mod copy;
pub mod details;
pub mod effects;
pub mod fidelity;
mod layouts;
pub mod lens;
mod measures;
mod next;
pub mod routing;

use super::input::{Action, Extent, Vertical};
use super::{Effect, Pane, State};
use crate::analysis::view::ShownMeasure;
use crate::analysis::view::View;
use crate::trace::{Candidate, Direction};
use copy::Copied;

/// What the state does for a view.
#[derive(Clone, Copy)]
struct Rules {
    /// Copies the value under the cursor, its row, or the view.
    copy: fn(&State, Extent) -> Copied,
    /// Moves up or down.
    vertical: fn(&mut State, Vertical),
    /// Whether the cursor's layer is visible.
    shows_layers: bool,
    /// The measures of the view; `None` if there is one only.
    measures: Option<fn(&State, &Pane) -> Vec<ShownMeasure>>,
    /// What enter does; `None` if it shows the candidates.
    enter: Option<Enter>,
    /// Goes to the next place where experts are a close call, or differ between two runs.
    jump: fn(&mut State, Direction),
    /// The token at the cursor that can be followed through the layers; `None` if there are none in this view.
    to_follow: Option<fn(&State) -> Option<&Candidate>>,
    /// Changes between a linear and a logarithmic scale; `None` if the view has no scale.
    next_scale: Option<fn(&mut State)>,
    /// Whether details of its own are shown next to the view.
    has_details: bool,
    /// Whether contributions to a logit are shown next to the view.
    has_contributions: bool,
    /// Whether the view is of the run's tokens, and so shows nothing without one.
    needs_text: bool,
    /// What the user has to do before there is something to copy or to write to files, if anything.
    missing: fn(&State) -> Option<&'static str>,
}

/// What enter does in a view.
#[derive(Clone, Copy)]
struct Enter {
    run: fn(&mut State) -> Vec<Effect>,
    /// Why it does nothing now, if so.
    refusal: fn(&State) -> Option<&'static str>,
}

impl Rules {
    /// The rules of a view of layers that can be copied by `copy`.
    const fn new(copy: fn(&State, Extent) -> Copied) -> Self {
        Self {
            copy,
            vertical: State::move_layer,
            shows_layers: true,
            measures: None,
            enter: None,
            jump: State::jump_to_near_tie,
            to_follow: None,
            next_scale: None,
            has_details: true,
            has_contributions: true,
            needs_text: true,
            missing: |_| None,
        }
    }
}

/// The rules of every view.
fn rules(view: View) -> &'static Rules {
    match view {
        View::RoutingToken => &routing::token::RULES,
        View::RoutingLayer => &routing::layer::RULES,
        View::RoutingMap => &routing::map::RULES,
        View::RoutingUsage => &routing::usage::RULES,
        View::RoutingPairs => &routing::pairs::RULES,
        View::AttentionGrid => &attention::grid::RULES,
        View::AttentionScores => &attention::scores::RULES,
        View::AttentionHead => &attention::head::RULES,
        View::LensGrid => &lens::grid::RULES,
        View::LensTargets => &lens::targets::RULES,
        View::Next => &next::RULES,
        View::FidelityValidated => &fidelity::validated::RULES,
        View::FidelityFlips => &fidelity::flips::RULES,
        View::FidelityLoss => &fidelity::loss::RULES,
        View::FidelityLab => &fidelity::lab::RULES,
        View::Compare => &fidelity::compare::RULES,
        View::EffectsMap => &effects::map::RULES,
        View::EffectsRouting => &effects::routing::RULES,
        View::EffectsPatching => &effects::patching::RULES,
        View::EffectsContributions => &effects::contributions::RULES,
    }
}

impl State {
    /// Moves up or down in the view with the focus.
    pub(in crate::state) fn move_vertically(&mut self, to: Vertical) {
        (rules(self.view()).vertical)(self, to);
    }

    /// Moves by half of the rows that the view shows.
    pub(in crate::state) fn move_half_a_page(&mut self, to: Vertical) {
        let rows = self.geometry.rows(self.panes.focus());
        for _ in 0..(rows / 2).max(1) {
            self.move_vertically(to);
            self.clamp();
        }
    }

    /// Changes between a linear and a logarithmic scale.
    pub(in crate::state) fn next_scale(&mut self) {
        if let Some(next) = rules(self.view()).next_scale {
            next(self);
        }
    }

    /// Goes to the next place where experts are a close call, or differ between two runs; or to the one before.
    pub(in crate::state) fn jump(&mut self, direction: Direction) {
        (rules(self.view()).jump)(self, direction);
    }

    /// Does what enter means in the view; by default it shows the candidates.
    pub(in crate::state) fn enter(&mut self) -> Vec<Effect> {
        match rules(self.view()).enter {
            Some(enter) => (enter.run)(self),
            None => {
                self.pane_mut().show(View::Next);
                Vec::new()
            }
        }
    }

    /// Whether enter makes the model compute something.
    pub(in crate::state) fn enter_runs(&self) -> bool {
        rules(self.view()).enter.is_some()
    }

    /// Whether the cursor's layer is visible in the view.
    pub(in crate::state) fn shows_layers(&self) -> bool {
        rules(self.view()).shows_layers
    }

    /// Whether the view has details of its own next to it.
    pub fn has_details(&self) -> bool {
        rules(self.view()).has_details
    }

    /// What has to be done before a view can be written to files, if anything.
    pub(in crate::state) fn is_missing(&self, view: View) -> Option<&'static str> {
        (rules(view).missing)(self)
    }

    /// Why an action means nothing in the view.
    pub(in crate::state) fn refusal_in_view(&self, action: Action) -> Option<String> {
        let (rules, tab) = (rules(self.view()), self.tab());
        let sentence = match action {
            Action::CycleLens | Action::PreviousLayout if tab.views().count() == 1 => {
                format!("{} has one layout only", tab.name())
            }
            Action::NextMeasure | Action::PreviousMeasure if rules.measures.is_none() => {
                match tab.views().find(|view| self::rules(*view).measures.is_some()) {
                    Some(view) => format!("this layout has one measure only: v leads to {view}, which has several"),
                    None => format!(
                        "{} has one measure only; {view}, Attention and Lens have several",
                        tab.name(),
                        view = View::RoutingUsage
                    ),
                }
            }
            Action::ToggleDetails if !rules.has_details => {
                "this layout has no details: v leads to those that have".to_owned()
            }
            Action::ToggleLog if rules.next_scale.is_none() => {
                "the scale changes in the grid and the head of Attention and in the plot of Lens only".to_owned()
            }
            Action::ForceCandidate => (rules.enter?.refusal)(self)?.to_owned(),
            _ => return None,
        };
        Some(sentence)
    }
}
