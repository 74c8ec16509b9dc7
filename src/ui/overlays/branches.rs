//! The list of branches: the tree of runs.
//!
//! ```text
//!   branch               tokens   loss  differs by
//!   prompt                    8  2.114  ‘<s>·The·capital·of…’
//!   ├─ generation            20  1.310  ‘Paris.↵…’
//! ▸ └─ Berlin             ●  12  2.402  keeps 8 of 20 · ‘·Berlin…’
//! ```

use crate::state::text::{fit, width};
use crate::state::{BranchList, BranchRow, Spot};
use crate::ui::canvas::Canvas;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Greatest width, cells.
const WIDEST: u16 = 120;
/// The current run.
const CURRENT: &str = "●";

pub fn draw(c: &mut Canvas, area: Rect, list: &BranchList) {
    let rows = c.state.branch_rows();
    let w = area.width.saturating_sub(if area.width > 60 { 4 } else { 0 }).min(WIDEST);
    let most = if area.height > 20 { area.height - 6 } else { area.height };
    let h = (rows.len() as u16).saturating_add(3).clamp(4, most.max(4)).min(area.height);
    let place = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    let title = match w {
        ..60 => "branches · enter n c d",
        60..90 => "branches · enter goes there · n name · c compare · d delete",
        _ => "branches · enter goes there · n names · c compares with the current run (●) · d deletes",
    };
    let inside = c.popup(place, title);
    if rows.is_empty() {
        return c.nothing(inside, "no run yet: i types a prompt; each action then adds a branch or goes on");
    }
    let room = usize::from(inside.width.saturating_sub(1));
    let labels: Vec<String> = rows.iter().map(|row| label(row, room * 2 / 5)).collect();
    let column = labels.iter().map(|label| width(label)).max().unwrap_or(0).max("branch".len());
    let with_loss = room >= 55;
    let loss = |text: &str| if with_loss { format!("{text:>7}") } else { String::new() };
    let heading = format!("  {}   tokens{}  differs by", padded("branch", column), loss("loss"));
    c.put(inside, inside.x, inside.y, &fit(&heading, room), c.theme.dim());
    let marked = c.state.marked_branch(list);
    let height = usize::from(inside.height).saturating_sub(1).max(1);
    for (y, at) in (inside.y + 1..inside.bottom()).zip(window(marked, rows.len(), height)) {
        let row = &rows[at];
        let mark = if at == marked { "▸" } else { " " };
        let current = if row.current.is_some() { CURRENT } else { " " };
        let nats = row.loss.map_or_else(String::new, |loss| format!("{loss:.3}"));
        let text = format!(
            "{mark} {} {current} {:>6}{}  {}",
            padded(&labels[at], column),
            row.tokens,
            loss(&nats),
            row.differs
        );
        let style = match (at == marked, row.current.is_some() || row.is_named) {
            (true, _) => c.theme.cursor(),
            (_, true) => c.theme.strong(),
            _ => Style::new(),
        };
        c.put(inside, inside.x, y, &fit(&text, room), style);
        c.hit_lines(inside, y, 1, Spot { row: Some(at), ..Spot::default() });
    }
}

fn padded(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text))))
}

/// The lines of the tree and the label, in `room` cells. The end of the lines stays, as it says which branch it is.
fn label(row: &BranchRow, room: usize) -> String {
    let inside = row.current.filter(|len| *len < row.tokens);
    let label = match inside {
        Some(len) => format!("{} (first {len})", row.label),
        None => row.label.clone(),
    };
    let label = fit(&label, room.saturating_sub(7));
    let left = room.saturating_sub(width(&label));
    // Each character of the lines is a cell wide.
    let cells = row.lines.chars().count();
    if cells <= left {
        return format!("{}{label}", row.lines);
    }
    let end: String = row.lines.chars().skip(cells + 1 - left.max(1)).collect();
    format!("…{end}{label}")
}
