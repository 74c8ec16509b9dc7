//! What can be copied of the lens: cells as the screen shows them, never a part that looks like the whole.

use super::{Copied, Extent, Table, UNDERWAY, candidate};
use crate::analysis::LensMeasure;
use crate::state::text::show_piece;
use crate::state::{LensLayout, State};
use crate::trace::{LensCell, LensKey, LensSite};

const SUMMARY: [&str; 7] = ["position", "layer", "site", "final_rank", "final_prob", "entropy", "kl"];

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
        let is_top = self.lens_measure == LensMeasure::Top;
        let cells = self.all_cells(positions, layers, sites)?;
        let top = ["position", "layer", "site", "k", "token_id", "token", "logit", "prob"];
        let mut table = Table::new(if is_top { &top[..] } else { &SUMMARY })?;
        for (key, cell) in cells {
            if !is_top {
                add_summary(&mut table, key, cell)?;
            } else if let Some(best) = cell.top.first() {
                let site = key.site.to_string();
                table.add((key.pos, key.layer, site, 1, best.id, &*best.piece, best.logit, best.prob))?;
            }
        }
        table.finish("the cells")
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
            let mut table = Table::new(&SUMMARY)?;
            cells.into_iter().try_for_each(|(key, cell)| add_summary(&mut table, key, cell))?;
            return table.finish("the curve");
        }
        let mut table = Table::new(&["token_id", "token", "layer", "site", "rank", "prob"])?;
        let answer = self.token().and_then(|token| token.next.top.first()).ok_or(UNDERWAY)?;
        for (key, cell) in cells {
            let site = key.site.to_string();
            table.add((answer.id, &*answer.piece, key.layer, site, cell.final_rank, cell.final_prob))?;
        }
        for target in self.targets.iter().filter(|target| target.id != answer.id) {
            let way = self.derived.trajectory(c.token, target.id).ok_or(UNDERWAY)?;
            for (layer, site, rank, prob) in way.points.iter().filter(|point| is_in(point.0, point.1)) {
                table.add((target.id, &*target.piece, layer, site.to_string(), rank, prob))?;
            }
        }
        table.finish("the curves")
    }
}

fn add_summary(table: &mut Table, key: LensKey, cell: &LensCell) -> Result<(), String> {
    let site = key.site.to_string();
    table.add((key.pos, key.layer, site, cell.final_rank, cell.final_prob, cell.entropy, cell.kl))
}
