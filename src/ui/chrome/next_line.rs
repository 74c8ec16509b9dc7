//! The best candidates after the cursor, in one line below the other views.

use crate::state::Spot;
use crate::state::text::{fit, quoted, show_piece, width};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::sampling;
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("next after {}", quoted(c.shown(cursor.token))));
    let Some(token) = state.token() else { return };
    if token.next.is_absent() {
        c.put(inside, inside.x + 1, inside.y, ABSENT, c.theme.dim());
        return;
    }
    let end = format!("entropy {:.2} nats  {} ", token.next.entropy, sampling::in_words(state));
    let room = Rect { width: inside.width.saturating_sub(width(&end) as u16 + 1), ..inside };
    let follows = state.tokens.get(cursor.token + 1);
    let mut x = room.x + 1;
    for (k, candidate) in token.next.top.iter().enumerate() {
        let text = format!(
            "{} {} {}   ",
            fit(&show_piece(&candidate.piece), 16),
            prob(candidate.prob),
            bar(candidate.prob, 8)
        );
        if x + width(&text) as u16 > room.right() {
            break;
        }
        let taken = follows.is_some_and(|next| next.id == candidate.id);
        let spot = Spot { candidate: Some(k), ..Spot::default() };
        x = c.put_spot(room, x, room.y, &text, if taken { c.theme.strong() } else { c.theme.dim() }, spot);
    }
    c.put_right(inside, inside.y, &end, c.theme.dim());
}
