//! The list of precision policies, to run the same tokens under one of them.
//!
//! ```text
//! ▸ hf         B  rounded where transformers rounds, in the weights' dtype
//!   f32        A  rounded nowhere
//! ```

use crate::state::text::fit;
use crate::state::{Policies, Spot};
use crate::trace::Policy;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Greatest width, cells.
const WIDEST: u16 = 110;

pub fn draw(c: &mut Canvas, area: Rect, list: &Policies) {
    let state = c.state;
    let w = area.width.min(WIDEST);
    let h = (Policies::count() as u16 + 2).min(area.height);
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    let title =
        if w < 70 { "policies · enter runs" } else { "precision policies · enter runs the same tokens under one" };
    let inside = c.popup(place, title);
    let active = state.meta().map(|meta| meta.policy);
    let all: Vec<Policy> = Policy::all().collect();
    let room = usize::from(inside.width.saturating_sub(1));
    for (y, row) in (inside.y..inside.bottom()).zip(window(list.at, all.len(), usize::from(inside.height))) {
        let policy = all[row];
        let side =
            match (Some(policy) == active, Some(policy) == state.baseline.variant().map(|variant| variant.policy)) {
                (true, _) => "B",
                (_, true) => "A",
                _ => " ",
            };
        let mark = if row == list.at { "▸" } else { " " };
        let text = fit(&format!("{mark} {:<19} {side}  {}", policy.name(), policy.about()), room);
        let style = if row == list.at { c.theme.cursor() } else { Style::new() };
        c.put(inside, inside.x, y, &text, style);
        c.hit_lines(inside, y, 1, Spot { row: Some(row), ..Spot::default() });
    }
}
