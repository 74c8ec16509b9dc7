//! The details next to a view: a summary of what belongs to the view, or what the logit of a candidate is made of.

use super::rules;
use crate::analysis::AttributionKey;
use crate::analysis::view::Tab;
use crate::state::State;
use crate::trace::Candidate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the details show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetailsPage {
    /// What belongs to the view.
    #[default]
    Summary,
    /// Contributions of experts, heads and layers to a logit.
    Contributions,
}

/// The details of a pane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// What they show.
    pub page: DetailsPage,
    /// Tabs whose details are the opposite of the default, which is shown on a wide screen and folded on a narrow one.
    pub flipped: BTreeSet<Tab>,
}

impl State {
    /// Whether the contributions are on screen; they are derived only then.
    pub fn shows_contributions(&self) -> bool {
        self.pane().details.page == DetailsPage::Contributions && rules(self.view()).has_contributions
    }

    /// The token whose logit is split into contributions: the candidate under the cursor, which is the model's own
    /// answer until another one is marked in Next.
    pub fn contribution_target(&self) -> Option<&Candidate> {
        self.token()?.next.top.get(self.cursor.candidate)
    }

    /// The attribution that belongs to the cursor.
    pub fn contribution_key(&self) -> Option<AttributionKey> {
        let target = self.contribution_target()?.id;
        Some(AttributionKey { pos: self.cursor.token, target, layer: self.cursor.layer })
    }

    /// Shows contributions instead of the summary, or the summary again.
    pub(in crate::state) fn toggle_contributions(&mut self) {
        if !rules(self.view()).has_contributions {
            return self.say("contributions are shown next to Routing, Attention, Lens and Next");
        }
        let page = &mut self.pane_mut().details.page;
        *page = match page {
            DetailsPage::Summary => DetailsPage::Contributions,
            DetailsPage::Contributions => DetailsPage::Summary,
        };
    }

    /// Whether the details of the view are the opposite of the default for the size of the screen.
    pub fn flips_details(&self) -> bool {
        self.pane().details.flipped.contains(&self.tab())
    }

    /// Shows or hides the details. Contributions are always shown, so they are replaced by the summary instead.
    pub(in crate::state) fn toggle_details(&mut self) {
        let shows_contributions = self.shows_contributions();
        let tab = self.tab();
        let details = &mut self.pane_mut().details;
        if shows_contributions {
            details.page = DetailsPage::Summary;
        } else if !details.flipped.remove(&tab) {
            details.flipped.insert(tab);
        }
    }
}
