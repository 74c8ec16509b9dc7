//! Layers × tokens: the first chosen expert above the second. Tokens that do not fit across follow in the next band.
//!
//! ```text
//!       ·On ce ·up …
//!   L5  3 1 3≈ 0
//!       1 4 5≈ 2
//! ▸L4   …
//! ```

use super::details;
use crate::analysis::routing::TokenRouting;
use crate::state::text::width;
use crate::state::{Pane, Spot, State};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::theme::marks::{EDITED, NEAR_TIE};
use crate::ui::views::Panel;
use crate::ui::widgets::number::prob;
use crate::ui::widgets::token_names::{NAMES, put_token_names};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

pub const PANEL: Panel = Panel { details: Some(details::draw), lines, ..Panel::new(draw) };

/// The drawing of the cells, and the resulting numbers of tokens and bands.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    /// Width of a token, cells.
    column: usize,
    /// Lines per layer: the first expert, the second one, the margin, and a blank one.
    lines: usize,
    /// Tokens per band.
    tokens: usize,
    /// Bands that fit.
    bands: usize,
    /// Layers of a band that fit.
    layers: usize,
}

impl Plan {
    /// The most spacious drawing in which `tokens` fit `across` × `down` cells; if there is none, the densest.
    fn new(tokens: usize, layers: usize, experts: usize, top_k: usize, across: usize, down: usize) -> Self {
        let digits = digits(experts);
        let plan = |column: usize, lines: usize| {
            let fitting = (down.saturating_sub(1) / lines).clamp(1, layers.max(1));
            let bands = if fitting < layers { 1 } else { (down / (layers * lines + 1)).max(1) };
            Self { column, lines, tokens: (across / column).max(1), bands, layers: fitting }
        };
        let two = top_k > 1;
        let side_by_side = if two { 2 * digits } else { digits + 1 };
        let mut plans = Vec::new();
        // A text that fits one band has room for the names of its tokens.
        let wide = (across / tokens.max(1)).min(WIDEST);
        if wide > digits + 1 {
            let experts = if two { 2 } else { 1 };
            if wide >= WITH_MARGIN {
                plans.push(plan(wide, experts + 2));
                plans.push(plan(wide, experts + 1));
            }
            plans.push(plan(wide, experts));
        }
        if two {
            plans.push(plan(digits + 1, 2));
        }
        // Next to each other, two digits are two experts, and longer numbers need a blank between tokens.
        let narrow = side_by_side + usize::from(two && digits > 1) * 2;
        if wide > narrow {
            plans.push(plan(wide, 1));
        }
        plans.push(plan(narrow, 1));
        if digits == 1 {
            plans.extend(two.then(|| plan(1, 2)));
            plans.push(plan(1, 1));
        }
        let densest = plans[plans.len() - 1];
        // If not even the densest drawing shows all layers, they are scrolled anyway.
        let scrolled = densest.layers < layers;
        let fits =
            |plan: &&Self| plan.bands * plan.tokens >= tokens && (plan.layers == layers || scrolled && plan.lines == 1);
        plans.iter().find(fits).copied().unwrap_or(densest)
    }
}

/// The widest column of a token, and the least width of one with probabilities, cells.
const WIDEST: usize = 10;
const NAMED_FROM: usize = 8;
/// The least width of a column with margins.
const WITH_MARGIN: usize = 6;

/// Width of the number of an expert, cells; up to 36 experts have one digit, 0 to z.
fn digits(experts: usize) -> usize {
    if experts <= 36 { 1 } else { (experts - 1).to_string().len() }
}

fn number(expert: usize, digits: usize) -> String {
    match u32::try_from(expert).ok().and_then(|e| char::from_digit(e, 36)) {
        Some(digit) if digits == 1 => digit.to_string(),
        _ => format!("{expert:>digits$}"),
    }
}

/// Two lines per layer if one band holds all tokens; else the map fills any height with bands.
fn lines(state: &State, _: &Pane, across: u16) -> Option<usize> {
    let is_one_band = state.tokens.len() * 2 + 8 <= usize::from(across);
    Some(2 + 2 * state.meta()?.dims.layers).filter(|_| is_one_band)
}

fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let all = state.tokens.len();
    let Some(d) = c.dims().filter(|_| all > 0) else {
        let inside = view_panel(c, area, [String::new()]);
        return c.nothing(inside, "no token yet");
    };
    // Frame and title take the same room, whatever the title.
    let edge = u16::from(c.framed);
    let across = usize::from(area.width.saturating_sub(2 * edge)).saturating_sub(NAMES);
    let height = area.height.saturating_sub(1 + edge);
    let has_legend = height >= 7;
    let down = usize::from(height.saturating_sub(u16::from(has_legend)));
    let plan = Plan::new(all, d.layers, d.experts, d.top_k, across, down);
    let bands = window(cursor.token / plan.tokens, all.div_ceil(plan.tokens), plan.bands);
    let seen = bands.start * plan.tokens..(bands.end * plan.tokens).min(all);
    let has_margin = plan.lines > if d.top_k > 1 { 2 } else { 1 };
    let what = match (d.top_k, plan.lines, plan.column) {
        (1, ..) if has_margin => "the chosen expert, its margin",
        (1, ..) => "the chosen expert",
        (_, 3.., _) => "first expert, second, margin",
        (_, 2, _) => "first expert above second",
        (_, _, 1) if !half_blocks(c, d.experts) => "first expert",
        (_, _, 1) => "first expert above second",
        _ => "first and second expert",
    };
    let part = format!("tokens {}–{} of {all}", seen.start, seen.end - 1);
    let forms = if seen.len() < all { [format!("{what} · {part}"), part] } else { [what.to_owned(), String::new()] };
    let inside = view_panel(c, area, forms);
    let layers = window(d.layers - 1 - cursor.layer, d.layers, plan.layers);
    c.left_out(area, &layers, d.layers);
    let mut y = inside.y;
    for band in bands {
        let tokens = band * plan.tokens..((band + 1) * plan.tokens).min(all);
        put_token_names(c, inside, y, plan.column, tokens.clone());
        let band = Rect { y, height: (1 + layers.len() * plan.lines) as u16, ..inside }.intersection(inside);
        for (i, pos) in tokens.clone().enumerate() {
            let x = inside.x + (NAMES + i * plan.column) as u16;
            c.hit_columns(band, x, plan.column as u16, Spot { token: Some(pos), ..Spot::default() });
        }
        y += 1;
        for row in layers.clone() {
            let layer = d.layers - 1 - row;
            c.hit_lines(inside, y, plan.lines as u16, Spot { layer: Some(layer), ..Spot::default() });
            let label = format!("{}L{layer}", if layer == cursor.layer { "▸" } else { " " });
            c.put(inside, inside.x, y, &label, if layer == cursor.layer { c.theme.accent() } else { c.theme.dim() });
            if state.tokens[0].experts(layer).is_none() {
                c.put(inside, inside.x + NAMES as u16, y, c.no_routing(layer), c.theme.dim());
            }
            for (i, pos) in tokens.clone().enumerate() {
                let x = inside.x + (NAMES + i * plan.column) as u16;
                if let Some(experts) = state.tokens[pos].experts(layer) {
                    let near = c.is_near_tie(pos, layer);
                    let at = pos == cursor.token && layer == cursor.layer;
                    let edited = state.sites_at(pos, layer).next().is_some();
                    // Narrow cells show neither probabilities nor margins.
                    let is_wide = plan.column >= WITH_MARGIN;
                    let routing = is_wide.then(|| TokenRouting::of(&state.tokens[pos], layer)).flatten();
                    put_cell(c, inside, x, y, &Cell { plan, experts, routing, near, edited, at, all: d.experts });
                }
            }
            y += plan.lines as u16;
        }
    }
    if has_legend {
        put_legend(c, inside, d.experts);
    }
}

/// Whether a cell can show two experts, which needs colours that distinguish the experts.
fn half_blocks(c: &Canvas, experts: usize) -> bool {
    c.theme.has_ramp() && experts <= 8
}

struct Cell<'a> {
    plan: Plan,
    experts: &'a [u32],
    /// The router's probabilities and margin, where there is room for them.
    routing: Option<TokenRouting<'a>>,
    near: bool,
    /// Whether an edit changed something here.
    edited: bool,
    at: bool,
    /// Number of experts of the model.
    all: usize,
}

fn put_cell(c: &mut Canvas, inside: Rect, x: u16, y: u16, cell: &Cell) {
    let Some(first) = cell.experts.first().map(|e| *e as usize) else { return };
    let second = cell.experts.get(1).map(|e| *e as usize);
    let (digits, column) = (digits(cell.all), cell.plan.column);
    let mark = if cell.near { Modifier::UNDERLINED | Modifier::BOLD } else { Modifier::empty() };
    let style = |expert: usize| if cell.at { c.theme.cursor() } else { c.theme.expert(expert).add_modifier(mark) };
    let sign = match (cell.edited, cell.near) {
        (true, _) => EDITED,
        (_, true) => NEAR_TIE,
        _ => " ",
    };
    if cell.plan.lines >= 2 || second.is_none() {
        let text = |expert: usize| {
            let number = number(expert, digits);
            let p = cell.routing.as_ref().and_then(|routing| routing.probs.get(expert));
            match p.filter(|_| column >= NAMED_FROM) {
                Some(p) => format!("{number}{sign}{:>1$}", prob(*p), column - digits - 2),
                None if column > digits => format!("{number}{sign}"),
                None => number,
            }
        };
        c.put(inside, x, y, &text(first), style(first));
        if let Some(second) = second {
            c.put(inside, x, y + 1, &text(second), style(second));
        }
        let below = y + 1 + u16::from(second.is_some());
        if usize::from(below - y) < cell.plan.lines
            && let Some(margin) = cell.routing.as_ref().and_then(TokenRouting::margin)
        {
            let style = if cell.near { c.theme.warn() } else { c.theme.dim() };
            c.put(inside, x, below, &format!("{:.2}", margin.gap), style);
        }
        return;
    }
    let Some(second) = second else { return };
    if column > 1 {
        let x = c.put(inside, x, y, &number(first, digits), style(first));
        let is_apart = digits > 1 || column > 2 * digits + 1;
        let x = if is_apart { c.put(inside, x, y, sign, style(second)) } else { x };
        c.put(inside, x, y, &number(second, digits), style(second));
        return;
    }
    match (c.theme.expert_colour(first), c.theme.expert_colour(second)) {
        (Some(upper), Some(lower)) if half_blocks(c, cell.all) && !cell.at => {
            c.put(inside, x, y, "▀", Style::new().fg(upper).bg(lower).add_modifier(mark));
        }
        _ => {
            c.put(inside, x, y, &number(first, digits), style(first));
        }
    }
}

/// The colours of the experts with their numbers as the cells write them, and the mark of near-ties.
fn put_legend(c: &mut Canvas, inside: Rect, experts: usize) {
    let y = inside.bottom().saturating_sub(1);
    let digits = digits(experts);
    // Colours repeat, and so would a list of more experts.
    let listed = if digits == 1 { experts } else { experts.min(c.theme.expert_count()) };
    let more = match listed < experts {
        true if listed == 0 => format!("0 to {}", experts - 1),
        true => format!("… {}, colours repeat", experts - 1),
        false => String::new(),
    };
    let numbers = |count: usize| (0..count).map(|expert| width(number(expert, digits).trim_start()) + 1).sum::<usize>();
    let is_edited = c.state.tokens.iter().any(|token| !token.sites.is_empty());
    let ends = match is_edited {
        true => ["  * edited  ≈ underlined: near-tie", "  * edited  ≈ near-tie"],
        false => ["  ≈ underlined: near-tie", "  ≈ near-tie"],
    };
    let needed = |end: &str| 8 + numbers(listed) + width(&more) + width(end);
    let end = if needed(ends[0]) <= usize::from(inside.width) { ends[0] } else { ends[1] };
    // The explanation of the mark keeps its room.
    let room = Rect { width: inside.width.saturating_sub(width(end) as u16), ..inside };
    let mut x = c.put(room, inside.x + 1, y, "expert ", c.theme.dim());
    for expert in 0..listed {
        x = c.put(room, x, y, &format!("{} ", number(expert, digits).trim_start()), c.theme.expert(expert));
    }
    x = c.put(room, x, y, &more, c.theme.dim());
    c.put(inside, x, y, end, c.theme.dim());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tokens: usize, layers: usize, across: usize, down: usize) -> (usize, usize, usize, usize) {
        let plan = Plan::new(tokens, layers, 8, 2, across, down);
        (plan.column, plan.lines, plan.tokens, plan.bands)
    }

    #[test]
    fn the_roomiest_drawing_that_holds_the_run_is_taken() {
        assert_eq!(plan(40, 6, 100, 30), (2, 2, 50, 2), "digits over two lines");
        assert_eq!(plan(100, 6, 100, 30), (2, 2, 50, 2), "in two bands");
        assert_eq!(plan(101, 6, 100, 30), (2, 1, 50, 4), "digits side by side");
        assert_eq!(plan(400, 6, 100, 30), (1, 1, 100, 4), "half blocks");
        assert_eq!(plan(4000, 6, 100, 30), (1, 1, 100, 4), "as much as fits of a long run");
        assert_eq!(plan(100, 32, 150, 35), (1, 1, 150, 1), "all layers in one band");
        assert_eq!(plan(70, 32, 150, 35), (2, 1, 75, 1));
        assert_eq!(plan(9, 32, 150, 35), (10, 1, 15, 1), "with the names of the tokens");
        let few_lines = Plan::new(10, 32, 8, 2, 35, 4);
        assert_eq!((few_lines.bands, few_lines.layers, few_lines.column), (1, 3, 3), "layers are scrolled if need be");
        assert_eq!(Plan::new(8, 2, 128, 2, 35, 9).column, 4, "numbers of many experts need their cells");
        assert_eq!(Plan::new(10, 2, 128, 2, 35, 9).column, 8, "two of them side by side");
    }
}
