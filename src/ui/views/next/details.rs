//! The tokens that would follow each of the best candidates.
//!
//! ```text
//! ▸1 ·Paris .42   then 1.23 nats
//!    ·, .33 ████
//! ```

use crate::analysis::WhatIf;
use crate::state::Spot;
use crate::state::text::{fit, show_piece, width};
use crate::trace::Candidate;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::number::prob;
use ratatui::layout::Rect;

/// Number of candidates.
const CANDIDATES: usize = 5;
/// The most tokens after each candidate.
const FOLLOWING: u16 = 5;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, pos) = (c.state, c.state.cursor.token);
    let inside = c.panel(area, "what would follow");
    let (Some(token), Some(d)) = (state.token(), c.dims()) else { return };
    if c.is_saved() {
        return c.nothing(inside, "needs a model: o opens one");
    }
    if pos + 1 >= d.context {
        return c.nothing(inside, "the model's context ends here");
    }
    let top = &token.next.top[..token.next.top.len().min(CANDIDATES)];
    let found = |id: u32| state.derived.what_if(pos, id);
    let missing: Vec<u32> = top.iter().map(|candidate| candidate.id).filter(|id| found(*id).is_none()).collect();
    let waits = state.is_busy();
    // Work on the run comes first.
    if !missing.is_empty() && !waits {
        c.wanted.what_if = Some((pos, missing));
    }
    let each = inside.height / (top.len().max(1) as u16);
    let mut y = inside.y;
    let fitting = usize::from(inside.height / each.clamp(1, FOLLOWING + 2)).min(top.len());
    c.left_out(area, &(0..fitting), top.len());
    for (k, candidate) in top.iter().enumerate() {
        let place = Rect { y, height: each.clamp(1, FOLLOWING + 2), ..inside }.intersection(inside);
        if place.is_empty() {
            break;
        }
        c.hit(place, Spot { candidate: Some(k), ..Spot::default() });
        one(c, place, k, candidate, found(candidate.id), waits);
        y += place.height;
    }
}

/// Draws a candidate with the tokens that would follow below it, or all on one line.
fn one(c: &mut Canvas, area: Rect, k: usize, candidate: &Candidate, found: Option<&WhatIf>, waits: bool) {
    let room = usize::from(area.width.saturating_sub(2));
    let mark = if k == c.state.cursor.candidate { "▸" } else { " " };
    let name = fit(&show_piece(&candidate.piece), room.saturating_sub(8).clamp(4, 16));
    let head = format!("{mark}{} {name} {}", k + 1, prob(candidate.prob));
    let after = match found {
        Some(found) if found.top.is_empty() => "the outputs are not finite".to_owned(),
        Some(found) => format!("entropy {:.2} nats", found.entropy),
        None if waits => "waits for the run".to_owned(),
        None => "…".to_owned(),
    };
    let style = if k == c.state.cursor.candidate { c.theme.accent() } else { c.theme.strong() };
    let x = c.put(area, area.x + 1, area.y, &fit(&head, room), style);
    let rest = (usize::from(area.right().saturating_sub(x))).saturating_sub(3);
    if area.height < 3 {
        let follow = found.map(|found| &found.top[..]).unwrap_or_default();
        let follow = follow.iter().map(|next| format!("{} {}", show_piece(&next.piece), prob(next.prob)));
        let line = follow.collect::<Vec<_>>().join("  ");
        let line =
            found.filter(|_| !line.is_empty()).map_or(after, |found| format!("{:.2} nats: {line}", found.entropy));
        c.put(area, x, area.y, &format!(" → {}", fit(&line, rest)), c.theme.dim());
        return;
    }
    let forms = [after.clone(), after.replace("entropy ", "")];
    let text = forms.iter().find(|text| width(text) <= rest).map_or("", String::as_str);
    c.put(area, x, area.y, &format!("  {text}"), c.theme.dim());
    // The last line stays free as a gap.
    let lines = area.height.saturating_sub(if area.height > 3 { 2 } else { 1 }).min(FOLLOWING);
    for (i, next) in found.map(|found| &found.top[..]).unwrap_or_default().iter().take(usize::from(lines)).enumerate() {
        let most = room.saturating_sub(13).clamp(4, 16);
        let name = fit(&show_piece(&next.piece), most);
        let cells = room.saturating_sub(27).min(12);
        let gap = most - width(&name);
        let text = format!("   → {name}{} {:>4} {}", " ".repeat(gap), prob(next.prob), bar(next.prob, cells));
        c.put(area, area.x + 1, area.y + 1 + i as u16, &text, c.theme.dim());
    }
}
