//! The division of the screen into parts.

use super::views::{contributions, panel};
use crate::analysis::view::View;
use crate::state::{Pane, State};
use ratatui::layout::Rect;

/// The smallest screen that shows anything.
const SMALLEST: (u16, u16) = (40, 10);
/// From this size on panels have frames, and the candidates have their own line.
const FRAMED: (u16, u16) = (100, 28);

/// From this width on a view of unknown width has its details next to it.
const SHARED_WIDTH: u16 = 120;
/// Least and greatest width of the details next to such a view, and next to a view of known width.
const DETAILS: (u16, u16) = (36, 60);
const NARROW_DETAILS: (u16, u16) = (24, 60);
/// Below these heights contributions or other details take the place of the view.
const CONTRIBUTIONS_HEIGHT: u16 = 14;
const DETAILS_HEIGHT: u16 = 10;
/// Least and greatest height of details below a view that needs the whole height.
const DETAILS_LINES: (u16, u16) = (4, 10);
/// Least height of details below a view among several.
const DETAILS_IN_PANE: u16 = 10;

/// Columns that may lie above one another on a narrow screen; of more, the one with the focus is shown.
const MOST_STACKED: usize = 2;
/// Least width of panes next to each other, and least height of panes above each other.
const PANE: (u16, u16) = (40, 7);

/// The parts of the screen.
pub struct Rooms {
    pub framed: bool,
    pub header: Rect,
    pub below_header: Rect,
    pub strip: Rect,
    pub tabs: Rect,
    /// The part of each pane, in the order of their places; `None` if it has no room.
    pub panes: Vec<Option<Rect>>,
    pub details: Option<Rect>,
    pub next: Option<Rect>,
    pub footer: Rect,
}

/// Divides the screen; `None` if it is too small. `has_numbers` says whether a line of numbers follows each line of text.
pub fn rooms(area: Rect, state: &State, has_numbers: bool) -> Option<Rooms> {
    let (w, h) = (area.width, area.height);
    if w < SMALLEST.0 || h < SMALLEST.1 {
        return None;
    }
    let framed = w >= FRAMED.0 && h >= FRAMED.1;
    let mut top = area.y;
    let mut take = |height: u16| {
        let rect = Rect { x: area.x, y: top, width: w, height };
        top += height;
        rect
    };
    let header = take(1);
    let strip = take(strip_height((w, h), (framed, has_numbers), state));
    let tabs = take(1);
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    let mut rest = Rect { y: top, height: area.bottom() - 1 - top, ..area };
    let below_header = Rect { y: area.y + 1, height: h - 2, ..area };
    let has_next = state.panes.all().iter().any(|pane| pane.view() == View::Next);
    let next = (framed && !has_next && !state.panes.zoomed).then(|| {
        rest.height -= 3;
        Rect { y: rest.bottom(), height: 3, ..rest }
    });
    let (focus, count) = (state.panes.focus(), state.panes.all().len());
    let only = |room: Rect| (0..count).map(|place| (place == focus).then_some(room)).collect();
    // Without frames a blank column keeps the texts of two panes apart.
    let gap = u16::from(!framed);
    let arrangement = state.panes.arrangement();
    let (panes, details) = match places(rest, (arrangement.columns(), arrangement.shares()), gap) {
        _ if state.panes.zoomed => (only(rest), None),
        _ if count == 1 => {
            let (view, details) = divide(rest, framed, state);
            (only(view), details)
        }
        Some(places) => (places.into_iter().map(Some).collect(), None),
        None => {
            let (view, details) = divide(rest, framed, state);
            (only(view), details)
        }
    };
    Some(Rooms { framed, header, below_header, strip, tabs, panes, details, next, footer })
}

/// The height of the text: the lines it needs, up to a share of the screen.
fn strip_height((width, height): (u16, u16), (framed, has_numbers): (bool, bool), state: &State) -> u16 {
    let edge = if framed { 2 } else { 0 };
    let (least, most) = if framed { (1, (height / 6).clamp(3, 12)) } else { (1, (height / 8).max(2)) };
    let needed = match state.lines.room() == usize::from(width - edge) {
        true => state.lines.count(),
        // The first frame at a new width does not know the lines yet.
        false => {
            state.shown.iter().map(|(_, cells)| usize::from(*cells)).sum::<usize>() / usize::from(width).max(1) + 1
        }
    };
    let needed = if has_numbers { 2 * needed } else { needed };
    u16::try_from(needed).unwrap_or(most).clamp(least, most) + edge
}

/// The parts of panes in columns of so many panes each, whose widths have these shares, with `gap` cells between two columns. If they would be too narrow, all panes are above each other;
/// `None` if there is no room for that either.
fn places(rest: Rect, (columns, shares): (&[usize], &[u16]), gap: u16) -> Option<Vec<Rect>> {
    let count: usize = columns.iter().sum();
    let most = columns.iter().copied().max().unwrap_or(1);
    let fits = |down: usize| down == 1 || usize::from(rest.height) >= down * usize::from(PANE.1);
    if usize::from(rest.width) >= columns.len() * usize::from(PANE.0) && fits(most) {
        let column = |(i, count): (usize, &usize)| {
            let at = |i: usize| shares[..i].iter().map(|share| usize::from(*share)).sum::<usize>();
            let start = at(i) * usize::from(rest.width) / at(shares.len()).max(1);
            let end = at(i + 1) * usize::from(rest.width) / at(shares.len()).max(1);
            let whole = Rect { x: rest.x + start as u16, width: (end - start) as u16, ..rest };
            let gap = if i + 1 < columns.len() { gap } else { 0 };
            rows(Rect { width: whole.width - gap, ..whole }, *count)
        };
        Some(columns.iter().enumerate().flat_map(column).collect())
    } else if fits(count) && columns.len() <= MOST_STACKED {
        Some(rows(rest, count).collect())
    } else {
        None
    }
}

fn rows(column: Rect, count: usize) -> impl Iterator<Item = Rect> {
    (0..count).map(move |i| {
        let at = |i: usize| (usize::from(column.height) * i / count) as u16;
        Rect { y: column.y + at(i), height: at(i + 1) - at(i), ..column }
    })
}

/// The parts of a pane among several: the view, and its details in the lines that it does not use, if these are enough.
pub fn divide_pane(room: Rect, framed: bool, state: &State, pane: &Pane) -> (Rect, Option<Rect>) {
    let panel = panel(pane.view());
    let edge = if framed { 2 } else { 1 };
    let needed = (panel.lines)(state, pane, room.width).and_then(|lines| u16::try_from(lines + edge).ok());
    match needed.map(|needed| room.height.saturating_sub(needed)) {
        Some(spare) if spare >= DETAILS_IN_PANE && panel.details.is_some() => {
            let view = Rect { height: room.height - spare, ..room };
            (view, Some(Rect { y: view.bottom(), height: spare, ..room }))
        }
        _ => (room, None),
    }
}

/// The parts of a view and its details. They are next to it on a wide screen; on a narrow one they are hidden, or below
/// it if the user shows them.
fn divide(rest: Rect, framed: bool, state: &State) -> (Rect, Option<Rect>) {
    let (panel, shows_contributions) = (panel(state.view()), state.shows_contributions());
    let width = panel.width.filter(|_| !shows_contributions);
    let is_wide = match width {
        Some(width) => rest.width >= width + NARROW_DETAILS.0,
        None => framed && rest.width >= SHARED_WIDTH,
    };
    if !shows_contributions && (panel.details.is_none() || is_wide == state.flips_details()) {
        return (rest, None);
    }
    if is_wide {
        let width = match width {
            Some(width) => (rest.width - width).clamp(NARROW_DETAILS.0, NARROW_DETAILS.1),
            None => (rest.width / 3).clamp(DETAILS.0, DETAILS.1),
        };
        let view = Rect { width: rest.width - width, ..rest };
        return (view, Some(Rect { x: view.right(), width, ..rest }));
    }
    if rest.height < if shows_contributions { CONTRIBUTIONS_HEIGHT } else { DETAILS_HEIGHT } {
        return (Rect { height: 0, ..rest }, Some(rest));
    }
    let edge = if framed { 2 } else { 1 };
    let whole = |lines: usize| u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(edge);
    let needed = (panel.lines)(state, state.pane(), rest.width).map(whole);
    let spare = needed.map_or(0, |needed| rest.height.saturating_sub(needed));
    let height = if shows_contributions {
        let whole = contributions::lines(state).map_or(rest.height, whole);
        spare.max(rest.height / 2).min(whole)
    } else if spare >= DETAILS_LINES.0 {
        // The lines that the view does not use.
        spare
    } else {
        // A third of a view that uses all lines.
        (rest.height / 3).clamp(DETAILS_LINES.0, DETAILS_LINES.1)
    };
    let view = Rect { height: rest.height - height, ..rest };
    (view, Some(Rect { y: view.bottom(), height, ..rest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_share_the_screen_and_narrow_ones_lie_above_one_another() {
        let rest = Rect::new(0, 5, 81, 20);
        assert_eq!(places(rest, (&[1], &[1]), 1), Some(vec![rest]));
        assert_eq!(places(rest, (&[1, 1], &[1, 1]), 0), Some(vec![Rect::new(0, 5, 40, 20), Rect::new(40, 5, 41, 20)]));
        assert_eq!(
            places(rest, (&[1, 1], &[1, 1]), 1),
            Some(vec![Rect::new(0, 5, 39, 20), Rect::new(40, 5, 41, 20)]),
            "a gap"
        );
        let three = [Rect::new(0, 5, 40, 20), Rect::new(40, 5, 41, 10), Rect::new(40, 15, 41, 10)];
        assert_eq!(places(rest, (&[1, 2], &[1, 1]), 0), Some(three.into()));
        let narrow = Rect::new(0, 0, 79, 15);
        assert_eq!(places(narrow, (&[1, 1], &[1, 1]), 0), Some(vec![Rect::new(0, 0, 79, 7), Rect::new(0, 7, 79, 8)]));
        assert_eq!(places(narrow, (&[1, 2], &[1, 1]), 0), None);
    }
}
