//! The places of a map as a list, the largest effect first.
//!
//! ```text
//!      place           effect    loss       KL  flips
//!    1 L5.E3           −2.134  +0.412    0.310      4        ███│
//! ```

use crate::analysis::{EffectMap, Found, MapAxis, MapMeasure, MapOf};
use crate::state::text::{fit, width};
use crate::state::{Spot, State};
use crate::ui::canvas::Canvas;
use crate::ui::widgets::bar::put_bar;
use crate::ui::widgets::number::{plain, signed};
use crate::ui::widgets::window::window;
use ratatui::layout::Rect;

/// Width of the bars, cells.
const BAR: usize = 31;
/// Width of the name of a place, cells.
const PLACE: usize = 15;

/// Draws the list.
pub fn draw(c: &mut Canvas, inside: Rect, map: &EffectMap, measure: MapMeasure) {
    let ranked = map.ranked(measure);
    let state = c.state;
    let here = (state.cursor.layer, state.map_column(map));
    let at = ranked.iter().position(|(layer, column, _)| (*layer, *column) == here);
    let full = ranked.first().map_or(0.0, |(.., value)| value.abs());
    let share = |value: f64| if full > 0.0 { value / full } else { 0.0 };
    let place = format!("     {:<PLACE$}", "place");
    let heading = match map.key.of {
        MapOf::Patching(_) => format!("{place} recovery   measure"),
        _ => format!("{place}   effect     loss       KL  flips"),
    };
    c.put(inside, inside.x, inside.y, &heading, c.theme.dim());
    let body = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    let rows = window(at.unwrap_or(0), ranked.len(), usize::from(body.height));
    for (y, row) in (body.y..body.bottom()).zip(rows) {
        let (layer, column, value) = ranked[row];
        let name = place_name(state, map, layer, column);
        let name = format!("{name}{}", " ".repeat(PLACE.saturating_sub(width(&name))));
        let rest = match map.get(layer, column) {
            Some(Found::Effect(found)) => {
                let loss = found.loss_change.map_or_else(String::new, signed);
                format!(" {loss:>8} {:>8} {:>6}", signed(found.kl).trim_start_matches('+'), found.flips)
            }
            Some(Found::Patched { measure, .. }) => format!(" {:>9}", plain(*measure)),
            _ => String::new(),
        };
        let style = if at == Some(row) { c.theme.cursor() } else { c.theme.strong() };
        let x = c.put(inside, inside.x, y, &format!("{:>4} {name}", row + 1), style);
        let x = c.put(inside, x, y, &format!(" {:>8}", signed(value)), c.theme.signed(value));
        let x = c.put(inside, x, y, &rest, c.theme.dim());
        let room = usize::from(inside.right().saturating_sub(x)).saturating_sub(2);
        put_bar(c, inside, (x + 2, y), share(value), room.min(BAR));
        c.hit_lines(inside, y, 1, spot(map.key.of, layer, column));
    }
}

/// What a click on a place means.
pub fn spot(of: MapOf, layer: usize, column: usize) -> Spot {
    let spot = Spot { layer: Some(layer), ..Spot::default() };
    match of.axis() {
        MapAxis::Expert => Spot { expert: Some(column), ..spot },
        MapAxis::Head => Spot { head: Some(column), ..spot },
        MapAxis::Block => spot,
        MapAxis::Position => Spot { token: Some(column), ..spot },
    }
}

/// `L5.E3`, `L2.attn`, `L4@7 ·Paris`
pub fn place_name(state: &State, map: &EffectMap, layer: usize, column: usize) -> String {
    let name = state.column_name(map, column);
    if !name.starts_with('@') {
        return format!("L{layer}.{name}");
    }
    let shown = state.shown.get(column).map_or("", |(text, _)| text);
    format!("L{layer}{name} {}", fit(shown, 8))
}
