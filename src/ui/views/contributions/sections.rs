//! The sections of the panel.

use super::share_out::{Lines, rows};
use crate::analysis::routing::TokenRouting;
use crate::analysis::{Attribution, EditShare, LayerShares};
use crate::state::Spot;
use crate::state::text::{fit, harmless, width};
use crate::trace::TokenRecord;
use crate::ui::canvas::Canvas;
use crate::ui::widgets::bar::{SHORTEST_BAR, put_bar};
use crate::ui::widgets::number::prob;
use crate::ui::widgets::number::{cosine, plain, signed};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

/// Cells before the bars of experts and heads.
const EXPERT: usize = 34;
const HEAD: usize = 13;
/// Lines of edits.
const MOST_EDITS: usize = 4;

/// The panel being drawn.
pub struct Page<'a> {
    inside: Rect,
    found: &'a Attribution,
    shares: &'a LayerShares,
    /// The next line.
    y: u16,
}

impl<'a> Page<'a> {
    pub fn new(inside: Rect, found: &'a Attribution, shares: &'a LayerShares) -> Self {
        Self { inside, found, shares, y: inside.y }
    }

    /// The width of a line, cells.
    fn width(&self) -> usize {
        usize::from(self.inside.width.saturating_sub(1))
    }

    pub fn draw(mut self, c: &mut Canvas, token: &TokenRecord) {
        let sums: Vec<String> = self.edits().into_iter().chain(self.sums()).collect();
        let room = usize::from(self.inside.height).saturating_sub(sums.len());
        let lines = Lines::of(room, self.shares.experts.len(), self.shares.heads.len(), self.found.attn.len());
        self.experts(c, token, lines.experts);
        self.heads(c, lines.heads);
        self.layers(c, lines.layers);
        let first = self.inside.bottom().saturating_sub(sums.len() as u16).max(self.inside.y);
        for (y, sum) in (first..).zip(&sums) {
            c.put(self.inside, self.inside.x + 1, y, &fit(sum, self.width()), c.theme.strong());
        }
    }

    /// What edits put into the residual stream: a line each, or their sum, as there is room.
    fn edits(&self) -> Vec<String> {
        let edits = &self.found.edits;
        let sum = |edits: &[EditShare]| signed(edits.iter().map(|edit| edit.share).sum());
        match usize::from(self.inside.height) {
            _ if edits.is_empty() => Vec::new(),
            ..9 => Vec::new(),
            9..24 => vec![format!("edits {}", sum(edits))],
            _ => {
                let (shown, rest) = edits.split_at(rows(edits.len(), MOST_EDITS));
                let line = |edit: &EditShare| {
                    let layer = format!("L{}", edit.layer);
                    format!("{layer:<5}{:>8} {}", signed(edit.share), harmless(&edit.label))
                };
                let rest = (!rest.is_empty()).then(|| format!("{:<5}{:>8} {} other edits", "", sum(rest), rest.len()));
                shown.iter().map(line).chain(rest).collect()
            }
        }
    }

    /// The sum of all parts, and the model's own logit.
    fn sums(&self) -> Vec<String> {
        let (sum, logit) = (self.found.sum(), f64::from(self.found.logit));
        let (sum, logit, rest) = (plain(sum), plain(logit), signed(self.found.remainder));
        let edits = if self.found.edits.is_empty() { "" } else { " + edits" };
        let parts = format!("embed + attn + mlp{edits} = {sum}");
        let ends = [
            format!("remainder {rest} (rounding), logit {logit}"),
            format!("remainder {rest}, logit {logit}"),
            format!("rounding {rest}, logit {logit}"),
        ];
        let whole = format!("{parts}, {}", ends[0]);
        if width(&whole) <= self.width() {
            return vec![whole];
        }
        // With few lines the sections need them more.
        if self.inside.height < 9 {
            return vec![format!("Σ {sum} rounding {rest} logit {logit}")];
        }
        let [long, middle, short] = ends;
        let end = [long, middle].into_iter().find(|end| width(end) <= self.width()).unwrap_or(short);
        vec![parts, end]
    }

    fn line(&mut self, c: &mut Canvas, text: &str, style: Style) {
        c.put(self.inside, self.inside.x + 1, self.y, &fit(text, self.width()), style);
        self.y += 1;
    }

    /// Maps the next line to `spot`.
    fn hit(&self, c: &mut Canvas, spot: Spot) {
        c.hit_lines(self.inside, self.y, 1, spot);
    }

    fn rounding(&mut self, c: &mut Canvas, share: f64) {
        self.line(c, &format!("rounding {}", signed(share)), c.theme.dim());
    }

    /// `mlp of layer 3 +1.643 · E5 +1.830, the 1 other −0.197`: as many as fit.
    fn list(&self, headings: &[String; 2], shares: &[(String, f64)]) -> String {
        let text = |heading: &str, shown: usize| {
            let mut parts: Vec<String> =
                shares[..shown].iter().map(|(name, share)| format!("{name} {}", signed(*share))).collect();
            if shown < shares.len() {
                parts.push(others(shares.len() - shown, shares[shown..].iter().map(|(_, share)| share).sum()));
            }
            format!("{heading}{}", parts.join(", "))
        };
        let mut all = headings.iter().flat_map(|heading| (1..=shares.len()).rev().map(|shown| text(heading, shown)));
        all.find(|text| width(text) <= self.width())
            .unwrap_or_else(|| headings[0].trim_end_matches([' ', '·']).to_owned())
    }

    /// Draws the chosen experts below their sum.
    fn experts(&mut self, c: &mut Canvas, token: &TokenRecord, lines: usize) {
        let shares = self.shares;
        let sum = signed(self.found.mlp[shares.layer]);
        let shared = shares.shared.map_or(String::new(), |share| format!(" · shared expert {}", signed(share)));
        let no_router = if shares.experts.is_empty() { " · no router" } else { "" };
        let heading = format!("mlp of layer {} {sum}{shared}{no_router}", shares.layer);
        if lines < 3 {
            let chosen = shares.experts.iter().map(|expert| (format!("E{}", expert.expert), expert.share));
            let named: Vec<(String, f64)> =
                chosen.chain(shares.shared.map(|share| ("shared".to_owned(), share))).collect();
            if lines > 0 {
                let headings = [format!("{heading} · "), format!("mlp L{} {sum} · ", shares.layer)];
                self.line(c, &self.list(&headings, &named), c.theme.strong());
            }
            return;
        }
        let full = largest(shares.experts.iter().map(|expert| expert.share));
        self.line(c, &heading, c.theme.strong());
        if shares.experts.is_empty() {
            return;
        }
        let columns = "       p   w ‖w·out‖  cos   share ";
        self.line(c, &format!("{columns}{}", self.scale(full, EXPERT, columns, "")), c.theme.dim());
        let probs = TokenRouting::of(token, shares.layer).map(|routing| routing.probs);
        let shown = rows(shares.experts.len(), lines - 2);
        for expert in &shares.experts[..shown] {
            let p = probs.and_then(|probs| probs.get(expert.expert as usize)).map_or("—".to_owned(), |p| prob(*p));
            let cosine = expert.cosine.map_or("—".to_owned(), cosine);
            let text = format!(
                "E{:<3} {p:>3} {:>3} {:>7.2} {cosine:>4} {:>7} ",
                expert.expert,
                prob(expert.weight),
                expert.norm,
                signed(expert.share)
            );
            let at = expert.expert as usize;
            self.hit(c, Spot { expert: Some(at), ..Spot::default() });
            self.bar_line(c, &text, expert.share / full, at == c.state.cursor.expert);
        }
        if shown < shares.experts.len() {
            let rest = shares.experts[shown..].iter().map(|expert| expert.share).sum();
            self.line(c, &others(shares.experts.len() - shown, rest), c.theme.dim());
        }
        if lines >= shares.experts.len() + 3 {
            self.rounding(c, shares.experts_remainder);
        }
    }

    /// Draws the heads with the largest contributions, and the head at the cursor.
    fn heads(&mut self, c: &mut Canvas, lines: usize) {
        if lines == 0 {
            return;
        }
        let shares = self.shares;
        let full = largest(shares.heads.iter().copied());
        let bias = if shares.bias == 0.0 { String::new() } else { format!(" · bias {}", signed(shares.bias)) };
        let heading = format!("attn of layer {} {}{bias}", shares.layer, signed(self.found.attn[shares.layer]));
        let mut order: Vec<usize> = (0..shares.heads.len()).collect();
        order.sort_by(|a, b| shares.heads[*b].abs().total_cmp(&shares.heads[*a].abs()).then(a.cmp(b)));
        if lines < 3 {
            let named: Vec<(String, f64)> =
                order.iter().map(|head| (format!("H{head}"), shares.heads[*head])).collect();
            if lines == 1 {
                let sum = signed(self.found.attn[shares.layer]);
                let headings = [format!("{heading} · "), format!("attn L{} {sum} · ", shares.layer)];
                return self.line(c, &self.list(&headings, &named), c.theme.strong());
            }
            self.line(c, &heading, c.theme.strong());
            return self.line(c, &self.list(&Default::default(), &named), Style::new());
        }
        let scale = self.scale(full, HEAD, &heading, " · ");
        self.line(c, &format!("{heading}{scale}"), c.theme.strong());
        let shown = rows(order.len(), lines - 1);
        let at = order.iter().position(|head| *head == c.state.cursor.head);
        if let Some(at) = at.filter(|at| shown > 0 && *at >= shown) {
            let head = order.remove(at);
            order.insert(shown - 1, head);
        }
        for head in &order[..shown] {
            let share = shares.heads[*head];
            self.hit(c, Spot { layer: Some(shares.layer), head: Some(*head), ..Spot::default() });
            self.bar_line(c, &format!("H{head:<3} {:>7} ", signed(share)), share / full, *head == c.state.cursor.head);
        }
        if shown < order.len() {
            let rest = order[shown..].iter().map(|head| shares.heads[*head]).sum();
            self.line(c, &others(order.len() - shown, rest), c.theme.dim());
        }
        if lines >= order.len() + 2 {
            self.rounding(c, shares.heads_remainder);
        }
    }

    /// The share of a full bar that begins at cell `bar`, as a text that fits after `text`; empty if no bar fits.
    fn scale(&self, full: f64, bar: usize, text: &str, gap: &str) -> String {
        let room = self.width().saturating_sub(width(text));
        let forms = [format!("{gap}bars to ±{}", plain(full)), format!("{gap}±{}", plain(full))];
        let has_bars = self.width() >= bar + SHORTEST_BAR;
        forms.into_iter().find(|form| has_bars && width(form) <= room).unwrap_or_default()
    }

    /// Draws a line that ends in a bar of −1..1, if the bar fits.
    fn bar_line(&mut self, c: &mut Canvas, text: &str, share: f64, strong: bool) {
        let cells = self.width().saturating_sub(width(text)).min(33);
        let style = if strong { c.theme.strong() } else { Style::new() };
        let x = c.put(self.inside, self.inside.x + 1, self.y, text, style);
        put_bar(c, self.inside, (x, self.y), share, cells);
        self.y += 1;
    }

    /// Draws all layers, the last on top, and the embedding below them; layers that do not fit are summed.
    fn layers(&mut self, c: &mut Canvas, lines: usize) {
        let (found, count) = (self.found, self.found.attn.len());
        if lines < 3 {
            return self.summed_layers(c, lines);
        }
        let full = largest(found.attn.iter().chain(&found.mlp).chain([&found.embed]).copied());
        let cells = self.width().saturating_sub(24) / 2;
        let gap = " ".repeat(if cells >= SHORTEST_BAR { cells + 1 } else { 1 });
        self.line(c, &format!("layer    attn {gap}    mlp"), c.theme.strong());
        let fits = lines - 1;
        let (shown, summed) = if count < fits { (0..count, false) } else { (self.around(count, fits), true) };
        let mut row = |page: &mut Self, label: &str, values: &[f64], style: Style| {
            let mut x = c.put(page.inside, page.inside.x + 1, page.y, &format!("{label:<5}"), style);
            for value in values {
                x = c.put(page.inside, x, page.y, &format!("{:>8} ", signed(*value)), style);
                if cells >= SHORTEST_BAR {
                    put_bar(c, page.inside, (x, page.y), value / full, cells);
                    x += cells as u16;
                }
            }
            page.y += 1;
        };
        let strong = Style::new().add_modifier(Modifier::BOLD);
        let top = self.y;
        for at in shown.clone() {
            let layer = count - 1 - at;
            let style = if layer == self.shares.layer { strong } else { Style::new() };
            row(self, &format!("L{layer}"), &[found.attn[layer], found.mlp[layer]], style);
        }
        if summed {
            let hidden = |shares: &[f64]| -> f64 {
                (0..count).filter(|layer| !shown.contains(&(count - 1 - layer))).map(|layer| shares[layer]).sum()
            };
            let label = if shown.is_empty() { "all" } else { "other" };
            row(self, label, &[hidden(&found.attn), hidden(&found.mlp)], Style::new());
        }
        row(self, "embed", &[found.embed], Style::new());
        if cells >= SHORTEST_BAR {
            let x = self.inside.x + 1 + (5 + 9 + cells + 4) as u16;
            c.put(self.inside, x, self.y - 1, &format!("bars to ±{}", plain(full)), c.theme.dim());
        }
        for (y, at) in (top..).zip(shown) {
            c.hit_lines(self.inside, y, 1, Spot { layer: Some(count - 1 - at), ..Spot::default() });
        }
    }

    /// Draws all layers and the embedding in one or two lines.
    fn summed_layers(&mut self, c: &mut Canvas, lines: usize) {
        let sum = |shares: &[f64]| signed(shares.iter().sum());
        let found = self.found;
        let (attn, mlp, embed) = (sum(&found.attn), sum(&found.mlp), format!("embed {}", signed(found.embed)));
        let all = format!("{} layers: attn {attn}, mlp {mlp}", found.attn.len());
        let short = format!("attn {attn} mlp {mlp}");
        let fitting = |forms: [String; 2]| {
            let [long, short] = forms;
            if width(&long) <= self.width() { long } else { short }
        };
        match lines {
            0 => {}
            1 => self.line(c, &fitting([format!("{all} · {embed}"), format!("{short} {embed}")]), c.theme.strong()),
            _ => {
                self.line(c, &fitting([all, short]), c.theme.strong());
                self.line(c, &embed, Style::new());
            }
        }
    }

    /// The rows of layers that fit along with the sum of the others and the embedding.
    fn around(&self, count: usize, fits: usize) -> std::ops::Range<usize> {
        window(count - 1 - self.shares.layer, count, fits.saturating_sub(2))
    }
}

fn others(count: usize, share: f64) -> String {
    let noun = if count == 1 { "other" } else { "others" };
    format!("the {count} {noun} {}", signed(share))
}

fn largest(shares: impl Iterator<Item = f64>) -> f64 {
    shares.map(f64::abs).fold(f64::MIN_POSITIVE, f64::max)
}
