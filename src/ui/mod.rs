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
mod chrome;
mod hits;
pub mod input;
mod layout;
mod needs;
mod overlays;
pub mod terminal;
mod theme;
mod views;
mod widgets;

pub use hits::HitMap;
pub use theme::{Depth, Look, Theme, ThemeName};

use crate::state::keys::Action;
use crate::state::text::width;
use crate::state::{
    AttentionLens, FidelityLens, LensLayout, Overlay, Page, Phase, RoutingLens, Spot, State, Tab, Wanted,
};
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
    chrome::header::draw(&mut c, rooms.header);
    match &state.phase {
        Phase::Loading => match &state.opening {
            Some(opening) => {
                let below = rooms.below_header;
                let inside = Rect { x: below.x + 1, y: below.y + 1, width: below.width - 2, height: below.height - 2 };
                chrome::opening::draw(&mut c, inside, opening);
            }
            None => c.nothing(rooms.below_header, "no model is open"),
        },
        Phase::Failed(failure) => overlays::message::draw_failure(&mut c, rooms.below_header, failure),
        Phase::Ready(_) => {
            chrome::strip::draw(&mut c, rooms.strip);
            chrome::tabs::draw(&mut c, rooms.tabs);
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
                        views::contributions::draw(&mut c, details, rooms.view.is_empty())
                    }
                    Tab::Routing => views::routing::details::draw(&mut c, details),
                    Tab::Attention => views::attention::details::draw(&mut c, details),
                    Tab::Lens => views::lens::details::draw(&mut c, details),
                    Tab::Next => views::next::details::draw(&mut c, details),
                    Tab::Fidelity => views::fidelity::details::draw(&mut c, details),
                }
            }
            if let Some(next) = rooms.next {
                chrome::next_line::draw(&mut c, next);
            }
        }
    }
    chrome::footer::draw(&mut c, rooms.footer);
    for overlay in &state.overlays {
        match overlay {
            Overlay::Input(input) => overlays::text_input::draw(&mut c, area, input),
            Overlay::Picker(picker) => overlays::picker::draw(&mut c, area, picker),
            Overlay::Palette(palette) => overlays::palette::draw(&mut c, area, palette),
            Overlay::Form(form) => overlays::sampling::draw(&mut c, area, form),
            Overlay::Policies(list) => overlays::policies::draw(&mut c, area, list),
            Overlay::CloseCalls(list) => overlays::close_calls::draw(&mut c, area, list),
            Overlay::Page(Page::Help(line)) => overlays::help::draw(&mut c, area, *line),
            Overlay::Page(Page::Message(line)) => overlays::message::draw(&mut c, area, *line),
        }
    }
    if let Some(prefix) = state.pending {
        chrome::which_key::draw(&mut c, area, prefix);
    }
    c.drawn
}

/// The view of the pane being drawn.
fn draw_view(c: &mut Canvas, room: Rect) {
    match c.pane.view {
        _ if room.is_empty() => {}
        Tab::Routing => match c.pane.routing {
            RoutingLens::Token => views::routing::token::draw(c, room),
            RoutingLens::Layer => views::routing::layer::draw(c, room),
            RoutingLens::Map => views::routing::map::draw(c, room),
            RoutingLens::Load => views::routing::usage::draw(c, room),
            RoutingLens::Pairs => views::routing::pairs::draw(c, room),
        },
        Tab::Attention => match c.pane.attention {
            AttentionLens::Grid => views::attention::grid::draw(c, room),
            AttentionLens::Head => views::attention::head::draw(c, room),
        },
        Tab::Lens => match c.pane.lens {
            LensLayout::Plot => views::lens::targets::draw(c, room),
            LensLayout::Grid | LensLayout::Both => views::lens::grid::draw(c, room),
        },
        Tab::Next => views::next::draw(c, room),
        Tab::Fidelity => match c.pane.fidelity {
            FidelityLens::Validated => views::fidelity::validated::draw(c, room),
            FidelityLens::Flips => views::fidelity::flips::draw(c, room),
            FidelityLens::Loss => views::fidelity::loss::draw(c, room),
            FidelityLens::Lab => views::fidelity::lab::draw(c, room),
        },
    }
}
