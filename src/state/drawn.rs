//! The results of a frame besides its cells: missing numbers are requested, and sizes are kept for later keys.

use super::overlays::Overlay;
use super::run::Wanted;
use super::text::Lines;
use super::{Effect, State};
use crate::protocol::Ask;

/// Sizes of a frame that later keys depend on; `None` for parts that the frame did not draw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Width of the lines of the text, cells.
    pub text_width: Option<usize>,
    /// Whether the text has no title that says what its colours mean.
    pub strip_is_untitled: bool,
    /// Lines of the page on top that do not fit the screen.
    pub page_overflow: Option<usize>,
    /// Sizes of each pane, in the order of the panes.
    pub panes: Vec<PaneGeometry>,
}

/// Sizes of a pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaneGeometry {
    /// Lines of a scrolled view that do not fit the pane.
    pub overflow: Option<usize>,
    /// Heads in a line of the sorted grid.
    pub heads_across: Option<u16>,
}

impl Geometry {
    /// The sizes of the pane at `place`, mutable.
    pub fn pane_mut(&mut self, place: usize) -> &mut PaneGeometry {
        if self.panes.len() <= place {
            self.panes.resize(place + 1, PaneGeometry::default());
        }
        &mut self.panes[place]
    }

    /// Heads in a line of the sorted grid in the pane at `place`.
    pub(super) fn heads_across(&self, place: usize) -> u16 {
        self.panes.get(place).and_then(|pane| pane.heads_across).unwrap_or(1)
    }
}

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
