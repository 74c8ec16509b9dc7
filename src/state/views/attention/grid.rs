//! All heads of all layers as thumbnails, by layer and head or the best first.

use super::{Heads, Over, Side, looks, next_scale, row_of};
use crate::analysis::tables::{AttentionRow, Row};
use crate::analysis::view::{Tab, View};
use crate::analysis::{Measure, MeasuredOn, Pick};
use crate::state::State;
use crate::state::input::{Extent, Vertical};
use crate::state::views::copy::{Clip, Copied};
use crate::state::views::{Rules, measures};
use crate::trace::Direction;

pub(in crate::state::views) const RULES: Rules =
    Rules { vertical, measures: Some(measures::of_heads), next_scale: Some(next_scale), ..Rules::new(copy) };

/// A head and its score; `None` if it has none, or none yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// The score.
    pub value: Option<f32>,
}

fn copy(state: &State, extent: Extent) -> Copied {
    super::copy(state, extent, copy_rows)
}

/// Copies the weights from the cursor of all heads of its layer.
fn copy_rows(state: &State) -> Copied {
    let heads = state.meta().map_or(0, |meta| meta.dims.heads);
    let mut clip = Clip::new(AttentionRow::TABLE)?;
    for head in (0..heads).map(Pick::One) {
        clip.extend(looks(state, head, Side::Row)?.into_iter().map(row_of(state, head)))?;
    }
    clip.finish("where the layer's heads look from the cursor")
}

fn vertical(state: &mut State, to: Vertical) {
    if !state.pane().heads.sorted {
        return state.move_layer(to);
    }
    let direction = if to == Vertical::Up { Direction::Back } else { Direction::Forward };
    state.move_sorted(direction, usize::from(state.geometry.heads_across(state.panes.focus())));
}

impl State {
    /// All heads of the model, by layer (the last first, as they are drawn) and head, or the best first.
    pub fn ranking(&self, heads: &Heads) -> Vec<Ranked> {
        let Some(dims) = self.meta().map(|meta| meta.dims) else { return Vec::new() };
        let value = |layer, head| self.head_stats(heads, layer, head).and_then(|stats| heads.measure.of(stats));
        let all = (0..dims.layers).rev().flat_map(|layer| (0..dims.heads).map(move |head| (layer, head)));
        let mut all: Vec<Ranked> = all.map(|(layer, head)| Ranked { layer, head, value: value(layer, head) }).collect();
        if heads.sorted {
            sort(heads.measure, &mut all);
        }
        all
    }

    /// Whether heads are on the screen; if not, says where they are.
    fn shows_heads(&mut self) -> bool {
        let shows = self.tab() == Tab::Attention;
        if !shows {
            self.say(
                "sorted are heads in Attention (2), effects in Effects (6), experts in usage and pairs of Routing",
            );
        }
        shows
    }

    /// Sorts the heads, or puts them back in the order of layer and head.
    pub(in crate::state) fn toggle_sorted(&mut self) {
        if self.tab() == Tab::Effects {
            return self.toggle_ranked();
        }
        if matches!(self.view(), View::RoutingUsage | View::RoutingPairs) {
            let sorted = &mut self.pane_mut().usage_sorted;
            *sorted = !*sorted;
            return;
        }
        if self.view() == View::AttentionScores {
            return self.say(
                "the map stays by layer and head; its last lines name the best, and v leads to the grid, which sorts",
            );
        }
        if self.shows_heads() {
            let heads = &mut self.pane_mut().heads;
            heads.sorted = !heads.sorted;
        }
    }

    /// Measures heads on random tokens given twice, or on the run again.
    pub(in crate::state) fn flip_measured_on(&mut self) {
        if !self.shows_heads() {
            return;
        }
        if self.meta().is_some_and(|meta| meta.recording.is_some()) {
            return self.say("random tokens have to be read by a model: this is a saved run, o opens a model");
        }
        let on = &mut self.pane_mut().heads.on;
        *on = match on {
            MeasuredOn::Text => MeasuredOn::Repeated,
            MeasuredOn::Repeated => MeasuredOn::Text,
        };
    }

    /// Goes to the next head or to the one before: by number, or in the order of the sorted grid.
    pub(in crate::state) fn move_head(&mut self, direction: Direction) {
        if self.tab() == Tab::Attention && self.view() != View::AttentionScores && self.pane().heads.sorted {
            return self.move_sorted(direction, 1);
        }
        let head = self.cursor.head;
        self.cursor.head = if direction == Direction::Forward { head + 1 } else { head.saturating_sub(1) };
    }

    /// Goes `by` heads on or back in the order of the sorted grid; stays where there is none.
    fn move_sorted(&mut self, direction: Direction, by: usize) {
        let ranking = self.ranking(&self.pane().heads);
        let at = ranking.iter().position(|r| (r.layer, r.head) == (self.cursor.layer, self.cursor.head));
        let to = at.and_then(|at| if direction == Direction::Back { at.checked_sub(by) } else { Some(at + by) });
        // The last line may be shorter.
        let last = ranking.len().saturating_sub(1);
        let to = to.map(|to| if at.is_some_and(|at| at / by < last / by) { to.min(last) } else { to });
        if let Some(next) = to.and_then(|to| ranking.get(to)) {
            (self.cursor.layer, self.cursor.head) = (next.layer, next.head);
        }
    }

    /// Goes to the best head and says which score it was chosen by.
    pub(in crate::state) fn go_to_best_head(&mut self) {
        if self.tab() == Tab::Effects {
            return self.go_to_largest();
        }
        if !self.shows_heads() {
            return;
        }
        let heads = self.pane().heads;
        let mut ranking = self.ranking(&heads);
        sort(heads.measure, &mut ranking);
        let (measure, known, all) = (heads.measure, self.measured(heads.on), ranking.len());
        let on = heads.on.about();
        let summary = match ranking.first().and_then(|best| best.value.map(|value| (best, value))) {
            Some((best, value)) => {
                (self.cursor.layer, self.cursor.head) = (best.layer, best.head);
                self.pane_mut().heads.over = Over::One;
                let extreme = if measure == Measure::Entropy { "lowest" } else { "highest" };
                let unit = if measure == Measure::Entropy { " nats" } else { "" };
                let of = if known < all {
                    format!("of {known} measured so far, of {all}")
                } else {
                    format!("of {all} heads")
                };
                format!("L{}H{}: {extreme} {measure} {value:.4}{unit} {of}, {on}", best.layer, best.head)
            }
            None if known == 0 => format!("no head has been measured yet, {on}: the title says how far that is"),
            None => {
                format!("no token occurs twice, so there is no {measure} score {on}; R measures on repeated tokens")
            }
        };
        self.say(summary);
    }
}

/// The best first; those without a score last, by layer and head.
fn sort(measure: Measure, heads: &mut [Ranked]) {
    measure.sort(heads, |ranked| ranked.value);
}
