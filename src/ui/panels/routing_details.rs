//! Beside routing: the chosen experts of one cell, and what the layer does over the run.

use super::strip;
use crate::trace::routing::{TokenRouting, repeats, repeats_at_random};
use crate::ui::canvas::{ABSENT, Canvas, bar, prob, quoted};
use ratatui::layout::Rect;

pub fn draw(c: &mut Canvas, area: Rect) {
    let (state, cursor) = (c.state, c.state.cursor);
    let inside = c.panel(area, &format!("layer {}, {}", cursor.layer, quoted(c.shown(cursor.token))));
    let (Some(meta), Some(token)) = (state.meta(), state.token()) else { return };
    let d = meta.dims;
    let mut y = inside.y;
    let mut line = |c: &mut Canvas, text: &str, style| {
        c.put(inside, inside.x + 1, y, text, style);
        y += 1;
    };
    for text in strip::score(token, cursor.token) {
        line(c, &text, c.theme.dim());
    }
    if let Some(routing) = TokenRouting::of(token, cursor.layer) {
        for (rank, expert) in routing.ranking().into_iter().take(d.top_k + 2).enumerate() {
            let p = routing.probs[expert];
            let weight = routing.weight_of(expert).map_or_else(|| "  —".to_owned(), prob);
            let text = format!(
                "E{expert:<3} p {:>3}  weight {weight:>3}  logit {:>6.2}  {}",
                prob(p),
                routing.logits[expert],
                bar(p, 8)
            );
            line(c, &text, if rank < d.top_k { c.theme.strong() } else { c.theme.dim() });
        }
        if let Some(margin) = routing.margin() {
            let (near, step) = (margin.is_near_tie(meta.router_dtype()), meta.router_dtype().step(margin.scale));
            let verdict = if near { "could flip" } else { "safe" };
            let text =
                format!("{verdict}: margin {:.4}, {:.0} {} steps", margin.gap, margin.gap / step, meta.router_dtype());
            line(c, &text, if near { c.theme.warn() } else { c.theme.dim() });
        }
    }
    line(c, "", c.theme.dim());
    line(c, &format!("over the run, layer {}:", cursor.layer), c.theme.strong());
    if token.experts(cursor.layer).is_none() {
        return line(c, ABSENT, c.theme.dim());
    }
    let tokens = || state.tokens.iter().map(|token| &**token);
    let found = repeats(tokens(), cursor.layer);
    let (first, either) = repeats_at_random(d.experts, d.top_k);
    if found.pairs > 0 {
        let text = format!("repeats  first {:.0} % (random {:.1})", found.first * 100.0, first * 100.0);
        line(c, &text, c.theme.dim());
        let text = format!("         either {:.0} % (random {:.1})", found.either * 100.0, either * 100.0);
        line(c, &text, c.theme.dim());
    }
    let mut used = vec![0usize; d.experts];
    let mut near = 0;
    for token in tokens() {
        token.experts(cursor.layer).unwrap_or_default().iter().for_each(|e| used[*e as usize] += 1);
        let margin = TokenRouting::of(token, cursor.layer).and_then(|routing| routing.margin());
        near += usize::from(margin.is_some_and(|margin| margin.is_near_tie(meta.router_dtype())));
    }
    let text = format!("near-ties {near} of {} tokens", state.tokens.len());
    line(c, &text, if near > 0 { c.theme.warn() } else { c.theme.dim() });
    let never: Vec<String> = (0..d.experts).filter(|e| used[*e] == 0).map(|e| format!("E{e}")).collect();
    if !never.is_empty() {
        line(c, &format!("never used: {}", never.join(" ")), c.theme.dim());
    }
    line(c, "share of choices (| uniform)", c.theme.dim());
    let total = used.iter().sum::<usize>().max(1);
    for (expert, used) in used.iter().enumerate() {
        let share = *used as f32 / total as f32;
        // The bar is full at four times the uniform share; the mark is at one.
        let cells = 16;
        let mut drawn: Vec<char> = bar(share * d.experts as f32 / 4.0, cells).chars().collect();
        drawn.resize(cells, ' ');
        if drawn[cells / 4] == ' ' {
            drawn[cells / 4] = '|';
        }
        let text = format!("E{expert:<3} {:>4.1} % {}", share * 100.0, drawn.into_iter().collect::<String>());
        line(c, &text, if expert == cursor.expert { c.theme.strong() } else { c.theme.dim() });
    }
}
