//! Details of the lens at one token: the best candidates by layer, and the ranks of the final answer and of the
//! targets.

use super::{ANSWER, colour, glyph, unknown, want_targets};
use crate::analysis::Lead;
use crate::state::Spot;
use crate::state::input::Action;
use crate::state::text::{fit, quoted, show_piece, width};
use crate::trace::{LensCell, LensKey};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

/// Lines for the best candidates of the layer at the cursor, and for the targets.
const LEAST: usize = 4;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("after {} by layer · {}", quoted(c.shown(cursor.token)), c.pane.lens.site()));
    let (Some(d), Some(token)) = (c.dims(), state.token()) else { return };
    let Some(answer) = token.next.top.first() else { return c.nothing(inside, ABSENT) };
    want_targets(c);
    let room = usize::from(inside.width.saturating_sub(2));
    let cell = |layer: usize| state.derived.lens(LensKey { pos: cursor.token, layer, site: c.pane.lens.site() });
    let mut y = inside.y;
    let value = prob(answer.prob);
    let name = fit(&show_piece(&answer.piece), room.saturating_sub(20));
    let text = format!("{ANSWER} final answer {} {value}", quoted(&name));
    c.put(inside, inside.x + 1, y, &fit(&text, room), c.theme.strong());
    if let Some(text) = leads(d.layers, answer.id, cell) {
        y += 1;
        c.put(inside, inside.x + 1, y, &fit(&text, room), c.theme.strong());
    }
    y += 1;
    let cells = room.saturating_sub(32).min(12);
    let head = format!("     rank    p {:cells$} KL nats  entropy", "");
    c.put(inside, inside.x + 1, y, &fit(&head, room), c.theme.dim());
    let followed = if state.targets.is_empty() { 0 } else { state.targets.len() + 1 };
    let left = usize::from(inside.bottom().saturating_sub(y + 1));
    let rows = left.saturating_sub(1 + LEAST + followed.min(LEAST)).clamp(1, d.layers);
    let shown = window(d.layers - 1 - cursor.layer, d.layers, rows);
    c.left_out(area, &shown, d.layers);
    for row in shown {
        let layer = d.layers - 1 - row;
        y += 1;
        let style = if layer == cursor.layer { c.theme.strong() } else { c.theme.dim() };
        let lacking = if c.has_lens(layer, c.pane.lens.site()) { "…" } else { ABSENT };
        let text = cell(layer).map_or_else(|| format!("L{layer:<3} {lacking}"), |cell| layer_text(layer, cell, cells));
        c.put(inside, inside.x + 1, y, &fit(&text, room), style);
        let line = Rect { y, height: 1, ..inside };
        c.hit(line.intersection(inside), Spot { layer: Some(layer), ..Spot::default() });
    }
    y = targets(c, inside, y, room);
    y += 1;
    let text = format!("top of L{} {} · click follows", cursor.layer, c.pane.lens.site());
    c.put(inside, inside.x + 1, y, &fit(&text, room), c.theme.strong());
    for candidate in cell(cursor.layer).map_or(&[][..], |cell| &cell.top) {
        y += 1;
        let target = state.target(candidate.id);
        let mark = if candidate.id == answer.id { ANSWER } else { target.map_or(' ', glyph) };
        let text = format!("{mark} {}", named(&show_piece(&candidate.piece), candidate.prob, room.saturating_sub(2)));
        let style = if candidate.id == answer.id { c.theme.strong() } else { c.theme.dim() };
        let style = target.map_or(style, |target| colour(c.theme, target));
        let spot = Spot { action: Some(Action::ToggleTarget(candidate.id)), ..Spot::default() };
        c.put_spot(inside, inside.x + 1, y, &text, style, spot);
    }
}

/// Writes rank and probability of each target at the layer of the cursor; returns the last line.
fn targets(c: &mut Canvas, inside: Rect, mut y: u16, room: usize) -> u16 {
    let (state, cursor) = (c.state, c.state.cursor);
    if state.targets.is_empty() {
        return y;
    }
    y += 1;
    // If there is no room for all targets, the newest are shown.
    let lines = usize::from(inside.bottom().saturating_sub(y + 1)).saturating_sub(LEAST).max(1);
    let hidden = state.targets.len().saturating_sub(lines);
    let how_many = if hidden > 0 { format!(" · last {lines} of {}", state.targets.len()) } else { String::new() };
    let text = format!("followed at L{} {}{how_many}", cursor.layer, c.pane.lens.site());
    c.put(inside, inside.x + 1, y, &fit(&text, room), c.theme.strong());
    for (i, target) in state.targets.iter().enumerate().skip(hidden) {
        y += 1;
        let point = state.derived.trajectory(cursor.token, target.id).and_then(|found| {
            found.points.iter().find(|(layer, site, ..)| (*layer, *site) == (cursor.layer, c.pane.lens.site()))
        });
        let value =
            point.map_or_else(|| unknown(c).to_owned(), |(_, _, rank, p)| format!("rank {rank}  p {}", prob(*p)));
        let name = fit(&show_piece(&target.piece), room.saturating_sub(width(&value) + 4));
        let gap =
            room.saturating_sub(width(&value) + width(&name) + 2).min(18usize.saturating_sub(width(&name)).max(1));
        let text = format!("{} {name}{}{value}", glyph(i), " ".repeat(gap));
        c.put(inside, inside.x + 1, y, &text, colour(c.theme, i));
    }
    y
}

fn layer_text(layer: usize, cell: &LensCell, cells: usize) -> String {
    let (rank, p) = (cell.final_rank, cell.final_prob);
    format!(
        "{:<4} {rank:>4} {:>4} {:<cells$} {:>7.2}  {:>7.2}",
        format!("L{layer}"),
        prob(p),
        bar(p, cells),
        cell.kl,
        cell.entropy
    )
}

/// `·ball    .42 ████`
fn named(name: &str, p: f32, room: usize) -> String {
    let most = room.saturating_sub(6).min(16);
    let name = fit(name, most);
    let text = format!("{name}{} {:>4}", " ".repeat(most - width(&name)), prob(p));
    let cells = room.saturating_sub(width(&text) + 1).min(12);
    format!("{text} {}", bar(p, cells))
}

/// The layer from which on the final answer leads, and whether it led before.
fn leads<'a>(layers: usize, answer: u32, cell: impl Fn(usize) -> Option<&'a LensCell>) -> Option<String> {
    let leading: Option<Vec<bool>> =
        (0..layers).map(|layer| cell(layer).map(|cell| cell.top.first().is_some_and(|top| top.id == answer))).collect();
    let Some(lead) = Lead::of(&leading?) else { return Some("leads at no layer".to_owned()) };
    let first = lead.first;
    Some(match lead.stays {
        None => format!("leads from L{first}, not at the end"),
        Some(stays) if stays == first => format!("leads from L{first} on"),
        Some(stays) => format!("leads first at L{first}, stays from L{stays} on"),
    })
}
