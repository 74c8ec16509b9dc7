//! The mouse: a click moves the cursor, the wheel scrolls, a drag over the text selects tokens.

use super::action::{Action, Move, TextEdit, Vertical};
use super::selection::{Selection, Unit};
use super::spot::{Gesture, Spot};
use crate::state::overlays::Overlay;
use crate::state::{Effect, State};

impl State {
    pub(in crate::state) fn on_mouse(&mut self, gesture: Gesture, spot: Option<Spot>) -> Vec<Effect> {
        match gesture {
            Gesture::WheelUp => return self.wheel(Vertical::Up, spot),
            Gesture::WheelDown => return self.wheel(Vertical::Down, spot),
            Gesture::Press if self.overlays.is_empty() => {
                self.pending = None;
                self.selection = None;
                self.drag_from = spot.filter(|spot| spot.in_strip).and_then(|spot| spot.token);
                return self.click(spot.unwrap_or_default());
            }
            Gesture::Press => return self.click_row(spot),
            Gesture::Drag => {
                let to = spot.and_then(|spot| spot.token.filter(|_| spot.in_strip));
                if let (Some(from), Some(to)) = (self.drag_from, to) {
                    self.selection = (self.selection.is_some() || from != to).then_some(Selection {
                        from,
                        to,
                        unit: Unit::Tokens,
                        follows: false,
                    });
                    self.go_to(to);
                }
            }
            Gesture::Release => self.drag_from = None,
        }
        self.clamp();
        Vec::new()
    }

    fn click(&mut self, spot: Spot) -> Vec<Effect> {
        if spot.action.is_none() && spot != Spot::default() {
            self.message.take_if(|message| !message.stays());
        }
        if let Some(token) = spot.token {
            self.go_to(token);
        }
        let cursor = &mut self.cursor;
        for (to, from) in [
            (&mut cursor.layer, spot.layer),
            (&mut cursor.head, spot.head),
            (&mut cursor.expert, spot.expert),
            (&mut cursor.candidate, spot.candidate),
        ] {
            if let Some(from) = from {
                *to = from;
            }
        }
        self.clamp();
        spot.action.map_or_else(Vec::new, |action| self.act(action))
    }

    /// A click on a line of a list marks the line; on the marked line it accepts it; outside the list it closes the
    /// list.
    fn click_row(&mut self, spot: Option<Spot>) -> Vec<Effect> {
        let Some(spot) = spot else { return self.act(Action::Escape) };
        let Some(row) = spot.row else { return spot.action.map_or_else(Vec::new, |action| self.act(action)) };
        let is_marked = match self.overlays.last_mut() {
            Some(Overlay::Branches(_)) => self.mark_branch(row),
            Some(Overlay::Picker(picker)) => picker.mark(row),
            Some(Overlay::Palette(palette)) => std::mem::replace(&mut palette.marked, row) == row,
            Some(Overlay::ClosestCalls(list)) => std::mem::replace(&mut list.at, row) == row,
            Some(Overlay::EditMenu(list)) => std::mem::replace(&mut list.at, row) == row,
            Some(Overlay::Edits(list)) => std::mem::replace(&mut list.at, row) == row,
            Some(Overlay::Policies(list)) => std::mem::replace(&mut list.at, row) == row,
            Some(Overlay::Form(form)) => {
                form.field = row;
                false
            }
            _ => false,
        };
        if is_marked { self.act(Action::Accept) } else { Vec::new() }
    }

    fn wheel(&mut self, to: Vertical, spot: Option<Spot>) -> Vec<Effect> {
        let on_text = spot.is_some_and(|spot| spot.in_strip);
        let action = match (self.overlays.is_empty(), on_text, to) {
            (false, _, Vertical::Up) => Action::Edit(TextEdit::Up),
            (false, _, Vertical::Down) => Action::Edit(TextEdit::Down),
            (true, true, Vertical::Up) => Action::Token(Move::Left),
            (true, true, Vertical::Down) => Action::Token(Move::Right),
            (true, false, Vertical::Up) => Action::Up,
            (true, false, Vertical::Down) => Action::Down,
        };
        self.act(action)
    }
}
