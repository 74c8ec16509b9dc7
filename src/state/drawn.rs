//! The results of a frame apart from its cells: missing numbers are requested, and sizes are kept for later keys.

use super::geometry::Geometry;
use super::overlays::Overlay;
use super::run::Wanted;
use super::text::Lines;
use super::{Effect, State};
use crate::protocol::Ask;

impl State {
    /// Keeps the sizes of a frame, and requests its missing numbers.
    pub(super) fn on_drawn(&mut self, wanted: Wanted, geometry: Geometry) -> Vec<Effect> {
        if let (Some(overflow), Some(Overlay::Page(page))) = (geometry.page_overflow, self.overlays.last_mut()) {
            self.geometry.page_overflow = Some(overflow);
            page.end_at(overflow);
        }
        if let Some(width) = geometry.text_width.filter(|width| *width != self.lines.room()) {
            self.lines = Lines::of(&self.shown, width);
        }
        self.geometry.strip_is_untitled = geometry.strip_is_untitled;
        for (place, drawn) in geometry.panes.into_iter().enumerate() {
            if let (Some(overflow), Some(pane)) = (drawn.overflow, self.panes.get_mut(place)) {
                pane.scroll = pane.scroll.min(overflow);
            }
            if drawn.heads_across.is_some() {
                self.geometry.pane_mut(place).heads_across = drawn.heads_across;
            }
            self.geometry.pane_mut(place).rows = drawn.rows;
        }
        let mut effects = Vec::new();
        for ask in self.derived.requests(wanted) {
            let id = self.new_id();
            self.derived.note(id, ask.clone());
            effects.push(Effect::Ask(id, Ask::Derive(ask)));
        }
        effects
    }
}
