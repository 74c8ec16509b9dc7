//! What a candidate's logit is made of: experts and heads of the layer at the cursor, then every layer.
//!
//! ```text
//! mlp of layer 3 +1.643
//!        p   w ‖w·out‖  cos   share          bars to ±1.83
//! E5   .61 .71    3.20  .92  +1.830         │███████
//! E2   .25 .29    1.10 −.31  −0.197       ▐█│
//! rounding +0.010
//! attn of layer 3 +0.811 · bars to ±0.930
//! H4    +0.930         │███████
//! rounding +0.001
//! layer    attn             mlp
//! L5     +0.412     │█   −0.310    ▐█│
//! embed  +0.102     │▏   bars to ±1.64
//! embed + attn + mlp = 12.340
//! remainder +0.010 (rounding), logit 12.350
//! ```

use super::signed::{SHORTEST_BAR, cosine, plain, put_bar, signed};
use crate::state::text::{fit, harmless, show_piece};
use crate::trace::routing::TokenRouting;
use crate::trace::{Attribution, HookKind, LayerShares, TokenRecord};
use crate::ui::canvas::{Canvas, prob, quoted, window};
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Fewest lines of a section: a heading and three rows.
const SECTION: usize = 4;
/// Cells in front of the bars of experts and heads.
const EXPERT: usize = 34;
const HEAD: usize = 13;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let target = state.contribution_target().map_or_else(String::new, |target| fit(&show_piece(&target.piece), 16));
    let title = format!("contributions to {} after {}", quoted(&target), quoted(&fit(c.shown(cursor.token), 16)));
    let inside = c.panel(area, &title);
    let (Some(token), Some(key)) = (state.token(), state.contribution_key()) else {
        return c.nothing(inside, "no token yet");
    };
    if c.is_saved() {
        let lines = ["contributions are computed from the weights:", "this is a saved run, o opens its model"];
        return put_lines(c, inside, &lines.map(str::to_owned));
    }
    match state.derived.attribution(key) {
        Some(Ok(found)) => match found.layer(key.layer) {
            Some(shares) => Page::new(inside, found, shares).draw(c, token),
            None => c.nothing(inside, "this layer was not looked into"),
        },
        Some(Err(reason)) => {
            put_lines(c, inside, &["contributions can't be derived:".to_owned(), harmless(reason)]);
        }
        None => match missing(token, key.layer, c.dims().map_or(0, |d| d.layers)) {
            Some(what) => put_lines(c, inside, &[format!("this run does not hold {what},"), NEEDED.to_owned()]),
            None => {
                c.drawn.wanted.attribution = Some(key);
                c.nothing(inside, "deriving …");
            }
        },
    }
}

const NEEDED: &str = "which contributions are derived from";

fn put_lines(c: &mut Canvas, inside: Rect, lines: &[String]) {
    let room = usize::from(inside.width.saturating_sub(1));
    for (y, line) in (inside.y..).zip(lines) {
        c.put(inside, inside.x + 1, y, &fit(line, room), c.theme.dim());
    }
}

/// What a record lacks.
fn missing(token: &TokenRecord, layer: usize, layers: usize) -> Option<&'static str> {
    let all = |kind: HookKind| (0..layers).all(|layer| token.row(kind, layer).is_some());
    if !all(HookKind::ResidMid) || !all(HookKind::ResidPost) {
        Some("the residuals")
    } else if token.row(HookKind::RotQ, layer).is_none() || token.row(HookKind::RotK, layer).is_none() {
        Some("queries and keys")
    } else if token.experts(layer).is_none() || token.row(HookKind::MixingWeights, layer).is_none() {
        Some("the routing")
    } else {
        None
    }
}

/// One drawing of the panel.
struct Page<'a> {
    inside: Rect,
    found: &'a Attribution,
    shares: &'a LayerShares,
    /// Next line.
    y: u16,
}

impl<'a> Page<'a> {
    fn new(inside: Rect, found: &'a Attribution, shares: &'a LayerShares) -> Self {
        Self { inside, found, shares, y: inside.y }
    }

    /// Cells of a line.
    fn width(&self) -> usize {
        usize::from(self.inside.width.saturating_sub(1))
    }

    fn draw(mut self, c: &mut Canvas, token: &TokenRecord) {
        let sums = self.sums();
        let room = usize::from(self.inside.height).saturating_sub(sums.len());
        let experts = self.shares.experts.len();
        // Their sum gives way first, after heads and layers.
        let is_whole = room >= experts + 3;
        self.experts(c, token, room.min(experts + if is_whole { 3 } else { 1 }), is_whole);
        let left = room - usize::from(self.y - self.inside.y).min(room);
        let (heads, layers) = divide(left, 2 + self.shares.heads.len(), 2 + self.found.attn.len());
        self.heads(c, heads);
        self.layers(c, layers);
        let first = self.inside.bottom().saturating_sub(sums.len() as u16).max(self.inside.y);
        for (y, sum) in (first..).zip(&sums) {
            c.put(self.inside, self.inside.x + 1, y, &fit(sum, self.width()), c.theme.strong());
        }
    }

    /// The check: what the parts come to, and the model's own logit.
    fn sums(&self) -> Vec<String> {
        let (sum, logit) = (self.found.sum(), f64::from(self.found.logit));
        let (sum, logit, rest) = (plain(sum), plain(logit), signed(self.found.remainder));
        if self.inside.height < 6 {
            return vec![format!("Σ {sum} rounding {rest} logit {logit}")];
        }
        let parts = format!("embed + attn + mlp = {sum}");
        let ends = [
            format!("remainder {rest} (rounding), logit {logit}"),
            format!("remainder {rest}, logit {logit}"),
            format!("rounding {rest}, logit {logit}"),
        ];
        let whole = format!("{parts}, {}", ends[0]);
        if whole.chars().count() <= self.width() {
            return vec![whole];
        }
        let [long, middle, short] = ends;
        let end = [long, middle].into_iter().find(|end| end.chars().count() <= self.width()).unwrap_or(short);
        vec![parts, end]
    }

    fn line(&mut self, c: &mut Canvas, text: &str, style: Style) {
        c.put(self.inside, self.inside.x + 1, self.y, &fit(text, self.width()), style);
        self.y += 1;
    }

    fn rounding(&mut self, c: &mut Canvas, share: f64) {
        self.line(c, &format!("rounding {}", signed(share)), c.theme.dim());
    }

    /// The chosen experts under their sum; without it in few lines.
    fn experts(&mut self, c: &mut Canvas, token: &TokenRecord, room: usize, is_whole: bool) {
        let shares = self.shares;
        let full = largest(shares.experts.iter().map(|expert| expert.share));
        if is_whole {
            let sum = signed(self.found.mlp[shares.layer]);
            self.line(c, &format!("mlp of layer {} {sum}", shares.layer), c.theme.strong());
        }
        let room = if is_whole { room - 2 } else { room };
        if room > 0 {
            let columns = "       p   w ‖w·out‖  cos   share ";
            self.line(c, &format!("{columns}{}", self.scale(full, EXPERT, columns, "")), c.theme.dim());
        }
        let probs = TokenRouting::of(token, shares.layer).map(|routing| routing.probs);
        let shown = rows(shares.experts.len(), room.saturating_sub(1));
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
            let strong = expert.expert as usize == c.state.cursor.expert;
            self.bar_line(c, &text, expert.share / full, strong);
        }
        if room > 1 && shown < shares.experts.len() {
            let rest: f64 = shares.experts[shown..].iter().map(|expert| expert.share).sum();
            self.others(c, shares.experts.len() - shown, rest);
        }
        if is_whole {
            self.rounding(c, shares.experts_remainder);
        }
    }

    fn heads(&mut self, c: &mut Canvas, room: usize) {
        if room == 0 {
            return;
        }
        let shares = self.shares;
        let full = largest(shares.heads.iter().copied());
        let heading = format!("attn of layer {} {}", shares.layer, signed(self.found.attn[shares.layer]));
        let scale = self.scale(full, HEAD, &heading, " · ");
        self.line(c, &format!("{heading}{scale}"), c.theme.strong());
        let mut order: Vec<usize> = (0..shares.heads.len()).collect();
        order.sort_by(|a, b| shares.heads[*b].abs().total_cmp(&shares.heads[*a].abs()).then(a.cmp(b)));
        let shown = rows(order.len(), room - 2);
        for head in &order[..shown] {
            let share = shares.heads[*head];
            self.bar_line(c, &format!("H{head:<3} {:>7} ", signed(share)), share / full, *head == c.state.cursor.head);
        }
        if shown < order.len() {
            let rest = order[shown..].iter().map(|head| shares.heads[*head]).sum();
            self.others(c, order.len() - shown, rest);
        }
        self.rounding(c, shares.heads_remainder);
    }

    /// At which share a bar that begins at cell `bar` is full, as it fits behind `text`; nothing if no bar fits.
    fn scale(&self, full: f64, bar: usize, text: &str, gap: &str) -> String {
        let room = self.width().saturating_sub(text.chars().count());
        let forms = [format!("{gap}bars to ±{}", plain(full)), format!("{gap}±{}", plain(full))];
        let has_bars = self.width() >= bar + SHORTEST_BAR;
        forms.into_iter().find(|form| has_bars && form.chars().count() <= room).unwrap_or_default()
    }

    fn others(&mut self, c: &mut Canvas, count: usize, share: f64) {
        self.line(c, &format!("the {count} others {}", signed(share)), c.theme.dim());
    }

    /// A line that ends in a bar of −1..1, if one fits.
    fn bar_line(&mut self, c: &mut Canvas, text: &str, share: f64, strong: bool) {
        let cells = self.width().saturating_sub(text.chars().count()).min(33);
        let style = if strong { c.theme.strong() } else { Style::new() };
        let x = c.put(self.inside, self.inside.x + 1, self.y, text, style);
        put_bar(c, self.inside, (x, self.y), share, cells);
        self.y += 1;
    }

    /// Every layer, the last on top, and the embedding below them; those that don't fit are summed.
    fn layers(&mut self, c: &mut Canvas, room: usize) {
        if room == 0 {
            return;
        }
        let (found, count) = (self.found, self.found.attn.len());
        let full = largest(found.attn.iter().chain(&found.mlp).chain([&found.embed]).copied());
        let cells = self.width().saturating_sub(24) / 2;
        let gap = " ".repeat(if cells >= SHORTEST_BAR { cells + 1 } else { 1 });
        self.line(c, &format!("layer    attn {gap}    mlp"), c.theme.strong());
        let fits = room - 1;
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
        let strong = Style::new().add_modifier(ratatui::style::Modifier::BOLD);
        for at in shown.clone() {
            let layer = count - 1 - at;
            let style = if layer == self.shares.layer { strong } else { Style::new() };
            row(self, &format!("L{layer}"), &[found.attn[layer], found.mlp[layer]], style);
        }
        if summed {
            let hidden = |shares: &[f64]| -> f64 {
                (0..count).filter(|layer| !shown.contains(&(count - 1 - layer))).map(|layer| shares[layer]).sum()
            };
            row(self, "other", &[hidden(&found.attn), hidden(&found.mlp)], Style::new());
        }
        row(self, "embed", &[found.embed], Style::new());
        if cells >= SHORTEST_BAR {
            let x = self.inside.x + 1 + (5 + 9 + cells + 4) as u16;
            c.put(self.inside, x, self.y - 1, &format!("bars to ±{}", plain(full)), c.theme.dim());
        }
    }

    /// The rows of layers that have room beside the sum of the others and the embedding.
    fn around(&self, count: usize, fits: usize) -> std::ops::Range<usize> {
        window(count - 1 - self.shares.layer, count, fits.saturating_sub(2))
    }
}

/// Lines for heads and for layers of `room`, which need `heads` and `layers`: half each where both can't have all.
fn divide(room: usize, heads: usize, layers: usize) -> (usize, usize) {
    if room >= heads + layers {
        return (heads, layers);
    }
    if room < 2 * SECTION {
        return if room < SECTION { (0, 0) } else { (room.min(heads), 0) };
    }
    let for_layers = layers.min((room / 2).max(room.saturating_sub(heads)));
    (heads.min(room - for_layers), for_layers)
}

/// How many of `count` rows are shown in `room` lines: all, or one less than fit, so that the others can be summed.
fn rows(count: usize, room: usize) -> usize {
    if count <= room { count } else { room.saturating_sub(1) }
}

fn largest(shares: impl Iterator<Item = f64>) -> f64 {
    shares.map(f64::abs).fold(f64::MIN_POSITIVE, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_divided_and_none_is_given_twice() {
        for room in 0..60 {
            for (heads, layers) in [(9, 8), (33, 34), (3, 4)] {
                let (a, b) = divide(room, heads, layers);
                assert!(a + b <= room && a <= heads && b <= layers, "{room}: {a} and {b}");
                assert!(room < heads + layers || (a, b) == (heads, layers), "{room}: {a} and {b}");
            }
        }
        assert_eq!([rows(3, 3), rows(3, 2), rows(3, 0)], [3, 1, 0]);
    }
}
