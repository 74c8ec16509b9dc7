//! Going through the layouts of a tab.

use crate::analysis::view::{Layout, View};
use crate::state::{Pane, State};
use crate::trace::Direction;

impl Pane {
    /// The layout that it shows.
    pub fn layout(&self) -> Layout {
        Layout { view: self.view(), site: (self.view() == View::LensGrid).then_some(self.lens.site) }
    }
}

impl State {
    /// Shows the next layout of the tab, or the previous one.
    pub(in crate::state) fn turn_layout(&mut self, direction: Direction) {
        let (all, shown) = (Layout::all(self.tab()), self.pane().layout());
        let at = all.iter().position(|layout| *layout == shown).unwrap_or(0);
        let by = if direction == Direction::Forward { 1 } else { all.len() - 1 };
        self.show_layout(all[(at + by) % all.len()]);
    }

    /// Shows a layout in the pane with the focus.
    pub(in crate::state) fn show_layout(&mut self, layout: Layout) {
        let pane = self.pane_mut();
        pane.show(layout.view);
        if let Some(site) = layout.site {
            pane.lens.site = site;
        }
    }
}
