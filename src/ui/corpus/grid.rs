//! A matrix of numbers: layers, groups or experts × experts.

use super::paper::Paper;
use crate::analysis::sweep::{SweepGrid, SweepView};
use crate::state::corpus::Corpus;
use crate::state::text::{fit, harmless, width};
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::number::{plain, prob, signed};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

/// Least and greatest width of a cell.
const CELL: (usize, usize) = (6, 10);
/// Greatest width of a name of a row.
const NAME: usize = 24;

pub fn draw(p: &mut Paper, area: Rect, corpus: &Corpus, grid: &SweepGrid) {
    let (spec, view) = (&corpus.spec, corpus.spec.view);
    let title = format!("{} · {}", view.name(), harmless(&grid.title));
    let inside = p.frame(area, &title);
    // Layers go upward, as in a model.
    let is_upward = grid.rows.0 == "layer";
    let count = grid.rows.1.len();
    let row_of = |line: usize| if is_upward { count - 1 - line } else { line };
    let cursor_row = match view {
        SweepView::Usage | SweepView::Compare => spec.layer,
        SweepView::Groups => corpus.group_index().unwrap_or(usize::MAX),
        _ => spec.expert,
    };
    let cursor_line = (0..count).find(|line| row_of(*line) == cursor_row).unwrap_or(0);
    let names: Vec<String> = grid.rows.1.iter().map(|name| fit(&harmless(name), NAME)).collect();
    let name = names.iter().map(|name| width(name)).max().unwrap_or(0) + 1;
    let columns = grid.columns.1.len();
    let across = usize::from(inside.width).saturating_sub(name + 2);
    let cell = (across / columns.max(1)).clamp(CELL.0, CELL.1);
    let shown = window(spec.expert, columns, (across / cell).max(1));
    // The names of the columns and the scale take a line each.
    let room = usize::from(inside.height).saturating_sub(2).max(1);
    // With room for it, a bar stands below each number.
    let high = if room >= 2 * count { 2 } else { 1 };
    let lines = window(cursor_line, count, room / high);
    for (i, column) in shown.clone().enumerate() {
        let text = &grid.columns.1[column];
        let style = if column == spec.expert { p.theme.cursor() } else { p.theme.expert(column) };
        let x = inside.x as usize + name + 1 + i * cell + cell.saturating_sub(width(text));
        p.put(inside, x as u16, inside.y, text, style);
    }
    if shown.len() < columns {
        let text = format!(" {}{} more experts ", if shown.start > 0 { "‹" } else { "" }, columns - shown.len());
        p.put_right(Rect { width: area.width.saturating_sub(2), ..area }, area.y, &text, p.theme.accent());
    }
    let most = grid.most().max(f64::MIN_POSITIVE);
    let is_share = most <= 1.0 && !grid.is_signed;
    for (y, line) in (inside.y + 1..).step_by(high).zip(lines.clone()) {
        let row = row_of(line);
        let is_cursor = row == cursor_row;
        let label = format!("{}{}", if is_cursor { "▸" } else { " " }, names[row]);
        p.put(inside, inside.x, y, &label, if is_cursor { p.theme.accent() } else { p.theme.dim() });
        for (i, column) in shown.clone().enumerate() {
            let x = (inside.x as usize + name + 1 + i * cell) as u16;
            let is_at = is_cursor && column == spec.expert;
            let (text, style) = match grid.value(row, column) {
                None => ("–".to_owned(), p.theme.dim()),
                Some(value) if grid.is_signed => (signed(value), p.theme.diverging(value / most)),
                Some(value) if is_share => (prob(value as f32), p.theme.heat((value / most) as f32)),
                Some(value) => (plain(value), p.theme.heat((value / most) as f32)),
            };
            let text = if is_at { format!("[{}]", fit(&text, cell - 2)) } else { fit(&text, cell - 1) };
            p.put(inside, x, y, &format!("{text:>cell$}"), style);
            if let (2, Some(value)) = (high, grid.value(row, column)) {
                let bar = bar((value.abs() / most) as f32, cell - 1);
                p.put(inside, x + 1, y + 1, &bar, if grid.is_signed { p.theme.signed(value) } else { p.theme.dim() });
            }
        }
    }
    if lines.len() < count {
        let (above, below) = (lines.start, count - lines.end);
        let bottom = Rect { y: area.bottom() - 1, height: 1, width: area.width.saturating_sub(2), ..area };
        p.put_right(bottom, bottom.y, &format!(" ↑{above} ↓{below} more "), p.theme.accent());
    }
    let scale =
        if grid.is_signed { format!("−{m} … {m}", m = plain(most)) } else { format!("0 … {}", plain(most)) };
    let random = grid.at_random.map_or_else(String::new, |random| format!("   at random {}", plain(random)));
    let text = format!("colours {scale}{random}   – none");
    p.put(inside, inside.x + 1, inside.bottom() - 1, &text, p.theme.dim());
}
