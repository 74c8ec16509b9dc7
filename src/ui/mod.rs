//! Drawing, and everything that knows a terminal.
//!
//! ```text
//! header    mixscope · model · dtype · policy                 tokens · rate · sampling · doing
//! strip     the text, one colour a token, the cursor in it
//! tabs      1 Routing … 5 Fidelity                            token, layer, head, expert
//! panes     the chosen view                                   | details, or another view
//! next      the best candidates after the cursor
//! footer    message, or the most useful keys
//! ```

mod canvas;
mod chrome;
mod corpus;
mod hits;
pub mod input;
mod layout;
mod overlays;
pub mod terminal;
mod theme;
mod unsure;
mod views;
mod widgets;

pub use corpus::draw_corpus;
pub use hits::HitMap;
pub use theme::{Colours, Depth, Theme, ThemeName};

use crate::state::input::Action;
use crate::state::text::width;
use crate::state::{Geometry, Phase, Spot, State, Wanted};
use canvas::Canvas;
use layout::Rooms;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use views::{contributions, panel};

/// A frame: its cells, and everything else that drawing it results in.
#[derive(Debug)]
pub struct Drawn {
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

/// Draws the whole screen. Pure: the same state, theme and area give the same frame.
pub fn draw(state: &State, theme: &Theme, area: Rect) -> Drawn {
    let mut c = Canvas {
        state,
        theme,
        pane: state.pane(),
        place: state.panes.focus(),
        focused: false,
        in_pane: false,
        framed: false,
        cells: Buffer::empty(area),
        caret: None,
        hits: HitMap::default(),
        wanted: Wanted::default(),
        geometry: Geometry::default(),
    };
    match layout::rooms(area, state, chrome::text_strip::has_numbers(state, theme)) {
        Some(rooms) => draw_rooms(&mut c, area, &rooms),
        None => draw_nothing(&mut c, area),
    }
    let Canvas { cells, caret, hits, wanted, geometry, .. } = c;
    Drawn { cells, caret, hits, wanted, geometry }
}

/// Writes the needed size on a screen that is too small.
fn draw_nothing(c: &mut Canvas, area: Rect) {
    let whole = format!("mixscope needs 40×10, this is {}×{}", area.width, area.height);
    let forms = [whole.as_str(), "needs 40×10", "40×10"];
    let fitting = forms.into_iter().find(|text| width(text) <= usize::from(area.width)).unwrap_or("…");
    c.put(area, area.x, area.y, fitting, c.theme.warn());
    if fitting != whole {
        c.put(area, area.x, area.y + 1, &format!("this is {}×{}", area.width, area.height), c.theme.warn());
    }
}

fn draw_rooms(c: &mut Canvas, area: Rect, rooms: &Rooms) {
    let state = c.state;
    c.framed = rooms.framed;
    chrome::header::draw(c, rooms.header);
    match &state.phase {
        Phase::Loading => match &state.opening {
            Some(opening) => {
                let below = rooms.below_header;
                let inside = Rect { x: below.x + 1, y: below.y + 1, width: below.width - 2, height: below.height - 2 };
                chrome::opening::draw(c, inside, opening);
            }
            None => c.nothing(rooms.below_header, "no model is open"),
        },
        Phase::Failed(failure) => overlays::message::draw_failure(c, rooms.below_header, failure),
        Phase::Ready(_) => {
            chrome::text_strip::draw(c, rooms.strip);
            chrome::tabs::draw(c, rooms.tabs);
            draw_panes(c, &rooms.panes);
            if let Some(room) = rooms.details {
                if state.shows_contributions() {
                    let hides_view = rooms.panes.iter().flatten().all(|room| room.is_empty());
                    contributions::draw(c, room, hides_view);
                } else if let Some(details) = panel(state.view()).details {
                    details(c, room);
                }
            }
            if let Some(next) = rooms.next {
                chrome::next_line::draw(c, next);
            }
        }
    }
    chrome::footer::draw(c, rooms.footer);
    state.overlays.iter().for_each(|overlay| overlays::draw(c, area, overlay));
    if let Some(prefix) = state.pending {
        chrome::which_key::draw(c, area, prefix);
    }
}

/// Draws the panes, the one with the focus last.
fn draw_panes(c: &mut Canvas, rooms: &[Option<Rect>]) {
    let (panes, focus) = (c.state.panes.all(), c.state.panes.focus());
    c.in_pane = true;
    let has_several = rooms.iter().flatten().count() > 1;
    let others = (0..panes.len()).filter(|place| *place != focus);
    for place in others.chain([focus]) {
        let Some(room) = rooms[place] else { continue };
        (c.pane, c.place) = (&panes[place], place);
        c.focused = has_several && place == focus;
        if place != focus {
            c.hit(room, Spot { action: Some(Action::FocusPane(place)), ..Spot::default() });
        }
        let (view, below) = match has_several {
            true => layout::divide_pane(room, c.framed, c.state, c.pane),
            false => (room, None),
        };
        let panel = panel(c.pane.view());
        if !view.is_empty() {
            (panel.draw)(c, view);
        }
        if let (Some(below), Some(details)) = (below, panel.details) {
            c.in_pane = false;
            details(c, below);
            c.in_pane = true;
        }
    }
    (c.focused, c.in_pane) = (false, false);
}
