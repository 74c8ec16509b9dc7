//! The places that the cursor jumped from, to go back to.

use super::action::{Action, Move};
use crate::analysis::view::View;
use crate::state::State;
use crate::state::cursor::Cursor;
use crate::trace::Direction;

/// The most places that are kept.
const MOST: usize = 100;

/// Where the cursor was, and in which view.
type Stop = (Cursor, View);

/// The places before and after the current one, nearest last.
#[derive(Clone, Debug, Default)]
pub struct Jumps {
    back: Vec<Stop>,
    forward: Vec<Stop>,
}

/// Whether an action moves the cursor out of sight, so that the user may want to come back.
fn is_jump(action: Action) -> bool {
    matches!(
        action,
        Action::Token(Move::First | Move::Last)
            | Action::GoTo(_)
            | Action::NextMatch
            | Action::PreviousMatch
            | Action::NextNearTie
            | Action::PreviousNearTie
            | Action::NextBookmark
            | Action::PreviousBookmark
            | Action::BestHead
            | Action::Accept
    )
}

impl State {
    /// The place of the cursor.
    pub(super) fn stop(&self) -> Stop {
        (self.cursor, self.view())
    }

    /// Keeps the place before a jump.
    pub(super) fn remember_jump(&mut self, action: Action, before: Stop) {
        if is_jump(action) && before.0 != self.cursor {
            self.jumps.forward.clear();
            self.jumps.back.push(before);
            if self.jumps.back.len() > MOST {
                self.jumps.back.remove(0);
            }
        }
    }

    /// Goes back to where the cursor was before a jump, or forward again.
    pub(super) fn jump_along(&mut self, direction: Direction) {
        let here = self.stop();
        let (from, to, none) = match direction {
            Direction::Back => (&mut self.jumps.back, &mut self.jumps.forward, "no jump to go back from"),
            Direction::Forward => (&mut self.jumps.forward, &mut self.jumps.back, "no jump to go forward to"),
        };
        let Some((cursor, view)) = from.pop() else { return self.say(none) };
        to.push(here);
        let left = from.len();
        self.cursor = cursor;
        self.pane_mut().show(view);
        self.catch_up = false;
        self.clamp();
        self.say(format!("{left} more · ctrl-o back, alt-o forward"));
    }
}
