//! The closest calls of the router, narrowest first.
//!
//! ```text
//!  token              layer  kept  lost   logit gap   bf16 steps
//!  17 ‘·ball’            L2    E3    E6      0.0000          0.0 ≈
//! ```

use crate::state::text::{fit, quoted, width};
use crate::state::{ClosestCalls, Spot};
use crate::ui::canvas::Canvas;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

/// Greatest width, cells.
const WIDEST: u16 = 76;

pub fn draw(c: &mut Canvas, area: Rect, list: &ClosestCalls) {
    let w = area.width.min(WIDEST);
    let most = if area.height > 20 { (area.height - 6).min(26) } else { area.height };
    let h = (list.calls.len() as u16).saturating_add(3).clamp(4, most.max(4)).min(area.height);
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    let near = list.calls.iter().filter(|call| call.is_near_tie()).count();
    let title = if w < 60 {
        format!("{} closest calls, {near} {NEAR_TIE}", list.calls.len())
    } else {
        format!("the {} closest calls, {near} of them near-ties ({NEAR_TIE}) · enter goes there", list.calls.len())
    };
    let inside = c.popup(place, &title);
    if list.calls.is_empty() {
        return c.nothing(inside, "no choice to list: all experts were chosen, or nothing was captured");
    }
    let dtype = c.state.usage.dtype();
    let wide = inside.width >= 60;
    // The text of the token takes the room that the columns leave.
    let columns = if wide { 54 } else { 31 };
    let text_room = usize::from(inside.width).saturating_sub(columns);
    let blank = " ".repeat(text_room);
    let heading = if wide {
        format!("   token{blank}layer   kept   lost   logit gap {dtype:>8} ulp")
    } else {
        format!("   token{blank}layer kept lost   ulp")
    };
    c.put(inside, inside.x, inside.y, &heading, c.theme.dim());
    let rows = usize::from(inside.height).saturating_sub(1).max(1);
    for (y, row) in (inside.y + 1..inside.bottom()).zip(window(list.at, list.calls.len(), rows)) {
        let call = &list.calls[row];
        let name = fit(&if wide { quoted(c.shown(call.pos)) } else { c.shown(call.pos).to_owned() }, text_room);
        let name = format!("{name}{}", " ".repeat(text_room.saturating_sub(width(&name))));
        let (kept, lost) = (format!("E{}", call.kept), format!("E{}", call.lost));
        let (layer, mark) = (format!("L{}", call.layer), if call.is_near_tie() { NEAR_TIE } else { " " });
        let at = if row == list.at { "▸" } else { " " };
        let ulps = if call.ulps < 1000.0 { format!("{:.1}", call.ulps) } else { format!("{:.0}", call.ulps) };
        let text = if wide {
            format!("{at}{:>5} {name}{layer:>6} {kept:>6} {lost:>6} {:>11.4} {ulps:>12} {mark}", call.pos, call.gap)
        } else {
            format!("{at}{:>5} {name}{layer:>5} {kept:>4} {lost:>4} {ulps:>6}{mark}", call.pos)
        };
        let style = match (row == list.at, call.is_near_tie()) {
            (true, _) => c.theme.cursor(),
            (_, true) => c.theme.warn(),
            _ => ratatui::style::Style::new(),
        };
        c.put(inside, inside.x, y, &text, style);
        c.hit_lines(inside, y, 1, Spot { row: Some(row), ..Spot::default() });
    }
}
