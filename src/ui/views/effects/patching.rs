//! Values of the run (clean), put into the run of a second prompt (corrupted) one after the other: how much of the difference of
//! both each restores.

use super::grid::{Columns, Grid};
use super::{invite, ranked, want, watched, without};
use crate::analysis::view::View;
use crate::analysis::{EffectMap, Found, MapMeasure, PatchOver};
use crate::state::Spot;
use crate::state::text::{harmless, quoted};
use crate::ui::canvas::Canvas;
use crate::ui::chrome::title::view_panel;
use crate::ui::views::Panel;
use crate::ui::widgets::number::plain;
use ratatui::layout::Rect;

pub const PANEL: Panel = Panel::new(draw);

fn draw(c: &mut Canvas, area: Rect) {
    let (state, effects) = (c.state, c.pane.effects);
    let title = format!("of {}", effects.patch);
    let Some(second) = state.second.as_ref().filter(|_| without(c).is_none()) else {
        let inside = view_panel(c, area, [title]);
        let invitation =
            "C types a second (corrupted) prompt of as many tokens; values of this run are then put into its run";
        return c.nothing(inside, without(c).unwrap_or(invitation));
    };
    if let Some(prompt) = state.unread_second().filter(|_| !state.is_busy()) {
        c.wanted.experiments.second = Some(prompt.clone());
    }
    let Some(request) = state.map_request(&effects, View::EffectsPatching).filter(|_| !second.tokens().is_empty())
    else {
        let inside = view_panel(c, area, [title]);
        let text = match second.failure() {
            Some(why) => format!("the second prompt can't be read: {}", harmless(why)),
            None => "reading the second prompt …".to_owned(),
        };
        return c.nothing(inside, &text);
    };
    let (own, theirs) = (state.tokens.len(), second.tokens().len());
    if request.tokens != theirs {
        let inside = view_panel(c, area, [title]);
        let text = format!(
            "the second prompt has {theirs} tokens and this run {own}: patching needs equal lengths; C changes the second"
        );
        return c.nothing(inside, &text);
    }
    let progress = want(c, &request);
    let of = request.key.watch.map_or_else(String::new, |watch| watched(state, watch));
    let inside = view_panel(c, area, [format!("{title} · recovery of {of}{progress}"), format!("{title}{progress}")]);
    let line = format!("clean: this run, without edits · corrupted: {}", quoted(&second.shown(80)));
    c.put(inside, inside.x + 1, inside.y, &line, c.theme.dim());
    let inside = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    let Some(map) = state.derived.effect_map(&request) else {
        return invite(c, inside, &request, "how much each value restores");
    };
    let body = Rect { height: inside.height.saturating_sub(u16::from(inside.height >= 6)), ..inside };
    // Recovery has no other measure.
    let measure = MapMeasure::Target;
    if effects.sorted {
        ranked::draw(c, body, map, measure);
    } else {
        let full = map.largest(measure).max(1.0);
        let at = state.map_column(map);
        let near = |_: usize, _: usize| false;
        let columns = match effects.patch {
            PatchOver::Heads | PatchOver::Experts => Columns::Named(
                (0..map.columns)
                    .map(|column| {
                        let spot = Spot { layer: None, ..ranked::spot(map.key.of, 0, column) };
                        (state.column_name(map, column), spot)
                    })
                    .collect(),
            ),
            _ => Columns::Tokens(&near),
        };
        Grid { map, measure, full, columns, at }.draw(c, area, body);
    }
    if body.height < inside.height {
        put_legend(c, inside, map);
    }
}

fn put_legend(c: &mut Canvas, inside: Rect, map: &EffectMap) {
    let (state, y) = (c.state, inside.bottom() - 1);
    let x = super::grid::legend(c, inside, inside.x + 1, y, map.largest(MapMeasure::Target).max(1.0), false);
    let (layer, column) = (state.cursor.layer, state.map_column(map));
    let here = match map.get(layer, column) {
        Some(Found::Patched { measure, recovery }) => {
            format!(
                "{}: {}, recovery {}",
                ranked::place_name(state, map, layer, column),
                plain(*measure),
                plain(*recovery)
            )
        }
        Some(Found::Nothing) => "the texts are the same up to here".to_owned(),
        _ => String::new(),
    };
    let ends =
        map.baselines.map(|[clean, corrupted]| format!("clean {}, corrupted {}", plain(clean), plain(corrupted)));
    let ends = ends.unwrap_or_default();
    let forms = [
        format!("   {ends}   {here}   O values  A sort  F foil  = pin  C second prompt"),
        format!("   {ends}   {here}"),
        format!("   {here}"),
    ];
    c.put_first_that_fits(inside, x, y, &forms, c.theme.dim());
}
