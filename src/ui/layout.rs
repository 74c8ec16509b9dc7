//! Which part of the screen is whose.

use crate::state::{State, View};
use ratatui::layout::Rect;

/// The smallest screen that shows anything.
const SMALLEST: (u16, u16) = (40, 10);
/// From here on panels have frames and the candidates have a line of their own.
const FRAMED: (u16, u16) = (100, 28);

/// From this width on details stand beside the view.
const BESIDE: u16 = 120;
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
    let next = (framed && state.view != View::Next).then(|| {
        rest.height -= 3;
        Rect { y: rest.bottom(), height: 3, ..rest }
    });
    let (view, details) = divide(rest, framed, state);
    Some(Rooms { framed, header, below_header, strip, tabs, view, details, next, footer })
}

/// Details stand beside the view on a wide screen; on a narrow one they are folded, or lie below it when asked for.
fn divide(rest: Rect, framed: bool, state: &State) -> (Rect, Option<Rect>) {
    let is_next = state.view == View::Next;
    let has_details = state.view != View::Fidelity;
    let beside = if is_next { rest.width >= BESIDE_NEXT.0 } else { framed && rest.width >= BESIDE };
    if !has_details || beside == state.details_flipped {
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
    let height = (rest.height / 2).min(10);
    let view = Rect { height: rest.height - height, ..rest };
    (view, Some(Rect { y: view.bottom(), height, ..rest }))
}
