//! What can be copied of attention: of the head at the cursor or of the heads together, from the cursor or to it.

use super::{Clip, Copied, Extent, UNDERWAY, csv};
use crate::analysis::Pick;
use crate::analysis::tables::{AttentionRow, Row};
use crate::state::{AttentionLens, Side, State};

/// Query, key and weight.
type Look = (usize, usize, f32);

impl State {
    /// Columns of `attention.csv`; the head of several together is `mean` or `max`.
    pub(super) fn copy_attention(&self, extent: Extent) -> Copied {
        let (layer, pick) = (self.cursor.layer, self.pick());
        let heads = self.meta().map_or(0, |meta| meta.dims.heads);
        let row_of = |head: Pick| move |(query, key, weight): Look| AttentionRow { layer, head, query, key, weight };
        match extent {
            Extent::Cell => {
                let looks = self.looks(pick, self.heads.side)?;
                let (query, key, weight) = looks.into_iter().max_by(|a, b| a.2.total_cmp(&b.2)).ok_or(UNDERWAY)?;
                let (other, what) = match self.heads.side {
                    Side::Row => (key, "where it looks most"),
                    Side::Column => (query, "who looks most"),
                };
                let shown = self.shown.get(other).map_or("", |(text, _)| text);
                let who = match pick {
                    Pick::One(head) => format!("L{layer}H{head}"),
                    Pick::Mean | Pick::Max => format!("L{layer} {pick}"),
                };
                let text = format!("{who} {query}→{key} {shown} {weight}");
                Ok((text.clone(), format!("{what}: {text}")))
            }
            Extent::Row => {
                let what = match self.heads.side {
                    Side::Row => "where the head looks from the cursor",
                    Side::Column => "who looks at the cursor",
                };
                csv(self.looks(pick, self.heads.side)?.into_iter().map(row_of(pick)), what)
            }
            Extent::View if self.attention == AttentionLens::Head => {
                let map = self.derived.exact_map(layer, pick, self.tokens.len());
                let map =
                    map.ok_or("the screen has this head pooled or not yet: e writes the exact values to a file")?;
                let looks = (0..map.side).flat_map(|query| (0..=query).map(move |key| (query, key)));
                let weight = |(query, key)| (query, key, map.cells[query * map.side + key]);
                let what = if matches!(pick, Pick::One(_)) { "the head" } else { "the heads together" };
                csv(looks.map(weight).map(row_of(pick)), what)
            }
            Extent::View => {
                let mut clip = Clip::new(AttentionRow::TABLE)?;
                for head in (0..heads).map(Pick::One) {
                    clip.extend(self.looks(head, Side::Row)?.into_iter().map(row_of(head)))?;
                }
                clip.finish("where the layer's heads look from the cursor")
            }
        }
    }

    /// The weights between the cursor and the tokens before it, or behind it.
    fn looks(&self, pick: Pick, side: Side) -> Result<Vec<Look>, String> {
        let (layer, at) = (self.cursor.layer, self.cursor.token);
        let weights = |weights: &[f32]| weights.iter().copied().enumerate().collect::<Vec<(usize, f32)>>();
        Ok(match side {
            Side::Row => {
                let row = self.derived.row(layer, pick, at).ok_or(UNDERWAY)?;
                weights(&row.weights).into_iter().map(|(key, weight)| (at, key, weight)).collect()
            }
            Side::Column => {
                let column = self.derived.column(layer, pick, at).filter(|column| column.n() == self.tokens.len());
                let column = column.ok_or(UNDERWAY)?;
                weights(&column.weights).into_iter().map(|(i, weight)| (at + i, at, weight)).collect()
            }
        })
    }
}
