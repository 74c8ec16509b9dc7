//! Layers × tokens: the best token after each layer, with its probability as colour, or a number.
//!
//! ```text
//!      ·had    ·a       ·red     ·ball
//! out  ·a .91  ·red .33 ·ball .72 ·bounced .42
//! L5   ·a .90  ·big .29»·ball .70»·bounced .40
//! ```

use super::{details, want};
use crate::analysis::Lead;
use crate::state::text::{fit, show_piece, width};
use crate::state::{LensMeasure, Spot};
use crate::trace::{Candidate, Dims, LensCell, LensKey, LensSite};
use crate::ui::canvas::{ABSENT, Canvas};
use crate::ui::views::Panel;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, pane, _| Some(3 + pane.lens.sites().len() * state.meta()?.dims.layers),
    ..Panel::new(draw)
};

/// Width of a column with a token and its probability, and of one with a number; the last cell stays free.
const COLUMNS: (usize, usize) = (13, 9);
/// Marks of the residual where the final answer first leads, and of the one from which on it leads.
const MARKS: (&str, &str) = ("›", "»");

fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let site = match c.pane.lens.site {
        Some(site) => site.to_string(),
        None => "resid_mid and resid_post".to_owned(),
    };
    let what = match c.pane.lens.measure {
        LensMeasure::Top => "top token after each layer",
        LensMeasure::Kl => "KL(final ‖ lens), nats",
        LensMeasure::Entropy => "entropy, nats",
        LensMeasure::Rank => "rank of the final answer",
    };
    let inside = c.panel(area, &format!("lens · {site} · {what}"));
    match c.dims().filter(|_| !state.tokens.is_empty()) {
        Some(d) => grid(c, area, inside, d),
        None => c.nothing(inside, "no token yet"),
    }
}

fn grid(c: &mut Canvas, area: Rect, inside: Rect, d: Dims) {
    let (state, cursor, pane) = (c.state, c.state.cursor, c.pane);
    let (sites, has_both) = (pane.lens.sites(), pane.lens.site.is_none());
    let left = if has_both { 10 } else { 5 };
    let column = if c.pane.lens.measure == LensMeasure::Top { COLUMNS.0 } else { COLUMNS.1 };
    let columns = (usize::from(inside.width.saturating_sub(left)) / column).max(1);
    let shown = window(cursor.token, state.tokens.len(), columns);
    let has_legend = inside.height >= 7;
    // On a low screen the row of the cursor is more important than the model's own answer.
    let has_out = inside.height >= 3;
    let top = 1 + u16::from(has_out);
    let body = usize::from(inside.height.saturating_sub(top + u16::from(has_legend))).max(1);
    let forward = || (0..d.layers).flat_map(|layer| sites.iter().map(move |site| (layer, *site)));
    let mut places: Vec<(usize, LensSite)> = forward().collect();
    places.reverse();
    let chosen = (cursor.layer, pane.lens.site());
    let at = places.iter().position(|place| *place == chosen).unwrap_or(0);
    let rows = window(at, places.len(), body);
    c.left_out(area, &rows, places.len());
    let place_of = |row: usize| inside.y + top + (row - rows.start) as u16;
    for row in rows.clone() {
        let (layer, site) = places[row];
        let is_chosen = places[row] == chosen;
        let site =
            if has_both { format!("{:>5}", site.to_string().trim_start_matches("resid_")) } else { String::new() };
        let label = format!("{}{:<3}{site}", if is_chosen { "▸" } else { " " }, format!("L{layer}"));
        let style = if is_chosen { c.theme.accent() } else { c.theme.dim() };
        let end = c.put(inside, inside.x, place_of(row), &label, style);
        if !c.has_lens(layer, places[row].1) {
            c.put(inside, end + 1, place_of(row), ABSENT, c.theme.dim());
        }
        let line = Rect { y: place_of(row), height: 1, ..inside };
        c.hit(line.intersection(inside), Spot { layer: Some(layer), ..Spot::default() });
    }
    if has_out {
        c.put(inside, inside.x, inside.y + 1, " out", c.theme.dim());
    }
    for (i, pos) in shown.clone().enumerate() {
        let x = inside.x + left + (i * column) as u16;
        let head = fit(c.shown(pos), column - 1);
        c.put(inside, x, inside.y, &head, if pos == cursor.token { c.theme.cursor() } else { c.theme.strong() });
        let strip = Rect { x, width: (column - 1) as u16, ..inside };
        c.hit(strip.intersection(inside), Spot { token: Some(pos), ..Spot::default() });
        let next = &state.tokens[pos].next;
        let answer = next.top.first();
        let (text, shade) = match (c.pane.lens.measure, answer) {
            (_, None) => (if i == 0 { ABSENT.to_owned() } else { String::new() }, f32::NAN),
            (LensMeasure::Top, answer) => token_text(answer, column - 1),
            (LensMeasure::Kl, _) => number(0.0, column - 1, d),
            (LensMeasure::Entropy, _) => number(next.entropy, column - 1, d),
            (LensMeasure::Rank, _) => rank(1, column - 1, d),
        };
        if has_out {
            c.put(inside, x, inside.y + 1, &text, if shade.is_nan() { c.theme.dim() } else { c.theme.heat(shade) });
        }
        let cell = |(layer, site)| state.derived.lens(LensKey { pos, layer, site });
        let leads =
            |cell: &LensCell| answer.is_some_and(|answer| cell.top.first().is_some_and(|top| top.id == answer.id));
        let leading: Option<Vec<bool>> = forward().map(|place| cell(place).map(leads)).collect();
        let lead = leading.and_then(|leading| Lead::of(&leading));
        for row in rows.clone() {
            let Some(cell) = cell(places[row]) else { continue };
            let (text, shade) = cell_text(c.pane.lens.measure, cell, column - 1, d);
            let along = places.len() - 1 - row;
            let mark = match lead {
                Some(lead) if lead.stays == Some(along) => MARKS.1,
                Some(lead) if lead.first == along => MARKS.0,
                _ => "",
            };
            let is_at = pos == cursor.token && places[row] == chosen;
            let style = if is_at { c.theme.cursor() } else { c.theme.heat(shade) };
            let emphasis = if mark.is_empty() { Modifier::empty() } else { Modifier::BOLD | Modifier::UNDERLINED };
            c.put(inside, x - 1, place_of(row), mark, c.theme.accent());
            c.put(inside, x, place_of(row), &text, style.add_modifier(emphasis));
        }
    }
    want(c, d, shown, sites);
    if has_legend {
        legend(c, inside, d);
    }
}

/// The text of a cell, and its brightness.
fn cell_text(measure: LensMeasure, cell: &LensCell, room: usize, d: Dims) -> (String, f32) {
    match measure {
        LensMeasure::Top => token_text(cell.top.first(), room),
        LensMeasure::Kl => number(cell.kl, room, d),
        LensMeasure::Entropy => number(cell.entropy, room, d),
        LensMeasure::Rank => rank(cell.final_rank, room, d),
    }
}

fn token_text(best: Option<&Candidate>, room: usize) -> (String, f32) {
    let Some(best) = best else { return (String::new(), 0.0) };
    let p = prob(best.prob);
    let text = fit(&show_piece(&best.piece), room.saturating_sub(p.len() + 1));
    let gap = room.saturating_sub(width(&text) + p.len());
    (format!("{text}{}{p}", " ".repeat(gap)), best.prob)
}

/// Nats, with full brightness at the entropy of a uniform distribution over the vocabulary.
fn number(nats: f32, room: usize, d: Dims) -> (String, f32) {
    (format!("{nats:>room$.2}"), nats / (d.vocab as f32).ln())
}

/// A rank, with a brightness by its logarithm; the first rank is brightest.
fn rank(rank: u32, room: usize, d: Dims) -> (String, f32) {
    (format!("{rank:>room$}"), 1.0 - (rank as f32).ln() / (d.vocab as f32).ln())
}

fn legend(c: &mut Canvas, inside: Rect, d: Dims) {
    let y = inside.bottom() - 1;
    let most = format!("{:.1} nats (ln of {} tokens)", (d.vocab as f32).ln(), d.vocab);
    let (low, high, note) = match c.pane.lens.measure {
        LensMeasure::Top => ("0", "1", "probability of the next token · out = the model's own"),
        LensMeasure::Kl => ("0", most.as_str(), "out = the model's own"),
        LensMeasure::Entropy => ("0", most.as_str(), "out = the model's own"),
        LensMeasure::Rank => ("last", "rank 1", "out = the model's own"),
    };
    let mut x = c.put(inside, inside.x + 1, y, &format!("{low} "), c.theme.dim());
    if c.theme.has_ramp() {
        for i in 0..8 {
            x = c.put(inside, x, y, " ", c.theme.heat(i as f32 / 7.0));
        }
    } else {
        x = c.put(inside, x, y, "to", c.theme.dim());
    }
    let marks = format!("{} the final answer first leads {} and stays", MARKS.0, MARKS.1);
    let forms = [format!(" {high}  {note} · {marks}"), format!(" {high}  {marks}"), format!(" {high}  {note}")];
    let room = usize::from(inside.right().saturating_sub(x));
    let text = forms.iter().find(|text| width(text) <= room).map_or_else(|| fit(&forms[1], room), Clone::clone);
    c.put(inside, x, y, &text, c.theme.dim());
}
