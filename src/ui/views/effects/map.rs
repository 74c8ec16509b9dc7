//! Layers × parts: what each expert, head or block does to the target.
//!
//! ```text
//!         E0     E1     E2
//!  L5  +0.012 −2.134 +0.000
//! ```

use super::grid::{Columns, Grid, legend};
use super::{invite, ranked, want, watched, without};
use crate::analysis::{EffectMap, Found, MapMeasure};
use crate::state::text::harmless;
use crate::state::{Spot, State};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::number::signed;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel::new(draw);

fn draw(c: &mut Canvas, area: Rect) {
    let (state, effects) = (c.state, c.pane.effects);
    let what = format!("{} {}", effects.how, effects.over);
    let view = crate::analysis::view::View::EffectsMap;
    let Some(request) = state.map_request(&effects, view) else {
        let inside = view_panel(c, area, [what]);
        return c.nothing(inside, without(c).unwrap_or("no target: the candidates are not known"));
    };
    if let Some(text) = without(c) {
        let inside = view_panel(c, area, [what]);
        return c.nothing(inside, text);
    }
    let measure = state.measure_in(&effects, view);
    let progress = want(c, &request);
    let of = request.key.watch.map_or_else(String::new, |watch| watched(state, watch));
    let inside = view_panel(
        c,
        area,
        [format!("{what} · {} · target {of}{progress}", measure.short()), format!("{what} · target {of}{progress}")],
    );
    let Some(map) = state.derived.effect_map(&request) else {
        return invite(c, inside, &request, &format!("what each of the {} does to the target", effects.over));
    };
    let body = Rect { height: inside.height.saturating_sub(u16::from(inside.height >= 6)), ..inside };
    if effects.sorted {
        ranked::draw(c, body, map, measure);
    } else {
        let names = (0..map.columns).map(|column| name(state, map, column)).collect();
        let full = map.largest(measure);
        let at = state.map_column(map);
        Grid { map, measure, full, columns: Columns::Named(names), at }.draw(c, area, body);
    }
    if body.height < inside.height {
        put_legend(c, inside, map, measure);
    }
}

fn name(state: &State, map: &EffectMap, column: usize) -> (String, Spot) {
    let spot = Spot { layer: None, ..ranked::spot(map.key.of, 0, column) };
    (state.column_name(map, column), spot)
}

/// The colours, what is at the cursor, and the keys.
fn put_legend(c: &mut Canvas, inside: Rect, map: &EffectMap, measure: MapMeasure) {
    let (state, y) = (c.state, inside.bottom() - 1);
    let x = legend(c, inside, inside.x + 1, y, map.largest(measure), measure.is_size());
    let (layer, column) = (state.cursor.layer, state.map_column(map));
    let here = match map.get(layer, column) {
        Some(Found::Effect(found)) => {
            let loss = found.loss_change.map(|loss| format!(", loss {}", signed(loss))).unwrap_or_default();
            let target = format!("target {}", signed(found.target_logprob_change));
            let difference = found.logit_difference_change.map(|by| format!(", difference {}", signed(by)));
            let kl = signed(found.kl).trim_start_matches('+').to_owned();
            format!(
                "{}: {target}{}{loss}, KL {kl}, {} flips",
                ranked::place_name(state, map, layer, column),
                difference.unwrap_or_default(),
                found.flips
            )
        }
        Some(Found::Nothing) => {
            map.refused.clone().map_or_else(String::new, |why| format!("not possible: {}", harmless(&why)))
        }
        _ => String::new(),
    };
    let about = measure.about();
    let forms = [
        format!("   {about}   {here}   O parts  W how  a measure  A sort  F foil  = pin"),
        format!("   {here}   O parts  W how  a measure  A sort"),
        format!("   {here}"),
    ];
    c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
}
