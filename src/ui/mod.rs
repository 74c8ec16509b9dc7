//! Drawing, and everything that knows a terminal.
//!
//! ```text
//! header    mixscope · model · dtype · policy                 tokens · rate · sampling · doing
//! strip     the text, one colour a token, the cursor in it
//! tabs      1 Routing … 5 Fidelity                            token, layer, head, expert
//! view      the chosen view                                   | details
//! next      the best candidates after the cursor
//! footer    message, or the most useful keys
//! ```

mod canvas;
mod hits;
pub mod input;
mod layout;
mod look;
mod needs;
mod palette;
mod panels;
pub mod terminal;

pub use hits::HitMap;
pub use look::{Look, ThemeName};
pub use palette::{Depth, Theme};

use crate::state::keys::Action;
use crate::state::text::width;
use crate::state::{Overlay, Page, Phase, Spot, State, Tab, Wanted};
use canvas::Canvas;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// What a frame leaves behind besides its cells.
#[derive(Debug, Default)]
pub struct Drawn {
    /// What was missing.
    pub wanted: Wanted,
    /// Where text is being typed.
    pub caret: Option<Position>,
    /// What is where.
    pub hits: HitMap,
}

/// Draws the whole screen: the same state, size and theme give the same cells.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) -> Drawn {
    let mut c =
        Canvas { buf, state, theme, pane: state.pane(), focused: false, drawn: Drawn::default(), framed: false };
    let Some(rooms) = layout::rooms(area, state) else {
        let whole = format!("mixscope needs 40×10, this is {}×{}", area.width, area.height);
        let forms = [whole.as_str(), "needs 40×10", "40×10"];
        let fitting = forms.into_iter().find(|text| width(text) <= usize::from(area.width)).unwrap_or("…");
        c.put(area, area.x, area.y, fitting, theme.warn());
        if fitting != whole {
            c.put(area, area.x, area.y + 1, &format!("this is {}×{}", area.width, area.height), theme.warn());
        }
        return c.drawn;
    };
    c.framed = rooms.framed;
    panels::header::draw(&mut c, rooms.header);
    match &state.phase {
        Phase::Loading => match &state.opening {
            Some(opening) => {
                let below = rooms.below_header;
                let inside = Rect { x: below.x + 1, y: below.y + 1, width: below.width - 2, height: below.height - 2 };
                panels::opening::draw(&mut c, inside, opening);
            }
            None => c.nothing(rooms.below_header, "no model is open"),
        },
        Phase::Failed(failure) => panels::message::draw_failure(&mut c, rooms.below_header, failure),
        Phase::Ready(_) => {
            panels::strip::draw(&mut c, rooms.strip);
            panels::tabs::draw(&mut c, rooms.tabs);
            if let (Some(room), Some(other)) = (rooms.other, state.other) {
                c.pane = other.pane;
                c.hit(room, Spot { action: Some(Action::OtherPane), ..Spot::default() });
                draw_view(&mut c, room);
                c.pane = state.pane();
                c.focused = true;
            }
            draw_view(&mut c, rooms.view);
            c.focused = false;
            if let Some(details) = rooms.details {
                match state.view {
                    _ if state.shows_contributions() => {
                        panels::contributions::draw(&mut c, details, rooms.view.is_empty())
                    }
                    Tab::Routing => panels::routing_details::draw(&mut c, details),
                    Tab::Attention => panels::attention_details::draw(&mut c, details),
                    Tab::Lens => panels::lens_details::draw(&mut c, details),
                    Tab::Next => panels::what_if::draw(&mut c, details),
                    Tab::Fidelity => panels::fidelity_details::draw(&mut c, details),
                }
            }
            if let Some(next) = rooms.next {
                panels::next::draw_line(&mut c, next);
            }
        }
    }
    panels::footer::draw(&mut c, rooms.footer);
    for overlay in &state.overlays {
        match overlay {
            Overlay::Input(input) => panels::input::draw(&mut c, area, input),
            Overlay::Picker(picker) => panels::picker::draw(&mut c, area, picker),
            Overlay::Palette(palette) => panels::palette::draw(&mut c, area, palette),
            Overlay::Form(form) => panels::sampling::draw(&mut c, area, form),
            Overlay::Policies(list) => panels::policies::draw(&mut c, area, list),
            Overlay::CloseCalls(list) => panels::close_calls::draw(&mut c, area, list),
            Overlay::Page(Page::Help(line)) => panels::help::draw(&mut c, area, *line),
            Overlay::Page(Page::Message(line)) => panels::message::draw(&mut c, area, *line),
        }
    }
    if let Some(prefix) = state.pending {
        panels::which_key::draw(&mut c, area, prefix);
    }
    c.drawn
}

/// The view of the pane being drawn.
fn draw_view(c: &mut Canvas, room: Rect) {
    match c.pane.view {
        _ if room.is_empty() => {}
        Tab::Routing => panels::routing::draw(c, room),
        Tab::Attention => panels::attention::draw(c, room),
        Tab::Lens => panels::lens::draw(c, room),
        Tab::Next => panels::next::draw(c, room),
        Tab::Fidelity => panels::fidelity::draw(c, room),
    }
}
