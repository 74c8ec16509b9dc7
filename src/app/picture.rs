//! The explorer's screen as cells that can be drawn.

use crate::export::{Cell, Screen, recipe};
use crate::state::State;
use crate::ui::{Theme, draw};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// The cells of a screen drawn in 24-bit colour.
pub fn cells(buffer: &Buffer) -> Screen {
    let colour = |color| match color {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        _ => None,
    };
    let cell = |cell: &ratatui::buffer::Cell| Cell {
        symbol: cell.symbol().to_owned(),
        fg: colour(cell.fg),
        bg: colour(cell.bg),
        bold: cell.modifier.contains(Modifier::BOLD),
        dim: cell.modifier.contains(Modifier::DIM),
        underline: cell.modifier.contains(Modifier::UNDERLINED),
        reversed: cell.modifier.contains(Modifier::REVERSED),
    };
    let area = buffer.area;
    let all = (0..area.height).flat_map(|y| (0..area.width).map(move |x| (x, y)));
    let cells = all.map(|at| cell(&buffer[at])).collect();
    Screen { width: usize::from(area.width), cells, recipe: Vec::new() }
}

/// The screen as it was before the key that writes it: without the progress of the writing.
pub fn photograph(state: &mut State, theme: &Theme, area: Rect) -> Screen {
    let saving = state.saving.take();
    let drawn = draw(state, theme, area);
    state.saving = saving;
    let mut screen = cells(&drawn.cells);
    if let Some(meta) = state.meta() {
        screen.recipe = recipe(meta, state.tokens.iter().map(|token| &**token));
    }
    screen
}
