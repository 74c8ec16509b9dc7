//! Values of the run, put into the run of a second prompt one after the other.

use super::{ENTER, NO_MAP, copy_rows, vertical};
use crate::analysis::tables::{PatchRow, Row};
use crate::analysis::{MapKey, MapOf, Watch};
use crate::protocol::MapRequest;
use crate::state::State;
use crate::state::input::Extent;
use crate::state::views::Rules;
use crate::state::views::copy::Copied;
use crate::trace::Source;

pub(in crate::state::views) const RULES: Rules =
    Rules { vertical, enter: Some(ENTER), has_details: false, missing, ..Rules::new(copy) };

const NO_SECOND: &str = "patching needs a second prompt: C types one";

fn missing(state: &State) -> Option<&'static str> {
    if state.second.is_none() {
        return Some(NO_SECOND);
    }
    state.map().is_none().then_some(NO_MAP)
}

/// Copies rows with the columns of `patch.csv`.
fn copy(state: &State, extent: Extent) -> Copied {
    copy_rows(state, extent, PatchRow::TABLE, |map, layer, column| {
        let (MapOf::Patching(over), Some(found)) = (map.key.of, map.get(layer, column)) else { return None };
        PatchRow::of(over, (layer, column), found)
    })
}

impl State {
    /// The map of patches: the target is the pinned one, or the answer of the run after the last token that both prompts have;
    /// the foil is that of the second prompt, unless another was chosen.
    pub(super) fn patching_request(&self, of: MapOf) -> Option<MapRequest> {
        let second = self.second.as_ref()?;
        let theirs = second.tokens();
        // Tokens that were generated after the prompt have no counterpart.
        let prompt = self.tokens.iter().take_while(|token| token.source == Source::Prompt).count();
        let is_prompt_like = !theirs.is_empty() && (prompt..=self.tokens.len()).contains(&theirs.len());
        let tokens = if is_prompt_like { theirs.len() } else { self.tokens.len() };
        let position = self.pin.map(|pin| pin.position).filter(|position| *position < tokens).unwrap_or(tokens - 1);
        let best = |record: &crate::trace::TokenRecord| record.next.top.first().map(|best| best.id);
        let pinned = self.pin.filter(|pin| pin.position == position).map(|pin| pin.token);
        let token = pinned.or_else(|| best(self.tokens.get(position)?))?;
        let answer = theirs.get(position).and_then(|record| best(record));
        let chosen = self.foil.as_ref().map(|foil| foil.id);
        let foil = chosen.or(answer).filter(|foil| *foil != token);
        let watch = Some(Watch { position, token, foil });
        Some(MapRequest { key: MapKey { of, watch }, tokens, second: Some(second.prompt.clone()) })
    }
}
