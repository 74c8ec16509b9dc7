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
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use std::ops::Range;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, pane, _| Some(3 + pane.lens.sites().len() * state.meta()?.dims.layers),
    ..Panel::new(draw)
};

/// Width of a column with a token and its probability, and of one with a number; the last cell stays free.
const COLUMNS: (usize, usize) = (13, 9);
/// The widest column, where there is room for whole tokens.
const WIDEST: usize = 24;
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
    let inside = view_panel(c, area, [format!("{site} · {what}"), what.to_owned(), String::new()]);
    match c.dims().filter(|_| !state.tokens.is_empty()) {
        Some(d) => grid(c, area, inside, d),
        None => c.nothing(inside, "no token yet"),
    }
}

/// The rows and columns of the grid, and how often it is repeated for the tokens that do not fit across.
struct Plan {
    left: u16,
    column: usize,
    /// Tokens of a band, and bands.
    tokens: usize,
    bands: usize,
    /// Lines above the layers: the names of the tokens, and the model's own answers.
    top: u16,
    /// Visible rows of residuals.
    rows: Range<usize>,
}

impl Plan {
    fn new(inside: Rect, left: u16, narrow: usize, tokens: usize, (at, places): (usize, usize)) -> Self {
        // On a low screen the row of the cursor is more important than the model's own answer.
        let top = 1 + u16::from(inside.height >= 3);
        let down = usize::from(inside.height.saturating_sub(u16::from(has_legend(inside))));
        let body = down.saturating_sub(usize::from(top)).max(1);
        let across = usize::from(inside.width.saturating_sub(left));
        let columns = (across / narrow).max(1);
        let bands = (down / (places + usize::from(top))).clamp(1, tokens.div_ceil(columns).max(1));
        // A text that fits one band has larger cells.
        let column = if bands == 1 { (across / tokens.max(1)).clamp(narrow, narrow.max(WIDEST)) } else { narrow };
        Self { left, column, tokens: (across / column).max(1), bands, top, rows: window(at, places, body) }
    }

    /// Lines of a band.
    fn height(&self) -> u16 {
        self.top + self.rows.len() as u16
    }
}

/// Whether there is room for a legend.
fn has_legend(inside: Rect) -> bool {
    inside.height >= 7
}

fn grid(c: &mut Canvas, area: Rect, inside: Rect, d: Dims) {
    let (cursor, pane, all) = (c.state.cursor, c.pane, c.state.tokens.len());
    let left = if pane.lens.site.is_none() { 10 } else { 5 };
    let column = if pane.lens.measure == LensMeasure::Top { COLUMNS.0 } else { COLUMNS.1 };
    let places: Vec<(usize, LensSite)> = forward(c, d).into_iter().rev().collect();
    let chosen = (cursor.layer, pane.lens.site());
    let at = places.iter().position(|place| *place == chosen).unwrap_or(0);
    let plan = Plan::new(inside, left, column, all, (at, places.len()));
    c.left_out(area, &plan.rows, places.len());
    let bands = window(cursor.token / plan.tokens, all.div_ceil(plan.tokens), plan.bands);
    let mut seen = Vec::new();
    for (i, band) in bands.enumerate() {
        let tokens = match plan.bands {
            // One band follows the cursor token by token.
            1 => window(cursor.token, all, plan.tokens),
            _ => band * plan.tokens..((band + 1) * plan.tokens).min(all),
        };
        let place = Rect { y: inside.y + i as u16 * plan.height(), height: plan.height(), ..inside };
        draw_band(c, place.intersection(inside), &plan, &places, tokens.clone(), d);
        seen.extend(tokens);
    }
    want(c, d, seen.into_iter(), pane.lens.sites());
    if has_legend(inside) {
        legend(c, inside, d);
    }
}

/// The residuals that the grid reads, in the order of the pass.
fn forward(c: &Canvas, d: Dims) -> Vec<(usize, LensSite)> {
    (0..d.layers).flat_map(|layer| c.pane.lens.sites().iter().map(move |site| (layer, *site))).collect()
}

/// Draws the layers of some tokens at `place`.
fn draw_band(c: &mut Canvas, place: Rect, plan: &Plan, places: &[(usize, LensSite)], tokens: Range<usize>, d: Dims) {
    let (state, cursor, pane) = (c.state, c.state.cursor, c.pane);
    let chosen = (cursor.layer, pane.lens.site());
    let has_out = plan.top > 1;
    let place_of = |row: usize| place.y + plan.top + (row - plan.rows.start) as u16;
    for row in plan.rows.clone() {
        let (layer, site) = places[row];
        let is_chosen = places[row] == chosen;
        let site = match pane.lens.site {
            None => format!("{:>5}", site.to_string().trim_start_matches("resid_")),
            Some(_) => String::new(),
        };
        let label = format!("{}{:<3}{site}", if is_chosen { "▸" } else { " " }, format!("L{layer}"));
        let style = if is_chosen { c.theme.accent() } else { c.theme.dim() };
        let end = c.put(place, place.x, place_of(row), &label, style);
        if !c.has_lens(layer, places[row].1) {
            c.put(place, end + 1, place_of(row), ABSENT, c.theme.dim());
        }
        let line = Rect { y: place_of(row), height: 1, ..place };
        c.hit(line.intersection(place), Spot { layer: Some(layer), ..Spot::default() });
    }
    if has_out {
        c.put(place, place.x, place.y + 1, " out", c.theme.dim());
    }
    let forward = forward(c, d);
    let room = plan.column - 1;
    for (i, pos) in tokens.enumerate() {
        let x = place.x + plan.left + (i * plan.column) as u16;
        let head = fit(c.shown(pos), room);
        c.put(place, x, place.y, &head, if pos == cursor.token { c.theme.cursor() } else { c.theme.strong() });
        let strip = Rect { x, width: room as u16, ..place };
        c.hit(strip.intersection(place), Spot { token: Some(pos), ..Spot::default() });
        let next = &state.tokens[pos].next;
        let answer = next.top.first();
        let (text, shade) = match (pane.lens.measure, answer) {
            (_, None) => (if i == 0 { ABSENT.to_owned() } else { String::new() }, f32::NAN),
            (LensMeasure::Top, answer) => token_text(answer, room),
            (LensMeasure::Kl, _) => number(0.0, room, d),
            (LensMeasure::Entropy, _) => number(next.entropy, room, d),
            (LensMeasure::Rank, _) => rank(1, room, d),
        };
        if has_out {
            c.put(place, x, place.y + 1, &text, if shade.is_nan() { c.theme.dim() } else { c.theme.heat(shade) });
        }
        let cell = |(layer, site)| state.derived.lens(LensKey { pos, layer, site });
        let leads =
            |cell: &LensCell| answer.is_some_and(|answer| cell.top.first().is_some_and(|top| top.id == answer.id));
        let leading: Option<Vec<bool>> = forward.iter().map(|place| cell(*place).map(leads)).collect();
        let lead = leading.and_then(|leading| Lead::of(&leading));
        for row in plan.rows.clone() {
            let Some(cell) = cell(places[row]) else { continue };
            let (text, shade) = cell_text(pane.lens.measure, cell, room, d);
            let along = places.len() - 1 - row;
            let mark = match lead {
                Some(lead) if lead.stays == Some(along) => MARKS.1,
                Some(lead) if lead.first == along => MARKS.0,
                _ => "",
            };
            let is_at = pos == cursor.token && places[row] == chosen;
            let style = if is_at { c.theme.cursor() } else { c.theme.heat(shade) };
            let emphasis = if mark.is_empty() { Modifier::empty() } else { Modifier::BOLD | Modifier::UNDERLINED };
            c.put(place, x - 1, place_of(row), mark, c.theme.accent());
            c.put(place, x, place_of(row), &text, style.add_modifier(emphasis));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_wrap_into_bands_and_short_ones_get_wide_columns() {
        let plan = |tokens, height| {
            let plan = Plan::new(Rect::new(0, 0, 109, height), 5, 13, tokens, (0, 6));
            (plan.tokens, plan.bands, plan.column, plan.rows.len())
        };
        assert_eq!(plan(4, 30), (4, 1, 24, 6), "whole tokens");
        assert_eq!(plan(8, 30), (8, 1, 13, 6));
        assert_eq!(plan(9, 30), (8, 2, 13, 6), "the rest follows below");
        assert_eq!(plan(4000, 30), (8, 3, 13, 6));
        assert_eq!(plan(4000, 7), (8, 1, 13, 4), "layers are scrolled where they do not fit");
    }
}
