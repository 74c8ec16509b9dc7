//! Layers × tokens: what if the next expert had won over the last chosen one? Near-ties are computed first.

use super::grid::{Columns, Grid, legend};
use super::{invite, ranked, want, without};
use crate::analysis::routing::exchange;
use crate::analysis::view::View;
use crate::analysis::{EffectMap, Found, MapMeasure};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::theme::marks::NEAR_TIE;
use crate::ui::views::Panel;
use crate::ui::widgets::number::signed;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel::new(draw);

fn about(measure: MapMeasure) -> &'static str {
    match measure {
        MapMeasure::Target => "log-probability of the token that came (at the end: of the answer)",
        MapMeasure::Kl => "KL of the next token",
        MapMeasure::Flips => "flips above",
        _ => "loss of the token that came",
    }
}

fn draw(c: &mut Canvas, area: Rect) {
    let (state, effects) = (c.state, c.pane.effects);
    let measure = state.measure_in(&effects, View::EffectsRouting);
    let title = format!("what if the next expert had won · {}", about(measure));
    let (Some(request), None) = (state.map_request(&effects, View::EffectsRouting), without(c)) else {
        let inside = view_panel(c, area, [title]);
        return c.nothing(inside, without(c).unwrap_or("no token yet"));
    };
    let progress = want(c, &request);
    let inside = view_panel(c, area, [format!("{title}{progress}"), format!("next expert{progress}")]);
    let Some(map) = state.derived.effect_map(&request) else {
        return invite(c, inside, &request, "what would follow each token if its next expert had won");
    };
    let body = Rect { height: inside.height.saturating_sub(u16::from(inside.height >= 6)), ..inside };
    if effects.sorted {
        ranked::draw(c, body, map, measure);
    } else {
        let near = |layer: usize, pos: usize| {
            state.usage.layer(layer).is_some_and(|stats| stats.near_ties.binary_search(&pos).is_ok())
        };
        let at = state.map_column(map);
        Grid { map, measure, full: map.largest(measure), columns: Columns::Tokens(&near), at }.draw(c, area, body);
    }
    if body.height < inside.height {
        put_legend(c, inside, map, measure);
    }
}

fn put_legend(c: &mut Canvas, inside: Rect, map: &EffectMap, measure: MapMeasure) {
    let (state, y) = (c.state, inside.bottom() - 1);
    let x = legend(c, inside, inside.x + 1, y, map.largest(measure), measure.is_size());
    let (layer, pos) = (state.cursor.layer, state.cursor.token);
    let edits = state.meta().map_or(&[][..], |meta| &meta.edits);
    let exchange = state.token().and_then(|token| exchange(token, layer, edits)).map(|of| {
        let margin = of.margin.map(|margin| format!(" (margin {margin:.4})")).unwrap_or_default();
        format!("E{} instead of E{}{margin}", of.winner, of.loser)
    });
    let here = match (map.get(layer, pos), exchange) {
        (Some(Found::Effect(found)), Some(exchange)) => {
            let loss = found.loss_change.map(|loss| format!("loss {}, ", signed(loss))).unwrap_or_default();
            let kl = signed(found.kl);
            format!("L{layer}@{pos} {exchange}: {loss}KL {}, {} flips above", kl.trim_start_matches('+'), found.flips)
        }
        _ => String::new(),
    };
    let forms = [
        format!("   {NEAR_TIE} near-tie   {here}   enter edits  a measure  A sort"),
        format!("   {NEAR_TIE} near-tie   {here}"),
        format!("   {here}"),
    ];
    c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
}
