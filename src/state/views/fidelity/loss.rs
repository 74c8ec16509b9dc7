//! The loss of each token in A and B, one token per line.

use super::{NO_OTHER, flips, jump_among, no_other};
use crate::analysis::tables::{LossRow, TokenText};
use crate::state::State;
use crate::state::input::{Extent, Move, Vertical};
use crate::state::views::Rules;
use crate::state::views::copy::{Copied, csv};
use crate::trace::Direction;

pub(in crate::state::views) const RULES: Rules =
    Rules { vertical, shows_layers: false, jump, has_contributions: false, missing: no_other, ..Rules::new(copy) };

/// Tokens are lines here.
fn vertical(state: &mut State, to: Vertical) {
    state.move_token(if to == Vertical::Up { Move::Left } else { Move::Right });
}

/// Goes to the next token whose experts differ in any layer. Layers are not shown here.
fn jump(state: &mut State, direction: Direction) {
    let layer = state.cursor.layer;
    let mut all: Vec<(usize, usize)> = flips(state).into_iter().map(|(pos, _)| (pos, layer)).collect();
    all.sort_unstable();
    all.dedup();
    jump_among(state, all, direction);
}

/// Copies one row per token.
fn copy(state: &State, extent: Extent) -> Copied {
    let (meta, a, b) = (state.meta().ok_or(NO_OTHER)?, state.baseline.tokens(), &state.tokens);
    let policy = state.baseline.known_policy().ok_or(NO_OTHER)?;
    let at = state.cursor.token;
    let positions = match extent {
        Extent::Cell => {
            let by = state.loss_difference(at).ok_or("this token has no loss in both runs")?;
            return Ok((by.to_string(), format!("{by} nats, B − A")));
        }
        Extent::Row => at..(at + 1).min(a.len()),
        Extent::View => 0..a.len().min(b.len()),
    };
    let row =
        |pos: usize| LossRow::of([policy, meta.policy], pos, [&a[pos], &b[pos]], meta.dims.layers, TokenText::Exact);
    csv(positions.map(row), "losses")
}
