//! Two runs side by side, token by token.
//!
//! ```text
//!       A           B             KL  flips  experts L5    lens L5        next
//!    3 ·France     ·Italy      0.812      4  3 1 │ 3 2     ·P │ ·R        ·Paris │ ·Rome
//! ```

use super::want_baseline;
use crate::analysis::Aligned;
use crate::analysis::diff::same_experts;
use crate::state::text::{fit, harmless, quoted, show_piece, width};
use crate::state::{Spot, State};
use crate::trace::{LensKey, TokenRecord};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::number::signed;
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub const PANEL: Panel = Panel { details: Some(details), ..Panel::new(draw) };

/// Widths of a token and of a pair of values, cells.
const TOKEN: usize = 12;
const PAIR: usize = 23;

fn draw(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let Some(title) = title(c) else {
        let inside = view_panel(c, area, [String::new()]);
        let text = if state.tokens.is_empty() {
            "no token yet"
        } else if c.is_saved() {
            "one saved run: `mixscope open B --against A` compares two"
        } else {
            "C compares with a second prompt; p with another policy; I with an edit of the pass"
        };
        return c.nothing(inside, text);
    };
    let inside = view_panel(c, area, [title]);
    let rows = state.compared_rows();
    if rows.is_empty() {
        let text = match &state.second {
            Some(second) => second.failure().map_or("reading the second prompt …".to_owned(), |why| {
                format!("the second prompt can't be read: {}", harmless(why))
            }),
            None => "reading A …".to_owned(),
        };
        return c.nothing(inside, &text);
    }
    if let Some(other) = state.other_run().filter(|other| state.derived.distance(other).is_none() && !state.is_busy()) {
        c.wanted.experiments.distance = Some(other);
    }
    let distance = state.compared_distance();
    let is_known = distance.is_some() || state.other_run().is_some();
    let at = state.compared_at(&rows);
    let layer = state.cursor.layer;
    let columns = Columns::of(state, usize::from(inside.width));
    c.put(inside, inside.x, inside.y, &columns.heading(layer), c.theme.dim());
    let body = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    let shown = window(at, rows.len(), usize::from(body.height));
    c.left_out(area, &shown, rows.len());
    want_lens(c, &rows[shown.clone()], columns.lens);
    for (y, row) in (body.y..body.bottom()).zip(shown) {
        let own = if state.compares_prompts() { rows[row].0 } else { rows[row].1 };
        let kl = distance.and_then(|found| *found.kl.get(row)?);
        columns.put(c, inside, y, (kl, is_known, rows[row]), row == at);
        if let Some(pos) = own {
            c.hit_lines(inside, y, 1, Spot { token: Some(pos), ..Spot::default() });
        }
    }
}

/// The names of both runs; requests what is missing of them.
fn title(c: &mut Canvas) -> Option<String> {
    let state = c.state;
    if let Some(second) = &state.second {
        if let Some(prompt) = state.unread_second().filter(|_| !state.is_busy()) {
            c.wanted.experiments.second = Some(prompt.clone());
        }
        return Some(format!("compare · A this run, B {}", quoted(&second.shown(40))));
    }
    let (a, b) = want_baseline(c)?;
    Some(format!("compare · A {a}, B {b}"))
}

/// Requests lens cells of both runs in the layer of the cursor.
fn want_lens(c: &mut Canvas, rows: &[Aligned], is_shown: bool) {
    let state = c.state;
    if !is_shown || c.is_saved() || state.is_busy() {
        return;
    }
    let (layer, site) = (state.cursor.layer, c.pane.lens.site());
    let key = |pos: usize| LensKey { pos, layer, site };
    let lacks = |at: usize| -> Vec<LensKey> {
        let position = |row: &Aligned| if at == 0 { row.0 } else { row.1 };
        let cells = rows.iter().filter(|row| state.compared_lens(**row)[at].is_none());
        cells.filter_map(position).map(key).collect()
    };
    let [of_a, of_b] = [lacks(0), lacks(1)];
    match &state.second {
        Some(second) if !second.tokens().is_empty() => {
            c.wanted.lens.extend(of_a);
            if !of_b.is_empty() {
                c.wanted.experiments.lens = Some((second.prompt.clone(), of_b));
            }
        }
        Some(_) => {}
        None => {
            c.wanted.lens.extend(of_b);
            if let (false, Some(variant)) = (of_a.is_empty(), state.baseline.variant()) {
                c.wanted.baseline.lens = Some((variant.clone(), of_a));
            }
        }
    }
}

/// The columns that fit, the least important ones last.
struct Columns {
    two_texts: bool,
    losses: bool,
    experts: bool,
    lens: bool,
    next: bool,
}

impl Columns {
    fn of(state: &State, room: usize) -> Self {
        let two_texts = state.compares_prompts();
        let mut left = room.saturating_sub(6 + TOKEN + if two_texts { TOKEN } else { 0 } + 18);
        let mut take = |cells: usize| {
            let fits = left >= cells;
            left -= if fits { cells } else { 0 };
            fits
        };
        let next = take(PAIR + 2);
        let losses = take(18);
        let experts = take(16);
        let lens = take(PAIR + 2);
        Self { two_texts, losses, experts, lens, next }
    }

    fn heading(&self, layer: usize) -> String {
        let mut text = format!("      {:<TOKEN$}", if self.two_texts { "A" } else { "token" });
        if self.two_texts {
            text += &format!("{:<TOKEN$}", "B");
        }
        text += &format!("{:>9} {:>6}  ", "KL", "flips");
        for (is_shown, name, cells) in [
            (self.losses, "loss A     B".to_owned(), 18),
            (self.experts, format!("experts L{layer}"), 16),
            (self.lens, format!("lens L{layer}: A │ B"), PAIR + 2),
            (self.next, "next: A │ B".to_owned(), PAIR + 2),
        ] {
            if is_shown {
                text += &format!("{name:<cells$}");
            }
        }
        text
    }

    fn put(
        &self,
        c: &mut Canvas,
        inside: Rect,
        y: u16,
        (kl, is_known, row): (Option<f64>, bool, Aligned),
        is_here: bool,
    ) {
        let state = c.state;
        let [a, b] = state.compared_records(row);
        let layers = state.meta().map_or(0, |meta| meta.dims.layers);
        let dim = c.theme.dim();
        let style = if is_here { c.theme.cursor() } else { Style::new() };
        let number = row.0.or(row.1).map_or(String::new(), |pos| pos.to_string());
        let token = |record: Option<&TokenRecord>| record.map_or("–".to_owned(), |record| show_piece(&record.piece));
        let mut x = c.put(inside, inside.x, y, &format!("{number:>5} "), dim);
        let differs = a.zip(b).is_none_or(|(a, b)| a.id != b.id);
        if self.two_texts {
            let of_text = if differs && !is_here { c.theme.warn() } else { style };
            x = c.put(inside, x, y, &padded(&token(a), TOKEN), of_text);
            x = c.put(inside, x, y, &padded(&token(b), TOKEN), of_text);
        } else {
            x = c.put(inside, x, y, &padded(&token(b.or(a)), TOKEN), style);
        }
        let kl = match kl {
            Some(kl) => signed(kl).trim_start_matches('+').to_owned(),
            None if is_known && a.is_some() && b.is_some() => "…".to_owned(),
            None => String::new(),
        };
        x = c.put(inside, x, y, &format!("{kl:>9} "), if kl == "0" { dim } else { style });
        let flips =
            a.zip(b).map(|(a, b)| (0..layers).filter(|layer| same_experts(a, b, *layer) == Some(false)).count());
        let flips_style = if flips.unwrap_or(0) > 0 { c.theme.warn() } else { dim };
        x = c.put(inside, x, y, &format!("{:>6}  ", flips.map_or(String::new(), |n| n.to_string())), flips_style);
        if self.losses {
            let loss = |record: Option<&TokenRecord>| {
                record.and_then(|record| record.score).map_or(String::new(), |score| format!("{:.3}", score.nll))
            };
            x = c.put(inside, x, y, &format!("{:<8}{:<10}", loss(a), loss(b)), dim);
        }
        if self.experts {
            let layer = state.cursor.layer;
            let chosen = |record: Option<&TokenRecord>| {
                let chosen = record.and_then(|record| record.experts(layer)).unwrap_or_default();
                chosen.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
            };
            let differs = a.zip(b).is_some_and(|(a, b)| same_experts(a, b, layer) == Some(false));
            let text = format!("{} │ {}", chosen(a), chosen(b));
            x = c.put(inside, x, y, &padded(&text, 16), if differs { c.theme.warn() } else { dim });
        }
        if self.lens {
            let [a, b] = state.compared_lens(row).map(|cell| {
                let best = cell.and_then(|cell| cell.top.first());
                best.map_or("…".to_owned(), |best| show_piece(&best.piece))
            });
            x = put_pair(c, inside, (x, y), [&a, &b]);
        }
        if self.next {
            let best = |record: Option<&TokenRecord>| {
                let best = record.and_then(|record| record.next.top.first());
                best.map_or(String::new(), |best| show_piece(&best.piece))
            };
            put_pair(c, inside, (x, y), [&best(a), &best(b)]);
        }
    }
}

fn put_pair(c: &mut Canvas, inside: Rect, (x, y): (u16, u16), [a, b]: [&str; 2]) -> u16 {
    let half = PAIR / 2 - 1;
    let text = format!("{} │ {}", padded(a, half), fit(b, half));
    let style = if a == b { c.theme.dim() } else { c.theme.strong() };
    c.put(inside, x, y, &padded(&text, PAIR + 2), style)
}

fn padded(text: &str, cells: usize) -> String {
    let text = fit(text, cells.saturating_sub(1));
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(&text))))
}

/// Sums over all tokens, and the residual stream by layer.
fn details(c: &mut Canvas, area: Rect) {
    let state = c.state;
    let inside = c.panel(area, "A and B");
    let rows = state.compared_rows();
    if rows.is_empty() {
        return;
    }
    let layers = state.meta().map_or(0, |meta| meta.dims.layers);
    // Of one text, the differences are counted as the tokens arrive.
    let counted = state.baseline.diff().filter(|_| state.second.is_none());
    let shown = if counted.is_some() { &[][..] } else { &rows[..] };
    let pairs: Vec<[Option<&TokenRecord>; 2]> = shown.iter().map(|row| state.compared_records(*row)).collect();
    let mut lines: Vec<(String, Style)> = Vec::new();
    let losses = |at: usize| -> Option<f64> {
        // Only what both texts have can be compared.
        let both = pairs
            .iter()
            .filter(|pair| pair[0].zip(pair[1]).is_some_and(|(a, b)| a.score.is_some() && b.score.is_some()));
        let scores: Vec<f64> = both.filter_map(|pair| pair[at]?.score).map(|score| f64::from(score.nll)).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    };
    let of_two =
        counted.and_then(crate::analysis::diff::RunDiff::mean_losses).or_else(|| Some([losses(0)?, losses(1)?]));
    if let Some([a, b]) = of_two {
        lines.push((format!("mean loss A {a:.4}  B {b:.4}"), c.theme.strong()));
        lines.push((format!("B − A {} nats a token", signed(b - a)), c.theme.dim()));
    }
    let distance = state.other_run().and_then(|other| state.derived.distance(&other));
    if let Some(found) = distance {
        let known: Vec<f64> = found.kl.iter().copied().flatten().collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        lines.push((format!("mean KL(A ‖ B) {} nats", signed(mean).trim_start_matches('+')), c.theme.dim()));
    }
    lines.push((String::new(), c.theme.dim()));
    lines.push(("layer  flips  change of resid_post".to_owned(), c.theme.strong()));
    for layer in (0..layers).rev() {
        let differs = |pair: &&[Option<&TokenRecord>; 2]| {
            pair[0].zip(pair[1]).is_some_and(|(a, b)| same_experts(a, b, layer) == Some(false))
        };
        let counted = counted.and_then(|found| found.layers().get(layer)).map(|found| found.flips().len());
        let flips = counted.unwrap_or_else(|| pairs.iter().filter(differs).count());
        let change = match (distance.and_then(|found| found.residual.get(layer)), state.other_run()) {
            (Some(change), _) => format!("{:.2} %", change * 100.0),
            (None, Some(_)) => "…".to_owned(),
            (None, None) => "needs a model".to_owned(),
        };
        let style = if layer == state.cursor.layer { c.theme.accent() } else { c.theme.dim() };
        lines.push((format!("L{layer:<5} {flips:>5}  {change}"), style));
    }
    let room = usize::from(inside.width.saturating_sub(1));
    c.left_out(area, &(0..usize::from(inside.height)), lines.len());
    for (y, (text, style)) in (inside.y..inside.bottom()).zip(lines) {
        c.put(inside, inside.x + 1, y, &fit(&text, room), style);
    }
}
