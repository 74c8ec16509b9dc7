//! Sizes of a frame that later keys depend on.

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
    /// Visible rows of a view whose rows are windowed.
    pub rows: Option<u16>,
}

impl Geometry {
    /// The sizes of the pane at `place`, mutable.
    pub fn pane_mut(&mut self, place: usize) -> &mut PaneGeometry {
        if self.panes.len() <= place {
            self.panes.resize(place + 1, PaneGeometry::default());
        }
        &mut self.panes[place]
    }

    /// Visible rows of the pane at `place`.
    pub(super) fn rows(&self, place: usize) -> u16 {
        self.panes.get(place).and_then(|pane| pane.rows).unwrap_or(1)
    }

    /// Heads in a line of the sorted grid in the pane at `place`.
    pub(super) fn heads_across(&self, place: usize) -> u16 {
        self.panes.get(place).and_then(|pane| pane.heads_across).unwrap_or(1)
    }
}
