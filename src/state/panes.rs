//! Two views side by side, and one that takes all the room.

use super::{AttentionLens, FidelityLens, LensLayout, RoutingLens, State, Tab};
use crate::trace::{Direction, LensSite};
use serde::{Deserialize, Serialize};

/// What a pane shows. The cursor and everything else is common to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pane {
    /// The view.
    pub view: Tab,
    /// How routing is looked at.
    pub routing: RoutingLens,
    /// How attention is looked at.
    pub attention: AttentionLens,
    /// How the lens is looked at.
    #[serde(default)]
    pub lens: LensLayout,
    /// Which residual the lens reads.
    pub lens_site: LensSite,
    /// How fidelity is looked at.
    #[serde(default)]
    pub fidelity: FidelityLens,
}

/// The pane without the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPane {
    /// What it shows.
    pub pane: Pane,
    /// Whether it is the left one.
    pub is_left: bool,
}

impl State {
    /// What the pane with the focus shows.
    pub fn pane(&self) -> Pane {
        Pane {
            view: self.view,
            routing: self.routing,
            attention: self.attention,
            lens: self.lens,
            lens_site: self.lens_site,
            fidelity: self.fidelity,
        }
    }

    pub(super) fn show(&mut self, pane: Pane) {
        self.view = pane.view;
        self.routing = pane.routing;
        self.attention = pane.attention;
        self.lens = pane.lens;
        self.lens_site = pane.lens_site;
        self.fidelity = pane.fidelity;
    }

    /// Puts a second pane beside the view, or takes the other pane away.
    pub(super) fn split(&mut self) {
        self.zoomed = false;
        if self.other.take().is_some() {
            return;
        }
        self.other = Some(OtherPane { pane: self.pane(), is_left: true });
        self.turn_view(Direction::Forward);
        self.say("split: 1 to 5 choose what this pane shows, w w goes to the other, w s ends it");
    }

    /// Gives the other pane the focus.
    pub(super) fn turn_pane(&mut self) {
        match self.other {
            Some(OtherPane { pane, is_left }) => {
                self.other = Some(OtherPane { pane: self.pane(), is_left: !is_left });
                self.show(pane);
            }
            None => self.say("there is one pane only: w s splits it"),
        }
    }
}
