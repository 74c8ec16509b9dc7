//! One token through the layers as curves, and the tokens that the user follows there.

use super::{LensMeasure, all_cells, cell_text, layers, to_follow};
use crate::analysis::tables::{self, Row, TargetRow, TokenText};
use crate::analysis::view::Tab;
use crate::protocol::{Ask, Derive, RequestId, Spelled};
use crate::state::input::Extent;
use crate::state::text::{fit, quoted, show_piece};
use crate::state::views::copy::{Clip, Copied, UNDERWAY, csv};
use crate::state::views::{Rules, measures, rules};
use crate::state::{Effect, InputKind, State};
use crate::trace::{LensKey, LensSite, Piece};

pub(in crate::state::views) const RULES: Rules = Rules {
    measures: Some(measures::of_lens),
    to_follow: Some(to_follow),
    next_scale: Some(|state| {
        let lens = &mut state.pane_mut().lens;
        lens.log = !lens.log;
    }),
    ..Rules::new(copy)
};

/// A token that is followed through the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling; untrusted text.
    pub piece: Piece,
}

/// Copies the value at the cursor, or the curves: columns of `lens.targets`, or of `lens_summary.csv` for KL and
/// entropy.
fn copy(state: &State, extent: Extent) -> Copied {
    if extent == Extent::Cell {
        // A curve is of the answer, whatever leads at the layer.
        let text = cell_text(state, |cell, answer| Some(format!("{answer} {}", cell.final_prob)))?;
        return Ok((text.clone(), text));
    }
    let (c, lens) = (state.cursor, &state.pane().lens);
    let is_in = |layer: usize, site: LensSite| extent == Extent::View || (layer, site) == (c.layer, lens.site());
    let cells = all_cells(state, c.token..c.token + 1, layers(state), &LensSite::ALL)?;
    let cells: Vec<_> = cells.into_iter().filter(|(key, _)| is_in(key.layer, key.site)).collect();
    if matches!(lens.measure, LensMeasure::Kl | LensMeasure::Entropy) {
        return csv(cells.into_iter().map(|(key, cell)| tables::lens_summary(key, cell)), "the curve");
    }
    let mut clip = Clip::new(TargetRow::TABLE)?;
    let answer = state.token().and_then(|token| token.next.top.first()).ok_or(UNDERWAY)?;
    clip.extend(cells.into_iter().map(|(key, cell)| TargetRow {
        token_id: answer.id,
        token: TokenText::Exact.cell(&answer.piece),
        layer: key.layer,
        site: key.site,
        rank: cell.final_rank,
        prob: cell.final_prob,
        text: TokenText::Exact.text(&answer.piece),
    }))?;
    for target in state.targets.iter().filter(|target| target.id != answer.id) {
        let trajectory = state.derived.trajectory(c.token, target.id).ok_or(UNDERWAY)?;
        let rows = tables::targets(trajectory, TokenText::Exact);
        clip.extend(rows.filter(|row| is_in(row.layer, row.site)))?;
    }
    clip.finish("the curves")
}

impl State {
    /// The place of a token among the targets.
    pub fn target(&self, id: u32) -> Option<usize> {
        self.targets.iter().position(|target| target.id == id)
    }

    /// Follows the token at the cursor: in Next the candidate, in Lens the best token there.
    pub(in crate::state) fn add_target(&mut self) {
        let Some(found) = rules(self.view()).to_follow else {
            return self.say("tokens to follow are added in Lens and Next");
        };
        let Some(found) = found(self) else { return self.say("there is no token to follow at the cursor yet") };
        let target = Target { id: found.id, piece: found.piece.clone() };
        if !self.follow(target.clone()) {
            self.say(format!("{} is followed already", name(&target.piece)));
        }
    }

    /// Follows token `id`, which the lens or the model names at the cursor; if it is followed already, stops following
    /// it.
    pub(in crate::state) fn toggle_target(&mut self, id: u32) {
        if let Some(at) = self.target(id) {
            self.targets.remove(at);
            return;
        }
        let sites = [LensSite::ResidPost, LensSite::ResidMid];
        let cells = sites.into_iter().filter_map(|site| {
            let key = LensKey { pos: self.cursor.token, layer: self.cursor.layer, site };
            self.derived.lens(key)
        });
        let named = cells.flat_map(|cell| &cell.top).chain(self.token().into_iter().flat_map(|token| &token.next.top));
        let piece = named.into_iter().find(|candidate| candidate.id == id).map(|candidate| candidate.piece.clone());
        if let Some(piece) = piece {
            self.follow(Target { id, piece });
        }
    }

    /// Stops following the last target.
    pub(in crate::state) fn drop_target(&mut self) {
        if self.targets.pop().is_none() {
            self.say("no token is followed; + and T add some");
        }
    }

    /// Asks for the tokens of a typed target, and of those still waited for, which this request replaces.
    pub(in crate::state) fn type_target(&mut self, text: String) -> Vec<Effect> {
        let mut texts = self.derived.unspelled();
        texts.push(text);
        let (id, ask) = (self.new_id(), Derive::Spell { texts });
        self.derived.note(id, ask.clone());
        vec![Effect::Ask(id, Ask::Derive(ask))]
    }

    /// Follows the first token of each text.
    pub(in crate::state) fn on_spelled(&mut self, id: RequestId, spelled: Vec<Spelled>) {
        if !self.derived.waits_for(id) {
            return;
        }
        let vocab = self.meta().map_or(0, |meta| meta.dims.vocab);
        for Spelled { text, tokens } in spelled {
            let is_foil = self.typed_foil.take_if(|typed| *typed == text).is_some();
            let text = quoted(&fit(&show_piece(&text.replace(' ', "▁").into()), 24));
            let Some((id, piece)) = tokens.first() else {
                self.say(format!("{text} has no token"));
                continue;
            };
            // A tokenizer may name more tokens than the model predicts.
            if *id as usize >= vocab {
                self.say(format!("{} is token {id}; the model predicts those below {vocab} only", name(piece)));
                continue;
            }
            if is_foil {
                self.set_foil(Target { id: *id, piece: piece.clone() }, tokens.len());
                continue;
            }
            let is_new = self.follow(Target { id: *id, piece: piece.clone() });
            let first = fit(&show_piece(piece), 16);
            let already = if is_new { "is followed" } else { "is followed already" };
            if tokens.len() > 1 {
                self.say(format!("{text} is {} tokens; the first, {first}, {already}", tokens.len()));
            } else if !is_new || self.tab() != Tab::Lens {
                self.say(format!("{} {already} in the Lens view", name(piece)));
            }
        }
    }

    /// Opens the input for a target.
    pub(in crate::state) fn open_target(&mut self) {
        self.open_input(InputKind::Target, "");
    }

    /// Follows a token; returns whether it was not followed yet.
    fn follow(&mut self, target: Target) -> bool {
        let is_new = self.target(target.id).is_none();
        if is_new {
            self.targets.push(target);
        }
        is_new
    }
}

fn name(piece: &Piece) -> String {
    quoted(&fit(&show_piece(piece), 16))
}
