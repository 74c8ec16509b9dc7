//! The page of contributions: what the logit of a candidate is made of.

use super::{State, Tab};
use crate::analysis::AttributionKey;
use crate::trace::Candidate;
use serde::{Deserialize, Serialize};

/// What the details beside a view show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Details {
    /// What belongs to the view.
    #[default]
    Summary,
    /// Shares of experts, heads and layers in a logit.
    Contributions,
}

impl State {
    /// Whether the contributions are on screen; they are derived only then.
    pub fn shows_contributions(&self) -> bool {
        self.details == Details::Contributions && self.view != Tab::Fidelity
    }

    /// The token whose logit is taken apart: the candidate under the cursor, which is the model's own answer until
    /// another is marked in Next.
    pub fn contribution_target(&self) -> Option<&Candidate> {
        self.token()?.next.top.get(self.cursor.candidate)
    }

    /// The attribution that belongs to the cursor.
    pub fn contribution_key(&self) -> Option<AttributionKey> {
        let target = self.contribution_target()?.id;
        Some(AttributionKey { pos: self.cursor.token, target, layer: self.cursor.layer })
    }

    pub(super) fn toggle_contributions(&mut self) {
        if self.view == Tab::Fidelity {
            let summary = "contributions are shown beside Routing, Attention, Lens and Next".to_owned();
            return self.say(summary);
        }
        self.details = match self.details {
            Details::Summary => Details::Contributions,
            Details::Contributions => Details::Summary,
        };
    }

    /// Whether the details of the view are the other way than the size of the screen suggests.
    pub fn flips_details(&self) -> bool {
        self.details_flipped.contains(&self.view)
    }

    fn flip_details(&mut self) {
        if !self.details_flipped.remove(&self.view) {
            self.details_flipped.insert(self.view);
        }
    }

    /// Shows or hides the details; contributions, which show themselves, give way to what was there before.
    pub(super) fn toggle_details(&mut self) {
        if self.shows_contributions() {
            self.details = Details::Summary;
        } else {
            self.flip_details();
        }
    }
}
