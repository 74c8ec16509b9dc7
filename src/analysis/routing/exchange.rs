use super::choice::TokenRouting;
use crate::trace::{Change, Edit, TokenRecord};

/// The narrowest exchange of a choice: the best rejected expert that may be chosen wins over the last chosen one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exchange {
    /// The last chosen expert, which loses.
    pub loser: u32,
    /// The best rejected expert, which wins.
    pub winner: usize,
    /// Logit of the loser minus that of the winner; negative if an edit chose against the logits.
    pub margin: Option<f32>,
}

/// The exchange at a token in a layer. Experts that one of the run's edits bans in the layer stay banned. `None` if no expert
/// is left, or the choice was not captured.
pub fn exchange(token: &TokenRecord, layer: usize, edits: &[Edit]) -> Option<Exchange> {
    let choice = TokenRouting::choice(token, layer)?;
    let loser = *choice.chosen.last()?;
    let is_banned = |expert: usize| {
        let bans = |edit: &&Edit| edit.layers.has(layer) && matches!(&edit.change, Change::Ban(all) if all.has(expert));
        edits.iter().find(bans).is_some()
    };
    let others =
        (0..choice.logits.len()).filter(|expert| !choice.chosen.contains(&(*expert as u32)) && !is_banned(*expert));
    let is_better = |x: f32, best: f32| x > best || best.is_nan() && !x.is_nan();
    let winner = others
        .reduce(|best, expert| if is_better(choice.logits[expert], choice.logits[best]) { expert } else { best })?;
    let margin = choice.logits.get(loser as usize).map(|inside| inside - choice.logits[winner]);
    Some(Exchange { loser, winner, margin })
}
