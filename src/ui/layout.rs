//! Which part of the screen is whose.

use super::needs;
use crate::state::{State, Tab};
use ratatui::layout::Rect;

/// The smallest screen that shows anything.
const SMALLEST: (u16, u16) = (40, 10);
/// From here on panels have frames and the candidates have a line of their own.
const FRAMED: (u16, u16) = (100, 28);

/// From this width on details stand beside the view.
const BESIDE: u16 = 120;
/// Below this height contributions take the place of the view, and below the other one other details do.
const SHARED: u16 = 14;
const SHARED_DETAILS: u16 = 10;
/// Lines of details below a view that needs all the room.
const LEAST_DETAILS: u16 = 4;
const MOST_DETAILS: u16 = 10;

/// From these sizes on two panes fit beside or above one another.
const BOTH: (u16, u16) = (80, 14);
/// The same for the Next view, and the width its table needs.
const BESIDE_NEXT: (u16, u16) = (100, 76);

/// The parts.
pub struct Rooms {
    pub framed: bool,
    pub header: Rect,
    pub below_header: Rect,
    pub strip: Rect,
    pub tabs: Rect,
    pub view: Rect,
    /// Where the other pane is drawn.
    pub other: Option<Rect>,
    pub details: Option<Rect>,
    pub next: Option<Rect>,
    pub footer: Rect,
}

/// Divides the screen; `None` if it is too small.
pub fn rooms(area: Rect, state: &State) -> Option<Rooms> {
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
    let strip = take(if framed { (h / 9).clamp(3, 8) + 2 } else { (h / 8).max(2) });
    let tabs = take(1);
    let footer = Rect { y: area.bottom() - 1, height: 1, ..area };
    let mut rest = Rect { y: top, height: area.bottom() - 1 - top, ..area };
    let below_header = Rect { y: area.y + 1, height: h - 2, ..area };
    let has_next = state.view == Tab::Next || state.other.is_some_and(|other| other.pane.view == Tab::Next);
    let next = (framed && !has_next && !state.zoomed).then(|| {
        rest.height -= 3;
        Rect { y: rest.bottom(), height: 3, ..rest }
    });
    let (view, other, details) = match state.other {
        _ if state.zoomed => (rest, None, None),
        Some(other) => {
            let (focused, other) = halves(rest, other.is_left);
            (focused, other, None)
        }
        None => {
            let (view, details) = divide(rest, framed, state);
            (view, None, details)
        }
    };
    Some(Rooms { framed, header, below_header, strip, tabs, view, other, details, next, footer })
}

/// Two panes: side by side if there is room for both, else one above the other, else only the one with the focus.
fn halves(rest: Rect, other_is_first: bool) -> (Rect, Option<Rect>) {
    let (first, second) = if rest.width >= BOTH.0 {
        let width = rest.width / 2;
        (Rect { width, ..rest }, Rect { x: rest.x + width, width: rest.width - width, ..rest })
    } else if rest.height >= BOTH.1 {
        let height = rest.height / 2;
        (Rect { height, ..rest }, Rect { y: rest.y + height, height: rest.height - height, ..rest })
    } else {
        return (rest, None);
    };
    if other_is_first { (second, Some(first)) } else { (first, Some(second)) }
}

/// Details stand beside the view on a wide screen; on a narrow one they are folded, or lie below it when asked for.
fn divide(rest: Rect, framed: bool, state: &State) -> (Rect, Option<Rect>) {
    let contributions = state.shows_contributions();
    let is_next = state.view == Tab::Next && !contributions;
    let has_details = state.view != Tab::Fidelity || state.compares();
    let beside = if is_next { rest.width >= BESIDE_NEXT.0 } else { framed && rest.width >= BESIDE };
    if !contributions && (!has_details || beside == state.flips_details()) {
        return (rest, None);
    }
    if beside {
        let width = if is_next {
            rest.width.saturating_sub(BESIDE_NEXT.1).clamp(24, 60)
        } else {
            (rest.width / 3).clamp(36, 60)
        };
        let view = Rect { width: rest.width - width, ..rest };
        return (view, Some(Rect { x: view.right(), width, ..rest }));
    }
    if rest.height < if contributions { SHARED } else { SHARED_DETAILS } {
        return (Rect { height: 0, ..rest }, Some(rest));
    }
    let needed = needs::view(state, framed, rest.width);
    let spare = needed.map_or(0, |needed| rest.height.saturating_sub(needed));
    let height = if contributions {
        let whole = needs::contributions(state, framed).unwrap_or(rest.height);
        spare.max(rest.height / 2).min(whole)
    } else {
        // What the view has no use for; of a view that needs all or takes all a third.
        if spare >= LEAST_DETAILS { spare } else { (rest.height / 3).clamp(LEAST_DETAILS, MOST_DETAILS) }
    };
    let view = Rect { height: rest.height - height, ..rest };
    (view, Some(Rect { y: view.bottom(), height, ..rest }))
}
