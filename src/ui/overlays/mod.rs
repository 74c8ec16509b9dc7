//! Overlays over the views.

mod branches;
mod cell;
mod closest_calls;
mod edits;
mod examples;
mod help;
pub mod message;
mod page;
mod palette;
mod picker;
mod policies;
mod sampling;
mod text_input;

use super::canvas::Canvas;
use crate::state::{Overlay, Topic};
use ratatui::layout::Rect;

/// Draws an overlay over the screen.
pub fn draw(c: &mut Canvas, screen: Rect, overlay: &Overlay) {
    match overlay {
        Overlay::Input(input) => text_input::draw(c, screen, input),
        Overlay::Picker(picker) => picker::draw(c, screen, picker),
        Overlay::Palette(palette) => palette::draw(c, screen, palette),
        Overlay::Form(form) => sampling::draw(c, screen, form),
        Overlay::Policies(list) => policies::draw(c, screen, list),
        Overlay::EditMenu(menu) => edits::menu(c, screen, menu),
        Overlay::Edits(list) => edits::list(c, screen, list),
        Overlay::Branches(list) => branches::draw(c, screen, list),
        Overlay::ClosestCalls(list) => closest_calls::draw(c, screen, list),
        Overlay::Page(page) => match page.topic {
            Topic::Help => help::draw(c, screen, page),
            Topic::Message => message::draw(c, screen, page.line),
            Topic::Cell => cell::draw(c, screen, page.line),
        },
    }
}
