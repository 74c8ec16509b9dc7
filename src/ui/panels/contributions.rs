//! What a candidate's logit is made of: experts and heads of the layer at the cursor, then every layer.
//!
//! ```text
//! mlp of layer 3 +1.643: experts, rounding +0.010
//!       p   w ‖w·out‖  cos   share
//! E5  .61 .71    3.20  .92  +1.830         │███████
//! E2  .25 .29    1.10 −.31  −0.197       ▐█│
//! attn of layer 3 +0.811: heads, rounding +0.001
//! H4   +0.930         │███▌
//! by layer   attn             mlp
//! L5       +0.412     │█   −0.310    ▐█│
//! embed + attn + mlp = 12.340
//! remainder +0.010 (rounding), logit 12.350
//! ```

use crate::state::text::{fit, harmless, show_piece};
use crate::trace::routing::TokenRouting;
use crate::trace::{Attribution, HookKind, LayerShares, TokenRecord};
use crate::ui::canvas::{Canvas, bar, prob, quoted, window};
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Fewest cells of a bar that says something.
const SHORTEST_BAR: usize = 5;
/// Fewest lines of a section: its heading and two rows.
const SECTION: usize = 3;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let target = state.contribution_target().map_or_else(String::new, |target| fit(&show_piece(&target.piece), 16));
    let title = format!(
        "contributions to {} after {} · layer {}",
        quoted(&target),
        quoted(&fit(c.shown(cursor.token), 16)),
        cursor.layer
    );
    let inside = c.panel(area, &title);
    let (Some(token), Some(key)) = (state.token(), state.contribution_key()) else {
        return c.nothing(inside, "no token yet");
    };
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
    /// Share at which the bars of experts and heads are full.
    full: f64,
    /// Next line.
    y: u16,
}

impl<'a> Page<'a> {
    fn new(inside: Rect, found: &'a Attribution, shares: &'a LayerShares) -> Self {
        let experts = shares.experts.iter().map(|expert| expert.share);
        let full = largest(experts.chain(shares.heads.iter().copied()));
        Self { inside, found, shares, full, y: inside.y }
    }

    /// Cells of a line.
    fn width(&self) -> usize {
        usize::from(self.inside.width.saturating_sub(1))
    }

    fn draw(mut self, c: &mut Canvas, token: &TokenRecord) {
        let sums = self.sums();
        let room = usize::from(self.inside.height).saturating_sub(sums.len());
        let experts = self.shares.experts.len();
        // The heading that names the sum gives way first, then heads and layers.
        let with_heading = room >= experts + 2;
        self.experts(c, token, room.min(experts + 1 + usize::from(with_heading)), with_heading);
        let left = room - usize::from(self.y - self.inside.y).min(room);
        let (heads, layers) = divide(left, 1 + self.shares.heads.len(), 2 + self.found.attn.len());
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

    /// `mlp of layer 3 +1.643: experts, rounding +0.010 · bars to ±1.83`
    fn heading(&mut self, c: &mut Canvas, what: &str, share: f64, parts: &str, rest: f64) {
        let layer = self.shares.layer;
        let text = format!("{what} of layer {layer} {}: {parts}, rounding {}", signed(share), signed(rest));
        let with_scale = format!("{text} · bars to ±{}", plain(self.full));
        let fits = with_scale.chars().count() <= self.width();
        self.line(c, if fits { &with_scale } else { &text }, c.theme.strong());
    }

    fn experts(&mut self, c: &mut Canvas, token: &TokenRecord, room: usize, with_heading: bool) {
        let shares = self.shares;
        if with_heading {
            let whole = self.found.mlp[shares.layer];
            self.heading(c, "mlp", whole, "experts", shares.experts_remainder);
        }
        let room = room - usize::from(with_heading).min(room);
        if room > 0 {
            self.line(c, "       p   w ‖w·out‖  cos   share", c.theme.dim());
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
            self.bar_line(c, &text, expert.share, strong);
        }
        if room > 1 && shown < shares.experts.len() {
            let rest: f64 = shares.experts[shown..].iter().map(|expert| expert.share).sum();
            self.others(c, shares.experts.len() - shown, rest);
        }
    }

    fn heads(&mut self, c: &mut Canvas, room: usize) {
        if room == 0 {
            return;
        }
        let shares = self.shares;
        self.heading(c, "attn", self.found.attn[shares.layer], "heads", shares.heads_remainder);
        let mut order: Vec<usize> = (0..shares.heads.len()).collect();
        order.sort_by(|a, b| shares.heads[*b].abs().total_cmp(&shares.heads[*a].abs()).then(a.cmp(b)));
        let shown = rows(order.len(), room - 1);
        for head in &order[..shown] {
            let share = shares.heads[*head];
            self.bar_line(c, &format!("H{head:<3} {:>7} ", signed(share)), share, *head == c.state.cursor.head);
        }
        if shown < order.len() {
            let rest = order[shown..].iter().map(|head| shares.heads[*head]).sum();
            self.others(c, order.len() - shown, rest);
        }
    }

    fn others(&mut self, c: &mut Canvas, count: usize, share: f64) {
        self.line(c, &format!("the {count} others {}", signed(share)), c.theme.dim());
    }

    /// A line that ends in a bar, if one fits.
    fn bar_line(&mut self, c: &mut Canvas, text: &str, share: f64, strong: bool) {
        let cells = self.width().saturating_sub(text.chars().count()).min(33);
        let style = if strong { c.theme.strong() } else { Style::new() };
        let x = c.put(self.inside, self.inside.x + 1, self.y, text, style);
        put_bar(c, self.inside, (x, self.y), share / self.full, cells);
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
        let bars = if cells >= SHORTEST_BAR { format!(" · bars to ±{}", plain(full)) } else { String::new() };
        let gap = " ".repeat(if cells >= SHORTEST_BAR { cells + 1 } else { 1 });
        self.line(c, &format!("layer    attn {gap}    mlp{bars}"), c.theme.strong());
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
    }

    /// The rows of layers that have room beside the sum of the others and the embedding.
    fn around(&self, count: usize, fits: usize) -> std::ops::Range<usize> {
        window(count - 1 - self.shares.layer, count, fits.saturating_sub(2))
    }
}

/// Lines for heads and for layers of `room`, which need `heads` and `layers`: half each where both can't have all.
fn divide(room: usize, heads: usize, layers: usize) -> (usize, usize) {
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

/// A bar around zero: to the left for what speaks against the token, to the right for what speaks for it.
fn put_bar(c: &mut Canvas, area: Rect, (x, y): (u16, u16), share: f64, cells: usize) {
    if cells < SHORTEST_BAR {
        return;
    }
    let half = (cells - 1) / 2;
    let [left, right] = diverging(share, half);
    let style = c.theme.signed(share);
    c.line(area, x, y, &[(&left, style), ("│", c.theme.dim()), (&right, style)]);
}

/// What stands left and right of zero for a share of −1..1; the left in half cells, filled up to `half` cells.
fn diverging(share: f64, half: usize) -> [String; 2] {
    if share > 0.0 {
        return [" ".repeat(half), bar(share as f32, half)];
    }
    let halves = (share.abs().min(1.0) * (half * 2) as f64).round() as usize;
    let drawn = format!("{}{}", if halves % 2 == 1 { "▐" } else { "" }, "█".repeat(halves / 2));
    [format!("{drawn:>half$}"), String::new()]
}

/// `12.340`, in about six cells.
fn plain(x: f64) -> String {
    let digits = match x.abs() {
        size if size < 99.9995 => 3,
        size if size < 9999.95 => 1,
        _ => return format!("{x:.1e}").replace('-', "−"),
    };
    format!("{x:.digits$}").replace('-', "−")
}

/// `+0.010`, `−1.830`, `+2.1e−6`: a share with its sign.
fn signed(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.000_95 => format!("{x:+.1e}").replace('-', "−"),
        _ if x > 0.0 => format!("+{}", plain(x)),
        _ => plain(x),
    }
}

/// `.92`, `−.31`
fn cosine(x: f64) -> String {
    let text = prob(x.abs() as f32);
    if x < 0.0 { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_and_small_ones_their_size() {
        assert_eq!([1.83, -0.2, 0.0, 123.4, -2.1e-6].map(signed), ["+1.830", "−0.200", "0", "+123.4", "−2.1e−6"]);
        assert_eq!([12.34, -0.5, 4.0e7].map(plain), ["12.340", "−0.500", "4.0e7"]);
        assert_eq!([0.92, -0.314, 1.0].map(cosine), [".92", "−.31", "1.0"]);
    }

    #[test]
    fn bars_lie_on_the_side_of_their_sign() {
        assert_eq!(diverging(1.0, 3), ["   ", "███"]);
        assert_eq!(diverging(0.5, 3), ["   ", "█▌"]);
        assert_eq!(diverging(-1.0, 3), ["███", ""]);
        assert_eq!(diverging(-0.5, 3), [" ▐█", ""]);
        assert_eq!(diverging(0.0, 3), ["   ", ""]);
    }

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
