//! The meaning of the cells of the screen, for the mouse.

use crate::state::Spot;
use ratatui::layout::{Position, Rect};

/// The spots of a frame. Areas may overlap: a matrix has one for each row and one for each column, and a cell combines
/// both.
#[derive(Clone, Debug, Default)]
pub struct HitMap {
    hits: Vec<(Rect, Spot)>,
    /// The area of an overlay, and the number of earlier spots: cells outside it have no spot, cells inside it only
    /// later ones.
    cover: Option<(Rect, usize)>,
}

impl HitMap {
    /// Maps `area` to `spot`.
    pub(super) fn add(&mut self, area: Rect, spot: Spot) {
        if !area.is_empty() {
            self.hits.push((area, spot));
        }
    }

    /// Hides all spots, as an overlay was drawn at `area`.
    pub(super) fn cover(&mut self, area: Rect) {
        self.cover = Some((area, self.hits.len()));
    }

    /// The spot of the cell (x, y).
    pub fn at(&self, x: u16, y: u16) -> Option<Spot> {
        let position = Position::new(x, y);
        let first = match self.cover {
            Some((area, _)) if !area.contains(position) => return None,
            Some((_, first)) => first,
            None => 0,
        };
        let here = self.hits[first..].iter().filter(|(area, _)| area.contains(position));
        let found = here.map(|(_, spot)| *spot).reduce(Spot::under);
        // A click on the frame of a list is not a click outside it.
        found.or(self.cover.map(|_| Spot::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_meet_and_a_popup_hides_them() {
        let mut hits = HitMap::default();
        hits.add(Rect::new(0, 5, 20, 1), Spot { layer: Some(3), ..Spot::default() });
        hits.add(Rect::new(4, 0, 2, 9), Spot { token: Some(7), ..Spot::default() });
        hits.add(Rect::new(0, 0, 0, 9), Spot { token: Some(1), ..Spot::default() });
        let cell = hits.at(5, 5).unwrap();
        assert_eq!((cell.layer, cell.token), (Some(3), Some(7)));
        assert_eq!(hits.at(0, 0), None);
        hits.cover(Rect::new(2, 2, 10, 5));
        hits.add(Rect::new(3, 3, 5, 1), Spot { row: Some(0), ..Spot::default() });
        assert_eq!(hits.at(5, 5), Some(Spot::default()));
        assert_eq!(hits.at(3, 3).unwrap().row, Some(0));
        assert_eq!(hits.at(0, 5), None);
    }
}
