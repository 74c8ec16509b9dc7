//! A grid in the room that there is: bands of a long text, and cells as large as fit on paper.

use super::{Axis, Cells, Grid, LABEL, Turn};
use crate::export::figure::Setting;

/// Width from which a row of tokens continues in another band below, points.
const BAND: f64 = 1200.0;
/// The largest square cell on paper, points.
const SQUARE: f64 = 36.0;
/// How much wider than on a screen cells may be on paper, to fill the width.
const WIDER: f64 = 1.6;
/// The narrowest and lowest cell on paper, points.
const LEAST: f64 = 1.0;
/// Room between bands, points.
const BETWEEN: f64 = 10.0;
/// The narrowest cell whose label stands on two lines below it, points.
const STACKED: f64 = 30.0;
/// Sizes of text in cells, points, the best first.
const SIZES: [f64; 3] = [LABEL, 10.0, 9.0];
/// Room between a text in a cell and its edges.
pub(super) const EDGE: f64 = 2.0;

impl Grid {
    /// As large as the cells need; a long text in bands, which have the shape of a page instead of a ribbon.
    pub fn on_screen(&self) -> Vec<Self> {
        if !self.wraps {
            return vec![self.clone()];
        }
        let (cols, height) = (self.size.1 as f64, self.plot().1);
        self.clone().bands((cols * self.cell.0 * (height + 80.0) * 1.5).sqrt().max(BAND))
    }

    /// Made to fit a width, and if possible a height.
    pub fn on_paper(&self, setting: Setting, (width, height): (f64, f64)) -> Vec<Self> {
        let room = (width - self.inset(setting).0 - self.beside(setting)).max(LABEL);
        let (rows, cols) = (self.size.0 as f64, self.size.1 as f64);
        let around = self.inset(setting).1 + self.below(setting);
        let fill = room / cols;
        let mut grid = self.clone();
        if self.square {
            let side = fill.min(SQUARE).min(((height - around) / rows).max(LEAST));
            grid.cell = (side, side);
            return vec![grid];
        }
        if !self.wraps || fill >= self.cell.0 {
            let wide = fill.min(self.cell.0 * WIDER);
            // Narrow cells without text are lower as well.
            let high = if wide < self.cell.0 * 0.5 { self.cell.1.min((wide * WIDER).max(6.0)) } else { self.cell.1 };
            grid.cell = (wide, high.min(((height - around) / rows).max(LEAST)));
            if wide < STACKED && grid.cols.turn == Turn::Stacked {
                grid.cols.turn = Turn::Upward;
            }
            return vec![grid];
        }
        let least = self.least(setting);
        let is_text = least > LEAST;
        let mut found = (self.cell, cols);
        for step in 0..60 {
            let (w, h) = (self.cell.0 * 0.94f64.powi(step), self.cell.1 * 0.97f64.powi(step));
            // Cells keep their text as long as they fit on the page with it.
            let (w, h) = if is_text && step < 12 { (w.max(least), h.max(self.high())) } else { (w, h) };
            let (w, h) = (w.max(LEAST), h.max(LEAST * 2.0));
            let bands = (cols / (room / w).floor().max(1.0)).ceil();
            let each = (cols / bands).ceil();
            found = ((w, h), each);
            let around = grid.upright_below(w, setting) + around;
            if bands * (around + rows * h + BETWEEN) <= height {
                break;
            }
        }
        let ((w, h), each) = found;
        if w < STACKED && grid.cols.turn == Turn::Stacked {
            grid.cols.turn = Turn::Upward;
        }
        // A wider cell lets the bands end where the page ends.
        let w = (room / each).min(w * 1.3);
        grid.cell = (w, h);
        grid.bands(each * w + 1e-6)
    }

    /// How much higher labels are that are read upward because the cells are too narrow for two lines.
    fn upright_below(&self, cell: f64, setting: Setting) -> f64 {
        if cell >= STACKED || self.cols.turn != Turn::Stacked {
            return 0.0;
        }
        let upward = Axis { turn: Turn::Upward, ..self.cols.clone() };
        upward.height(setting) - self.cols.height(setting)
    }

    /// The lowest cell that holds its text.
    fn high(&self) -> f64 {
        let lines = if self.under.is_empty() { 1.0 } else { 2.0 };
        lines * SIZES[SIZES.len() - 1] + 2.0
    }

    /// Whether the grid can be next to others in this width.
    pub fn is_comfortable(&self, setting: Setting, width: f64) -> bool {
        let room = width - self.inset(setting).0 - self.beside(setting);
        let has_caption = self.inset(setting).0 + setting.label(&self.caption) <= width;
        has_caption && room / self.size.1 as f64 >= self.cell.0 * 0.6
    }

    /// The narrowest cell, which still holds a text that may be cut.
    fn least(&self, setting: Setting) -> f64 {
        let has_text = matches!(&self.cells, Cells::Heat { texts, .. } if !texts.is_empty());
        if has_text && self.cuts { setting.label("token") } else { LEAST }
    }

    /// The height of the text in cells; `None` if it does not fit.
    pub(super) fn text_size(&self, setting: Setting, texts: &[String]) -> Option<f64> {
        let sizes = if setting.paper { &SIZES[..] } else { &SIZES[..1] };
        let widest = if self.cuts {
            // Two letters and the mark of the cut.
            setting.face.width("mm…")
        } else {
            texts.iter().chain(&self.under).map(|text| setting.face.width(text)).fold(0.0, f64::max)
        };
        let lines = if self.under.is_empty() { 1.0 } else { 2.0 };
        let fits = |em: &&f64| widest * **em <= self.cell.0 - EDGE && lines * **em + 2.0 <= self.cell.1;
        sizes.iter().find(fits).copied()
    }

    /// The grid cut into bands of at most `max` points each, one below the other.
    fn bands(self, max: f64) -> Vec<Self> {
        let (cols, across) = (self.size.1, ((max / self.cell.0) as usize).max(1));
        if cols <= across {
            return vec![self];
        }
        let count = cols.div_ceil(across);
        let across = cols.div_ceil(count);
        let mut bands: Vec<Self> = (0..count).map(|i| self.columns(i * across..((i + 1) * across).min(cols))).collect();
        let last = bands.len() - 1;
        bands[..last].iter_mut().for_each(|band| band.cols.name.clear());
        bands[1..].iter_mut().for_each(|band| band.caption.clear());
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::figure::font::Face;

    #[test]
    fn bands_keep_every_column_with_its_frames() {
        let values: Vec<f32> = (0..20).map(|i| i as f32).collect();
        let cells = Cells::Heat { values, range: (0.0, 20.0), texts: Vec::new() };
        let mut grid = Grid::new((2, 10), (10.0, 10.0), cells);
        grid.cols =
            Axis { name: "token".into(), labels: (0..10).map(|i| format!("t{i}")).collect(), turn: Turn::Upward };
        grid.framed = vec![(1, 0), (0, 5), (1, 9)];
        let bands = grid.bands(40.0);
        assert_eq!(bands.iter().map(|band| band.size).collect::<Vec<_>>(), [(2, 4), (2, 4), (2, 2)]);
        let Cells::Heat { values, .. } = &bands[1].cells else { panic!("not a heat map") };
        assert_eq!(values, &[4.0, 5.0, 6.0, 7.0, 14.0, 15.0, 16.0, 17.0]);
        assert_eq!(bands[1].cols.labels, ["t4", "t5", "t6", "t7"]);
        assert_eq!(
            (&bands[0].framed, &bands[1].framed, &bands[2].framed),
            (&vec![(1, 0)], &vec![(0, 1)], &vec![(1, 1)])
        );
        assert_eq!(bands.iter().map(|band| band.cols.name.as_str()).collect::<Vec<_>>(), ["", "", "token"]);
    }

    #[test]
    fn on_paper_a_grid_fits_its_width_and_a_text_continues_below() {
        let setting = Setting { face: Face::Sans, paper: true };
        for (cols, wraps) in [(3, true), (40, true), (900, true), (4000, true), (8, false), (64, false), (256, false)] {
            let mut grid = Grid::new((6, cols), (15.0, 23.0), Cells::Stack(vec![vec![0, 1]; 6 * cols]));
            grid.rows = Axis::numbers("layer", 0..6);
            grid.cols = Axis::numbers("token", 0..cols);
            grid.wraps = wraps;
            let bands = grid.on_paper(setting, (380.0, 960.0));
            assert_eq!(bands.iter().map(|band| band.size.1).sum::<usize>(), cols);
            assert!(bands.iter().all(|band| band.extent(setting).0 <= 380.0), "{cols} columns");
            assert!(wraps || bands.len() == 1);
            let height: f64 = bands.iter().map(|band| band.extent(setting).1).sum();
            assert!(height <= 960.0, "{cols} columns are {height} high in {} bands", bands.len());
        }
    }
}
