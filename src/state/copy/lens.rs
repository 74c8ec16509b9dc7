//! What can be copied of the lens: cells as the screen shows them, never a part that looks like the whole.

use super::{Clip, Copied, Extent, UNDERWAY, candidate, csv};
use crate::analysis::LensMeasure;
use crate::analysis::tables::{self, Row, TargetRow, TokenText};
use crate::state::text::show_piece;
use crate::state::{LensLayout, State};
use crate::trace::{LensCell, LensKey, LensSite};

impl State {
    /// The value of a cell with its name; rows and views as in the file that `e` writes.
    pub(super) fn copy_lens(&self, extent: Extent) -> Copied {
        let c = self.cursor;
        match (extent, self.lens) {
            (Extent::Cell, _) => self.copy_lens_cell(),
            (_, LensLayout::Plot) => self.copy_plot(extent),
            (Extent::Row, _) => self.copy_cells(0..self.tokens.len(), c.layer..c.layer + 1, &[self.lens_site]),
            (Extent::View, layout) => {
                let one = [self.lens_site];
                let sites = if layout == LensLayout::Both { &LensSite::ALL[..] } else { &one };
                self.copy_cells(0..self.tokens.len(), 0..self.lens_layers(), sites)
            }
        }
    }

    fn lens_layers(&self) -> usize {
        self.meta().map_or(0, |meta| meta.dims.layers)
    }

    fn copy_lens_cell(&self) -> Copied {
        let key = LensKey { pos: self.cursor.token, layer: self.cursor.layer, site: self.lens_site };
        let cell = self.derived.lens(key).ok_or(UNDERWAY)?;
        let answer = self.token().and_then(|token| token.next.top.first());
        let of_answer = answer.map_or_else(String::new, |answer| show_piece(&answer.piece));
        let text = match (self.lens_measure, self.lens) {
            // A curve is of the answer, whatever leads at the layer.
            (LensMeasure::Top, LensLayout::Plot) => format!("{of_answer} {}", cell.final_prob),
            (LensMeasure::Top, _) => candidate(cell.top.first().ok_or(UNDERWAY)?),
            (LensMeasure::Kl, _) => format!("KL(final ‖ lens) {} nats", cell.kl),
            (LensMeasure::Entropy, _) => format!("entropy {} nats", cell.entropy),
            (LensMeasure::Rank, _) => format!("rank of {of_answer} {}", cell.final_rank),
        };
        Ok((text.clone(), text))
    }

    /// Columns of `lens.csv`, of each cell the best token; of `lens_summary.csv` where the screen shows numbers.
    fn copy_cells(
        &self,
        positions: std::ops::Range<usize>,
        layers: std::ops::Range<usize>,
        sites: &[LensSite],
    ) -> Copied {
        let cells = self.all_cells(positions, layers, sites)?.into_iter();
        if self.lens_measure != LensMeasure::Top {
            return csv(cells.map(|(key, cell)| tables::lens_summary(key, cell)), "the cells");
        }
        csv(cells.flat_map(|(key, cell)| tables::lens(key, cell, TokenText::Exact).take(1)), "the cells")
    }

    /// Every cell of these that the run has; an error unless all of them are there.
    fn all_cells(
        &self,
        positions: std::ops::Range<usize>,
        layers: std::ops::Range<usize>,
        sites: &[LensSite],
    ) -> Result<Vec<(LensKey, &LensCell)>, String> {
        let has = |layer: usize, site: LensSite| self.meta().is_some_and(|meta| meta.has_lens(layer, site));
        let places = layers.flat_map(|layer| sites.iter().map(move |site| (layer, *site)));
        let places: Vec<(usize, LensSite)> = places.filter(|(layer, site)| has(*layer, *site)).collect();
        let all = places.len() * positions.len();
        if all == 0 {
            return Err("the lens is not in this trace".to_owned());
        }
        let keys = positions.flat_map(|pos| places.iter().map(move |(layer, site)| (pos, *layer, *site)));
        let keys = keys.map(|(pos, layer, site)| LensKey { pos, layer, site });
        let cells: Vec<_> = keys.filter_map(|key| Some((key, self.derived.lens(key)?))).collect();
        if cells.len() < all {
            return Err(format!("{} of {all} cells are derived, those on the screen: e writes all", cells.len()));
        }
        Ok(cells)
    }

    /// The curves: columns of `lens.targets`, or of `lens_summary.csv` for KL and entropy.
    fn copy_plot(&self, extent: Extent) -> Copied {
        let c = self.cursor;
        let is_in = |layer: usize, site: LensSite| extent == Extent::View || (layer, site) == (c.layer, self.lens_site);
        let cells = self.all_cells(c.token..c.token + 1, 0..self.lens_layers(), &LensSite::ALL)?;
        let cells: Vec<_> = cells.into_iter().filter(|(key, _)| is_in(key.layer, key.site)).collect();
        if matches!(self.lens_measure, LensMeasure::Kl | LensMeasure::Entropy) {
            return csv(cells.into_iter().map(|(key, cell)| tables::lens_summary(key, cell)), "the curve");
        }
        let mut clip = Clip::new(TargetRow::TABLE)?;
        let answer = self.token().and_then(|token| token.next.top.first()).ok_or(UNDERWAY)?;
        clip.extend(cells.into_iter().map(|(key, cell)| TargetRow {
            token_id: answer.id,
            token: TokenText::Exact.cell(&answer.piece),
            layer: key.layer,
            site: key.site,
            rank: cell.final_rank,
            prob: cell.final_prob,
        }))?;
        for target in self.targets.iter().filter(|target| target.id != answer.id) {
            let trajectory = self.derived.trajectory(c.token, target.id).ok_or(UNDERWAY)?;
            let rows = tables::targets(trajectory, TokenText::Exact);
            clip.extend(rows.filter(|row| is_in(row.layer, row.site)))?;
        }
        clip.finish("the curves")
    }
}
