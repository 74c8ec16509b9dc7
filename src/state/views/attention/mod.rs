//! Where heads look.

pub mod grid;
pub mod head;
pub mod scores;

use super::copy::{Copied, UNDERWAY, csv};
use crate::analysis::tables::AttentionRow;
use crate::analysis::view::Tab;
use crate::analysis::{HeadStats, Measure, MeasuredOn, Pick};
use crate::state::State;
use crate::state::input::Extent;
use serde::{Deserialize, Serialize};

/// The heads that are drawn large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// The one at the cursor.
    One,
    /// The mean over the heads of the layer.
    Mean,
    /// The maximum over the heads of the layer.
    Max,
}

/// The side from which attention is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// From the cursor: its token is the query.
    Row,
    /// To the cursor: its token is the key.
    Column,
}

/// How heads are scored, ordered and drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// The score.
    pub measure: Measure,
    /// The text on which they are measured.
    pub on: MeasuredOn,
    /// Whether the best come first; else they are in the order of layer and head.
    pub sorted: bool,
    /// Which heads are drawn large.
    pub over: Over,
    /// The side from which attention is read.
    pub side: Side,
    /// Whether weights are shown on a logarithmic scale.
    pub log: bool,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            measure: Measure::Entropy,
            on: MeasuredOn::Text,
            sorted: false,
            over: Over::One,
            side: Side::Row,
            log: false,
        }
    }
}

impl Heads {
    /// What is drawn large while the cursor is at `head`: this head, or all heads of its layer.
    pub fn pick(&self, head: usize) -> Pick {
        match self.over {
            Over::One => Pick::One(head),
            Over::Mean => Pick::Mean,
            Over::Max => Pick::Max,
        }
    }
}

/// Query, key and weight.
type Look = (usize, usize, f32);

/// A row of `attention.csv` of one head of the layer at the cursor, or of its heads combined.
fn row_of(state: &State, head: Pick) -> impl Fn(Look) -> AttentionRow {
    let layer = state.cursor.layer;
    move |(query, key, weight)| AttentionRow { layer, head, query, key, weight }
}

/// Copies the largest weight at the cursor, or all weights at it, with the columns of `attention.csv`; the head of
/// several combined is `mean` or `max`. `view` copies the whole view.
fn copy(state: &State, extent: Extent, view: fn(&State) -> Copied) -> Copied {
    let heads = &state.pane().heads;
    let (layer, pick) = (state.cursor.layer, heads.pick(state.cursor.head));
    match extent {
        Extent::Cell => {
            let looks = looks(state, pick, heads.side)?;
            let (query, key, weight) = looks.into_iter().max_by(|a, b| a.2.total_cmp(&b.2)).ok_or(UNDERWAY)?;
            let (other, what) = match heads.side {
                Side::Row => (key, "where it looks most"),
                Side::Column => (query, "who looks most"),
            };
            let shown = state.shown.get(other).map_or("", |(text, _)| text);
            let who = match pick {
                Pick::One(head) => format!("L{layer}H{head}"),
                Pick::Mean | Pick::Max => format!("L{layer} {pick}"),
            };
            let text = format!("{who} {query}→{key} {shown} {weight}");
            Ok((text.clone(), format!("{what}: {text}")))
        }
        Extent::Row => {
            let what = match heads.side {
                Side::Row => "where the head looks from the cursor",
                Side::Column => "who looks at the cursor",
            };
            csv(looks(state, pick, heads.side)?.into_iter().map(row_of(state, pick)), what)
        }
        Extent::View => view(state),
    }
}

/// The weights between the cursor and the tokens before it, or after it.
fn looks(state: &State, pick: Pick, side: Side) -> Result<Vec<Look>, String> {
    let (layer, at) = (state.cursor.layer, state.cursor.token);
    let weights = |weights: &[f32]| weights.iter().copied().enumerate().collect::<Vec<(usize, f32)>>();
    Ok(match side {
        Side::Row => {
            let row = state.derived.row(layer, pick, at).ok_or(UNDERWAY)?;
            weights(&row.weights).into_iter().map(|(key, weight)| (at, key, weight)).collect()
        }
        Side::Column => {
            let column = state.derived.column(layer, pick, at).filter(|column| column.n() == state.tokens.len());
            let column = column.ok_or(UNDERWAY)?;
            weights(&column.weights).into_iter().map(|(i, weight)| (at + i, at, weight)).collect()
        }
    })
}

fn next_scale(state: &mut State) {
    let heads = &mut state.pane_mut().heads;
    heads.log = !heads.log;
}

impl State {
    /// The figures of a head on the text on which `heads` are measured, if it was measured.
    pub fn head_stats(&self, heads: &Heads, layer: usize, head: usize) -> Option<&HeadStats> {
        match heads.on {
            MeasuredOn::Text => self.derived.stats(layer, head),
            MeasuredOn::Repeated => self.derived.scores().and_then(|scores| scores.get(layer, head)),
        }
    }

    /// How many heads have been measured.
    pub fn measured(&self, on: MeasuredOn) -> usize {
        let Some(dims) = self.meta().map(|meta| meta.dims) else { return 0 };
        match on {
            MeasuredOn::Text => self.derived.measured(),
            MeasuredOn::Repeated => self.derived.scores().map_or(0, |_| dims.layers * dims.heads),
        }
    }

    /// How heads are drawn: in the pane that shows them, or else as the pane with the focus would show them.
    pub fn heads(&self) -> &Heads {
        &self.panes.all()[self.heads_place()].heads
    }

    fn heads_mut(&mut self) -> Option<&mut Heads> {
        let place = self.heads_place();
        self.panes.get_mut(place).map(|pane| &mut pane.heads)
    }

    fn heads_place(&self) -> usize {
        self.panes.showing(Tab::Attention).unwrap_or(self.panes.focus())
    }

    /// The weight between the cursor and `pos`: from the cursor, or to it.
    pub fn attention_weight(&self, heads: &Heads, pos: usize) -> Option<f32> {
        let (cursor, pick) = (self.cursor, heads.pick(self.cursor.head));
        match heads.side {
            Side::Row => self.derived.row(cursor.layer, pick, cursor.token)?.weights.get(pos).copied(),
            Side::Column => self.derived.column(cursor.layer, pick, cursor.token)?.weight(pos),
        }
    }

    /// The other ends of the largest weights at the cursor, largest first, if they were derived.
    pub fn strongest_attention(&self, heads: &Heads) -> Option<&[usize]> {
        let (cursor, pick) = (self.cursor, heads.pick(self.cursor.head));
        Some(match heads.side {
            Side::Row => &self.derived.row(cursor.layer, pick, cursor.token)?.strongest,
            Side::Column => &self.derived.column(cursor.layer, pick, cursor.token)?.strongest,
        })
    }

    /// Shows one head, the mean or the maximum over the heads of the layer, whichever is next.
    pub(in crate::state) fn next_over(&mut self) {
        if let Some(heads) = self.heads_mut() {
            heads.over = match heads.over {
                Over::One => Over::Mean,
                Over::Mean => Over::Max,
                Over::Max => Over::One,
            };
        }
    }

    /// Reads attention from the other side.
    pub(in crate::state) fn flip_side(&mut self) {
        if let Some(heads) = self.heads_mut() {
            heads.side = if heads.side == Side::Row { Side::Column } else { Side::Row };
        }
    }
}
