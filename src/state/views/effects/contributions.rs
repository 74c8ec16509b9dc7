//! Heads and experts of all layers by their contribution to a logit, or to the difference of two.

use super::refusal;
use crate::analysis::ModelShares;
use crate::analysis::tables::{Row, ShareRow, TokenText};
use crate::state::input::{Extent, Vertical};
use crate::state::views::copy::{Clip, Copied, UNDERWAY};
use crate::state::views::{Enter, Rules};
use crate::state::{Effect, State};

pub(in crate::state::views) const RULES: Rules = Rules {
    vertical: State::move_in_shares,
    enter: Some(Enter { run: State::offer_edits, refusal }),
    has_details: false,
    has_contributions: false,
    missing: |state| {
        refusal(state).or_else(|| {
            state.shares().is_none().then_some("the contributions are not derived yet: try again in a moment")
        })
    },
    ..Rules::new(copy)
};

/// Copies rows with the columns of the exported view.
fn copy(state: &State, extent: Extent) -> Copied {
    let found = state.shares().ok_or(UNDERWAY)?;
    let rows = found.ranked();
    let at = state.pane().scroll.min(rows.len().saturating_sub(1));
    if extent == Extent::Cell {
        let share = rows.get(at).ok_or(UNDERWAY)?;
        let text = format!("{} {}", share.part, share.value());
        return Ok((text.clone(), text));
    }
    let shown = if extent == Extent::Row { at..(at + 1).min(rows.len()) } else { 0..rows.len() };
    let mut clip = Clip::new(ShareRow::TABLE)?;
    clip.extend(rows[shown].iter().map(|share| ShareRow::of(found, share, TokenText::Exact)))?;
    clip.finish("the contributions")
}

impl State {
    /// The contributions that the view shows.
    pub fn shares(&self) -> Option<&ModelShares> {
        self.derived.shares(self.watch()?)?.ok()
    }

    /// Offers edits of the part on the marked line.
    fn offer_edits(&mut self) -> Vec<Effect> {
        self.open_edit_menu();
        Vec::new()
    }

    /// Moves through the list, and puts the cursor on the head or expert of the line.
    fn move_in_shares(&mut self, to: Vertical) {
        let Some(found) = self.shares() else { return };
        let rows = found.ranked();
        let last = rows.len().saturating_sub(1);
        let at = self.pane().scroll.min(last);
        let at = if to == Vertical::Up { at.saturating_sub(1) } else { (at + 1).min(last) };
        let part = rows.get(at).map(|share| share.part);
        self.pane_mut().scroll = at;
        if let Some(part) = part {
            self.go_to_part(part);
        }
    }
}
