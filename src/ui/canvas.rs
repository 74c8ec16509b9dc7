//! The canvas that every panel draws on.

use super::HitMap;
use super::theme::Theme;
use crate::state::text::{fit, width};
use crate::state::{Geometry, Pane, PaneGeometry, Spot, State, Wanted};
use crate::trace::{Dims, LensSite};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget};

/// A frame being drawn: the state and theme it is drawn from, its cells, and its other results.
pub struct Canvas<'a> {
    /// The state that is drawn.
    pub state: &'a State,
    /// The colours.
    pub theme: &'a Theme,
    /// The pane being drawn.
    pub pane: &'a Pane,
    /// The place of this pane.
    pub place: usize,
    /// Whether frames are highlighted, as the pane has the focus and is not the only one.
    pub focused: bool,
    /// Whether a pane is being drawn, not the details next to it.
    pub in_pane: bool,
    /// Whether panels have frames.
    pub framed: bool,
    /// The cells.
    pub cells: Buffer,
    /// The text cursor, if text is being typed.
    pub caret: Option<Position>,
    /// The meaning of the cells, for the mouse.
    pub hits: HitMap,
    /// Missing numbers.
    pub wanted: Wanted,
    /// Sizes for later keys.
    pub geometry: Geometry,
}

impl Canvas<'_> {
    /// Writes `text` at (x, y) within `area`; returns the column after it. If the right edge cuts it, it ends in `…`.
    pub fn put(&mut self, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
        if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
            return x;
        }
        let room = usize::from(area.right() - x);
        // No width is computed for most texts. A bar is no text.
        let is_bar = |text: &str| text.ends_with(|c| ('\u{2580}'..='\u{259f}').contains(&c));
        let is_cut = text.len() > room && width(text.trim_end()) > room && !is_bar(text.trim_end());
        let cut = if is_cut { fit(text, room) } else { String::new() };
        self.cells.set_stringn(x, y, if is_cut { &cut } else { text }, room, style).0
    }

    /// The sizes of the pane being drawn, mutable.
    pub fn pane_geometry(&mut self) -> &mut PaneGeometry {
        self.geometry.pane_mut(self.place)
    }

    /// Maps `area` to `spot`.
    pub fn hit(&mut self, area: Rect, spot: Spot) {
        self.hits.add(area, spot);
    }

    /// Maps `lines` lines of `area` from `y` on to `spot`.
    pub fn hit_lines(&mut self, area: Rect, y: u16, lines: u16, spot: Spot) {
        self.hit(Rect { y, height: lines, ..area }.intersection(area), spot);
    }

    /// Maps `columns` columns of `area` from `x` on to `spot`.
    pub fn hit_columns(&mut self, area: Rect, x: u16, columns: u16, spot: Spot) {
        self.hit(Rect { x, width: columns, ..area }.intersection(area), spot);
    }

    /// Writes `text` as [`Canvas::put`] does, and maps it to `spot`.
    pub fn put_spot(&mut self, area: Rect, x: u16, y: u16, text: &str, style: Style, spot: Spot) -> u16 {
        let end = self.put(area, x, y, text, style);
        self.hit(Rect { x, y, width: end.saturating_sub(x), height: 1 }, spot);
        end
    }

    /// Writes several pieces of text one after the other.
    pub fn line(&mut self, area: Rect, x: u16, y: u16, parts: &[(&str, Style)]) -> u16 {
        parts.iter().fold(x, |x, (text, style)| self.put(area, x, y, text, *style))
    }

    /// Writes `text` so that it ends at the right edge of `area`.
    pub fn put_right(&mut self, area: Rect, y: u16, text: &str, style: Style) {
        let text = fit(text, usize::from(area.width));
        let x = area.right().saturating_sub(width(&text) as u16);
        self.put(area, x.max(area.left()), y, &text, style);
    }

    /// Writes the first of `forms` that fits at (x, y), or the last one, cut.
    pub fn put_first_that_fits(&mut self, area: Rect, x: u16, y: u16, forms: &[String], style: Style) {
        let room = usize::from(area.right().saturating_sub(x));
        let fitting = forms.iter().find(|text| width(text) <= room).or(forms.last());
        if let Some(text) = fitting {
            self.put(area, x, y, &fit(text, room), style);
        }
    }

    /// Draws the frame of a panel with its title; returns the inside. Without frames the title takes the first line.
    pub fn panel(&mut self, area: Rect, title: &str) -> Rect {
        if area.is_empty() {
            return area;
        }
        if !self.framed {
            let title = fit(title, usize::from(area.width));
            self.put(
                area,
                area.x,
                area.y,
                &title,
                if self.focused { self.theme.accent() } else { self.theme.strong() },
            );
            return Rect { y: area.y + 1, height: area.height - 1, ..area };
        }
        let block = Block::bordered().border_style(if self.focused { self.theme.accent() } else { self.theme.dim() });
        let inside = block.inner(area);
        block.render(area, &mut self.cells);
        if !title.is_empty() {
            let title = fit(&format!(" {title} "), usize::from(area.width.saturating_sub(4)));
            self.put(area, area.x + 2, area.y, &title, self.theme.strong());
        }
        inside
    }

    /// Writes on the line of the title how many of `all` rows are hidden before and after `shown`.
    pub fn left_out(&mut self, area: Rect, shown: &std::ops::Range<usize>, all: usize) {
        if self.in_pane {
            self.pane_geometry().rows = u16::try_from(shown.len()).ok();
        }
        let parts = [("↑", shown.start.min(all)), ("↓", all.saturating_sub(shown.end))];
        let parts: Vec<String> =
            parts.iter().filter(|(_, count)| *count > 0).map(|(sign, count)| format!("{sign}{count}")).collect();
        if !parts.is_empty() {
            let line = Rect { width: area.width.saturating_sub(2 * u16::from(self.framed)), ..area };
            let text = format!(" {} more ", parts.join(" "));
            let x = line.right().saturating_sub(width(&text) as u16).max(line.left());
            // The end of a long title makes room.
            let is_title = |x: u16| !matches!(self.cells[(x, area.y)].symbol(), " " | "─" | "┐");
            if x > line.left() && (x..line.right()).any(is_title) {
                self.put(line, x - 1, area.y, "…", self.theme.strong());
            }
            self.put_right(line, area.y, &text, self.theme.accent());
        }
    }

    /// The inside that [`Canvas::panel`] will return.
    pub fn inside(&self, area: Rect) -> Rect {
        if area.is_empty() {
            area
        } else if self.framed {
            Block::bordered().inner(area)
        } else {
            Rect { y: area.y + 1, height: area.height - 1, ..area }
        }
    }

    /// Clears a box on top of everything and frames it.
    pub fn popup(&mut self, area: Rect, title: &str) -> Rect {
        Clear.render(area, &mut self.cells);
        self.hits.cover(area);
        let block = Block::bordered().border_style(self.theme.accent());
        let inside = block.inner(area);
        block.render(area, &mut self.cells);
        let title = fit(&format!(" {title} "), usize::from(area.width.saturating_sub(4)));
        self.put(area, area.x + 2, area.y, &title, self.theme.strong());
        inside
    }

    /// The dimensions of the open model.
    pub fn dims(&self) -> Option<Dims> {
        self.state.meta().map(|meta| meta.dims)
    }

    /// Whether the run is from a file, without a model.
    pub fn is_saved(&self) -> bool {
        self.state.meta().is_some_and(|meta| meta.recording.is_some())
    }

    /// Whether the run has the attention of a layer.
    pub fn has_attention(&self, layer: usize) -> bool {
        self.state.meta().is_none_or(|meta| meta.has_attention(layer))
    }

    /// Whether the run has the lens of a layer.
    pub fn has_lens(&self, layer: usize, site: LensSite) -> bool {
        self.state.meta().is_none_or(|meta| meta.has_lens(layer, site))
    }

    /// Whether the choice of experts for a token in a layer is a near-tie.
    pub fn is_near_tie(&self, pos: usize, layer: usize) -> bool {
        self.state.usage.layer(layer).is_some_and(|stats| stats.near_ties.binary_search(&pos).is_ok())
    }

    /// A token of the run as it is drawn.
    pub fn shown(&self, pos: usize) -> &str {
        self.state.shown.get(pos).map_or("", |(text, _)| text)
    }

    /// Writes a centred sentence where there is nothing to draw.
    pub fn nothing(&mut self, area: Rect, text: &str) {
        let text = fit(text, usize::from(area.width));
        let x = area.x + (area.width.saturating_sub(width(&text) as u16)) / 2;
        self.put(area, x, area.y + area.height / 2, &text, self.theme.dim());
    }
}

/// Stands for numbers that a saved run does not hold.
pub const ABSENT: &str = "not in this trace";
/// What a view of routing shows in a layer without a router.
const NO_ROUTER: &str = "no router: one MLP for every token";

impl Canvas<'_> {
    /// Why a layer has no routing.
    pub fn no_routing(&self, layer: usize) -> &'static str {
        if self.dims().is_some_and(|d| !d.has_router(layer)) { NO_ROUTER } else { ABSENT }
    }
}
