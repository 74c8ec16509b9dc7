//! What may follow the token at the cursor.

use crate::state::Spot;
use crate::state::text::{fit, show_piece, width};
use crate::trace::TokenRecord;
use crate::ui::canvas::{Canvas, bar, prob, quoted, window};
use ratatui::layout::Rect;

/// The candidates as a table; the marked one can be forced.
pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("next · after token {} {}", cursor.token, quoted(c.shown(cursor.token))));
    let Some(token) = state.token() else { return c.nothing(inside, "no token yet") };
    let follows = state.tokens.get(cursor.token + 1);
    let how = super::header::sampling(&state.sampling);
    let text = format!(
        "entropy {:.2} nats · {how} · enter reads the marked token next{}",
        token.next.entropy,
        rewinds(follows)
    );
    c.put(inside, inside.x + 1, inside.y, &fit(&text, usize::from(inside.width.saturating_sub(1))), c.theme.dim());
    c.put(
        inside,
        inside.x + 1,
        inside.y + 1,
        "    k  token              p at T 1           sum   logit      id",
        c.theme.dim(),
    );
    let rows = usize::from(inside.height.saturating_sub(2));
    let top = &token.next.top;
    let shown = window(cursor.candidate, top.len(), rows);
    let mut sum: f32 = top[..shown.start].iter().map(|candidate| candidate.prob).sum();
    for (y, k) in (inside.y + 2..inside.bottom()).zip(shown) {
        let candidate = &top[k];
        sum += candidate.prob;
        let name = fit(&show_piece(&candidate.piece), 18);
        let pad = " ".repeat(18 - width(&name));
        let taken = follows.is_some_and(|next| next.id == candidate.id);
        let mark = match (k == cursor.candidate, taken) {
            (true, true) => "▸→",
            (true, false) => "▸ ",
            (false, true) => " →",
            (false, false) => "  ",
        };
        let p = candidate.prob;
        let bar = bar(p, 12);
        let text = format!(
            "{mark}{:>3}  {name}{pad} {p:.4} {bar:<12} {sum:.3} {:>7.3} {:>7}",
            k + 1,
            candidate.logit,
            candidate.id
        );
        let style = if k == cursor.candidate {
            c.theme.cursor()
        } else if taken {
            c.theme.strong()
        } else {
            c.theme.dim()
        };
        c.put(inside, inside.x + 1, y, &text, style);
        let spot = Spot { candidate: Some(k), ..Spot::default() };
        c.hit(Rect { y, height: 1, ..inside }, spot);
    }
}

fn rewinds(follows: Option<&std::sync::Arc<TokenRecord>>) -> String {
    follows.map_or_else(String::new, |next| {
        format!(" (→ {} came; forcing forgets it and all after it)", quoted(&fit(&show_piece(&next.piece), 12)))
    })
}

/// The best candidates after the cursor in one line.
pub fn draw_line(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("next after {}", quoted(c.shown(cursor.token))));
    let Some(token) = state.token() else { return };
    let end = format!("entropy {:.2} nats  {} ", token.next.entropy, super::header::sampling(&state.sampling));
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
