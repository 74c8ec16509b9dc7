//! Details of routing: the experts of one cell, and the usage of the layer over the run.

use crate::analysis::routing::{TokenRouting, repeats_at_random};
use crate::state::text::{fit, harmless, quoted};
use crate::trace::TokenRecord;
use crate::ui::canvas::Canvas;
use crate::ui::theme::marks::EDITED;
use crate::ui::widgets::bar::bar;
use crate::ui::widgets::number::prob;
use ratatui::layout::Rect;

/// More experts than this are listed by their share.
const MANY: usize = 16;

pub fn draw(c: &mut Canvas, area: Rect) {
    let lines = draw_lines(c, area);
    let inside = c.inside(area);
    c.left_out(area, &(0..usize::from(inside.height)), lines);
}

/// Draws the lines that fit; returns the number of all lines.
fn draw_lines(c: &mut Canvas, area: Rect) -> usize {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("layer {}, {}", cursor.layer, quoted(c.shown(cursor.token))));
    let (Some(meta), Some(token)) = (state.meta(), state.token()) else { return 0 };
    let d = meta.dims;
    let mut count: u16 = 0;
    let room = usize::from(inside.width.saturating_sub(1));
    let mut line = |c: &mut Canvas, text: &str, style| {
        c.put(inside, inside.x + 1, inside.y + count, &fit(text, room), style);
        count += 1;
    };
    for text in score(token, cursor.token) {
        line(c, &text, c.theme.dim());
    }
    if let Some(routing) = TokenRouting::of(token, cursor.layer) {
        for (rank, expert) in routing.ranking().into_iter().take(d.top_k + 2).enumerate() {
            let p = routing.probs[expert];
            let weight = routing.weight_of(expert).map_or_else(|| "—".to_owned(), prob);
            let logit = |width: usize| format!("{:>width$.2}", routing.logits[expert]).replace('-', "−");
            // A bar that is cut would show a wrong value.
            let text = if room >= 46 {
                format!("E{expert:<3} p {:>4}  weight {weight:>4}  logit {}  {}", prob(p), logit(6), bar(p, 8))
            } else {
                format!("E{expert:<2} p {:>4} weight {weight:>4} logit {}", prob(p), logit(5))
            };
            line(c, &text, if rank < routing.chosen.len() { c.theme.strong() } else { c.theme.dim() });
        }
        if let Some(margin) = routing.margin() {
            let (near, ulp) = (margin.is_near_tie(meta.router_dtype()), meta.router_dtype().ulp(margin.scale));
            let verdict = match near {
                true => "could flip",
                false if margin.gap < 0.0 => "not by its logit",
                false => "safe",
            };
            let (gap, ulps) = (margin.gap, margin.gap / ulp);
            let ulps = if ulps < 10.0 { format!("{ulps:.1}") } else { format!("{ulps:.0}") };
            let of = if room >= 46 { format!("{} ulp", meta.router_dtype()) } else { "ulp".to_owned() };
            let text = format!("{verdict}: margin {gap:.4}, {ulps} {of}");
            line(c, &text, if near || margin.gap < 0.0 { c.theme.warn() } else { c.theme.dim() });
        }
    }
    let edits = meta.edits.clone();
    for site in state.sites_at(cursor.token, cursor.layer) {
        if let Some(edit) = edits.get(usize::from(site.edit)) {
            line(c, &format!("{EDITED} {}", harmless(&edit.to_string())), c.theme.warn());
        }
    }
    line(c, "", c.theme.dim());
    line(c, &format!("over the run, layer {}:", cursor.layer), c.theme.strong());
    if token.experts(cursor.layer).is_none() {
        line(c, c.no_routing(cursor.layer), c.theme.dim());
        return usize::from(count);
    }
    let Some(stats) = state.usage.layer(cursor.layer) else { return usize::from(count) };
    let found = stats.repeats();
    let (first, either) = repeats_at_random(d.experts, d.top_k);
    if found.pairs > 0 {
        let text = format!("repeats  first {:.0} % (random {:.1})", found.first * 100.0, first * 100.0);
        line(c, &text, c.theme.dim());
        let text = format!("         either {:.0} % (random {:.1})", found.either * 100.0, either * 100.0);
        line(c, &text, c.theme.dim());
    }
    if let Some(entropy) = stats.entropy() {
        let text = format!("mean entropy {entropy:.2} nats (even {:.2})", (d.experts as f64).ln());
        line(c, &text, c.theme.dim());
    }
    let near = stats.near_ties.len();
    let text = format!("near-ties {near} of {} tokens (t lists)", stats.margins);
    line(c, &text, if near > 0 { c.theme.warn() } else { c.theme.dim() });
    let never: Vec<String> = stats.never_used().map(|expert| format!("E{expert}")).collect();
    let is_many = d.experts > MANY;
    match never.len() {
        0 => {}
        count if is_many => line(c, &format!("never used: {count} of {}", d.experts), c.theme.dim()),
        _ => line(c, &format!("never used: {}", never.join(" ")), c.theme.dim()),
    }
    let share = |expert: usize| stats.chosen_share(expert).unwrap_or(0.0) as f32;
    let mut experts: Vec<usize> = (0..d.experts).collect();
    if is_many {
        experts.retain(|expert| share(*expert) > 0.0);
        experts.sort_by(|a, b| share(*b).total_cmp(&share(*a)));
    }
    let order = if is_many { ", most first" } else { "" };
    line(c, &format!("share of choices{order} (| uniform)"), c.theme.dim());
    // The bar is full at four times the uniform share, or at the largest share; the mark is at the uniform share.
    let uniform = 1.0 / d.experts as f32;
    let full = experts.iter().map(|expert| share(*expert)).fold(4.0 * uniform, f32::max);
    for expert in experts {
        let share = share(expert);
        let cells = 16;
        let mut drawn: Vec<char> = bar(share / full, cells).chars().collect();
        drawn.resize(cells, ' ');
        let mark = (uniform / full * cells as f32) as usize;
        if drawn[mark] == ' ' {
            drawn[mark] = '|';
        }
        let text = format!("E{expert:<3} {:>4.1} % {}", share * 100.0, drawn.into_iter().collect::<String>());
        line(c, &text, if expert == cursor.expert { c.theme.strong() } else { c.theme.dim() });
    }
    usize::from(count)
}

/// The source, rank, probability, loss and entropy of a token, in two lines.
fn score(token: &TokenRecord, pos: usize) -> [String; 2] {
    let source = token.source.as_str();
    let nothing =
        if pos == 0 { "nothing predicted the first token" } else { "how it was predicted is not in this trace" };
    token.score.map_or_else(
        || [source.to_owned(), nothing.to_owned()],
        |s| {
            let p = prob((-s.nll).exp());
            [
                format!("{source} · rank {} · p {p}", s.rank),
                format!("loss {:.2}, entropy before {:.2} nats", s.nll, s.entropy),
            ]
        },
    )
}
