//! The candidates for the token after the cursor.

pub mod details;

use super::lens::glyph;
use crate::analysis::Tempered;
use crate::state::Spot;
use crate::state::State;
use crate::state::text::{fit, quoted, show_piece, width};
use crate::trace::{Candidate, TokenRecord};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::sampling;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// Width of the table, cells.
const WIDTH: u16 = 76;

pub const PANEL: Panel = Panel {
    details: Some(details::draw),
    lines: |state, _, _| Some(3 + state.token()?.next.top.len()),
    width: Some(WIDTH),
    ..Panel::new(draw)
};

/// Draws the candidates as a table, with the marks of those that are followed in the lens.
fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = view_panel(c, area, [format!("after token {} {}", cursor.token, quoted(c.shown(cursor.token)))]);
    let Some(token) = state.token() else { return c.nothing(inside, "no token yet") };
    if token.next.is_absent() {
        return c.nothing(inside, "not in this trace: logits, candidates");
    }
    let follows = state.tokens.get(cursor.token + 1);
    let room = usize::from(inside.width.saturating_sub(2));
    let sampled = state.derived.tempered(cursor.token, &state.sampling);
    let is_saved = c.is_saved();
    if sampled.is_none() && !is_saved {
        c.wanted.tempered = Some((cursor.token, state.sampling));
    }
    let text = if is_saved {
        "a saved run: o opens a model to continue".to_owned()
    } else {
        format!("enter reads the marked token next{}", rewinds(follows))
    };
    let dim = c.theme.dim();
    let mut head = inside.y;
    if inside.height >= 3 {
        c.put(inside, inside.x + 1, head, &fit(&entropies(token, state, sampled), room), c.theme.strong());
        head += 1;
    }
    if inside.height >= 6 {
        c.put(inside, inside.x + 1, head, &fit(&text, room), dim);
        head += 1;
    }
    let columns = Columns::fitting(room, if is_saved { "" } else { "…" });
    c.put(inside, inside.x + 1, head, &columns.head(), dim);
    let rows = usize::from(inside.bottom().saturating_sub(head + 1));
    let top = &token.next.top;
    let shown = window(cursor.candidate, top.len(), rows);
    c.left_out(area, &shown, top.len());
    let mut sum: f32 = top[..shown.start].iter().map(|candidate| candidate.prob).sum();
    for (y, k) in (head + 1..inside.bottom()).zip(shown) {
        let candidate = &top[k];
        sum += candidate.prob;
        let is_taken = follows.is_some_and(|next| next.id == candidate.id);
        let mark = match (k == cursor.candidate, is_taken) {
            (true, true) => "▸→",
            (true, false) => "▸ ",
            (false, true) => " →",
            (false, false) => "  ",
        };
        let target = state.target(candidate.id);
        let p_sampled = sampled.and_then(|sampled| sampled.probs.get(k).copied());
        let text =
            format!("{mark}{:>3} {}{}", k + 1, target.map_or(' ', glyph), columns.row(candidate, p_sampled, sum));
        let style = if k == cursor.candidate {
            c.theme.cursor()
        } else if is_taken {
            c.theme.strong()
        } else {
            dim
        };
        c.put(inside, inside.x + 1, y, &text, style);
        if k == cursor.candidate {
            // In reversed colours, a bar would look like a gap.
            let style = c.theme.strong().remove_modifier(Modifier::REVERSED);
            c.put(inside, inside.x + 1 + columns.before_bar(), y, &columns.bar(candidate.prob), style);
        }
        let spot = Spot { candidate: Some(k), ..Spot::default() };
        c.hit(Rect { y, height: 1, ..inside }, spot);
    }
}

/// The entropy of the next token, before and after sampling is applied.
fn entropies(token: &TokenRecord, state: &State, sampled: Option<&Tempered>) -> String {
    let sampling = &state.sampling;
    let before = format!("entropy {:.2} nats at T 1", token.next.entropy);
    let how = sampling::in_words(state);
    let Some(sampled) = sampled else { return if how.is_empty() { before } else { format!("{before} · {how}") } };
    if sampled.kept == 1 {
        return format!("{before} · {how}: only the first can be sampled");
    }
    let heated = format!("{before} · {:.2} at T {}", sampled.heated, sampling.temperature);
    if sampling.top_k.is_none() && sampling.top_p.is_none() {
        return heated;
    }
    format!("{heated} · {:.2} for the {} tokens kept", sampled.entropy, sampled.kept)
}

/// The columns that fit, and their widths.
struct Columns {
    name: usize,
    bar: usize,
    has_sum: bool,
    has_logit: bool,
    has_id: bool,
    /// Stands for an unknown probability.
    unknown: &'static str,
}

impl Columns {
    fn fitting(room: usize, unknown: &'static str) -> Self {
        // Marks, number, name, p at T 1 and p with sampling.
        let name = room.saturating_sub(23).clamp(6, 18);
        let mut left = room.saturating_sub(7 + name + 16);
        let mut take = |cells: usize| {
            let fits = left >= cells;
            left -= if fits { cells } else { 0 };
            fits
        };
        let (has_sum, has_logit, has_id) = (take(6), take(8), take(8));
        let bar = if left > 4 { (left - 1).min(12) } else { 0 };
        Self { name, bar, has_sum, has_logit, has_id, unknown }
    }

    /// Cells before the bar.
    fn before_bar(&self) -> u16 {
        (15 + self.name) as u16
    }

    fn bar(&self, p: f32) -> String {
        if self.bar == 0 { String::new() } else { format!(" {:<1$}", bar(p, self.bar), self.bar) }
    }

    fn head(&self) -> String {
        let mut head = format!("    k  {:<2$} p at T1{} sampled", "token", self.bar(0.0), self.name);
        for (has, name) in [(self.has_sum, "   sum"), (self.has_logit, "   logit"), (self.has_id, "      id")] {
            head += if has { name } else { "" };
        }
        head
    }

    fn row(&self, candidate: &Candidate, sampled: Option<f32>, sum: f32) -> String {
        let name = fit(&show_piece(&candidate.piece), self.name);
        let pad = " ".repeat(self.name - width(&name));
        let sampled = match sampled {
            None => self.unknown.to_owned(),
            Some(0.0) => "–".to_owned(),
            Some(p) => exact(p),
        };
        let p = candidate.prob;
        let mut row = format!("{name}{pad} {:>7}{} {sampled:>7}", exact(p), self.bar(p));
        if self.has_sum {
            row += &format!(" {sum:.3}");
        }
        if self.has_logit {
            row += &format!(" {:>7.3}", candidate.logit);
        }
        if self.has_id {
            row += &format!(" {:>7}", candidate.id);
        }
        row
    }
}

/// A probability with four digits, or its order of magnitude.
fn exact(p: f32) -> String {
    if p > 0.0 && p < 0.0001 { format!("{p:.0e}") } else { format!("{p:.4}") }
}

fn rewinds(follows: Option<&std::sync::Arc<TokenRecord>>) -> String {
    follows.map_or_else(String::new, |next| {
        format!(", not → {} and what follows", quoted(&fit(&show_piece(&next.piece), 12)))
    })
}
