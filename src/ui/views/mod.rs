//! The panels of the views: one file per view, and one table of them all.

pub mod attention;
pub mod contributions;
pub mod effects;
pub mod fidelity;
pub mod lens;
pub mod next;
pub mod routing;

use super::canvas::Canvas;
use crate::analysis::view::View;
use crate::state::{Pane, State};
use ratatui::layout::Rect;

/// The panel of a view.
#[derive(Clone, Copy)]
pub struct Panel {
    /// Draws the view.
    pub draw: fn(&mut Canvas, Rect),
    /// Draws the details next to the view; `None` if it has none.
    pub details: Option<fn(&mut Canvas, Rect)>,
    /// The number of lines of the whole view without a frame, at a width; `None` if the view fills any height.
    pub lines: fn(&State, &Pane, u16) -> Option<usize>,
    /// The width that the view needs next to its details; `None` if it uses a share of any width.
    pub width: Option<u16>,
}

impl Panel {
    /// A panel that fills any height, without details.
    const fn new(draw: fn(&mut Canvas, Rect)) -> Self {
        Self { draw, details: None, lines: |_, _, _| None, width: None }
    }
}

/// The panel of every view.
pub fn panel(view: View) -> &'static Panel {
    match view {
        View::RoutingToken => &routing::token::PANEL,
        View::RoutingLayer => &routing::layer::PANEL,
        View::RoutingMap => &routing::map::PANEL,
        View::RoutingUsage => &routing::usage::PANEL,
        View::RoutingPairs => &routing::pairs::PANEL,
        View::AttentionGrid => &attention::grid::PANEL,
        View::AttentionScores => &attention::scores::PANEL,
        View::AttentionHead => &attention::head::PANEL,
        View::LensGrid => &lens::grid::PANEL,
        View::LensTargets => &lens::targets::PANEL,
        View::Next => &next::PANEL,
        View::FidelityValidated => &fidelity::validated::PANEL,
        View::FidelityFlips => &fidelity::flips::PANEL,
        View::FidelityLoss => &fidelity::loss::PANEL,
        View::FidelityLab => &fidelity::lab::PANEL,
        View::Compare => &fidelity::compare::PANEL,
        View::EffectsMap => &effects::map::PANEL,
        View::EffectsRouting => &effects::routing::PANEL,
        View::EffectsPatching => &effects::patching::PANEL,
        View::EffectsContributions => &effects::contributions::PANEL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Policy, Sampling};

    #[test]
    fn state_and_screen_agree_on_which_views_have_details() {
        let mut state = State::new(None, Sampling::default(), Policy::Hf, Vec::new());
        for view in View::ALL {
            state.pane_mut().show(view);
            assert_eq!(panel(view).details.is_some(), state.has_details(), "{view}");
        }
    }
}
