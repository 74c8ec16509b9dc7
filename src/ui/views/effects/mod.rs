//! What parts of the model matter: maps of edits and patches, and contributions of all layers.

pub mod contributions;
mod grid;
pub mod map;
pub mod patching;
mod ranked;
pub mod routing;

use crate::analysis::{EffectMap, Watch};
use crate::protocol::MapRequest;
use crate::state::State;
use crate::state::text::{fit, quoted, show_piece};
use crate::ui::canvas::Canvas;
use ratatui::layout::Rect;

/// The target and the foil of a map, in words: `‘·Paris’ − ‘·Rome’ after 12`.
fn watched(state: &State, watch: Watch) -> String {
    let named = |id: u32| {
        let record = state.tokens.get(watch.position);
        let candidates = record.into_iter().flat_map(|record| &record.next.top).map(|found| (found.id, &found.piece));
        let theirs = state.second.as_ref().and_then(|second| second.tokens().get(watch.position));
        let theirs = theirs.into_iter().flat_map(|record| &record.next.top).map(|found| (found.id, &found.piece));
        let foil = state.foil.iter().map(|foil| (foil.id, &foil.piece));
        let piece = candidates.chain(theirs).chain(foil).find(|(known, _)| *known == id).map(|(_, piece)| piece);
        piece.map_or_else(|| format!("token {id}"), |piece| quoted(&fit(&show_piece(piece), 12)))
    };
    let foil = watch.foil.map(|foil| format!(" − {}", named(foil))).unwrap_or_default();
    let is_pinned = state.pin.is_some_and(|pin| (pin.position, pin.token) == (watch.position, watch.token));
    let pinned = if is_pinned { " (pinned)" } else { "" };
    format!("{}{foil} after {}{pinned}", named(watch.token), watch.position)
}

/// Why there is no map, as a sentence in the panel.
fn without(c: &Canvas) -> Option<&'static str> {
    if c.state.tokens.is_empty() {
        Some("no token yet")
    } else if c.is_saved() {
        Some("needs a model: o opens one; this is a saved run")
    } else {
        None
    }
}

/// Requests what the map lacks, if maps are on; returns how far it is, in words.
fn want(c: &mut Canvas, request: &MapRequest) -> String {
    let state = c.state;
    if state.derived.has_map_failed(request) {
        return " · not computed".to_owned();
    }
    let map = state.derived.effect_map(request);
    let is_current = map.is_some_and(|map| map.tokens == request.tokens);
    let is_done = is_current && map.is_some_and(EffectMap::is_complete);
    if !is_done && state.maps_on && !state.is_busy() {
        c.wanted.experiments.map = Some((request.clone(), state.derived.map_done(request)));
    }
    let all = state.tokens.len();
    match map {
        Some(map) if is_done && map.tokens == all => String::new(),
        Some(map) if map.is_complete() && map.tokens < all => {
            format!(" · over the first {} of {all} tokens", map.tokens)
        }
        Some(map) => {
            let (done, all) = map.progress();
            let next = if state.maps_on { "esc stops" } else { "enter goes on" };
            format!(" · {} % · {next}", done * 100 / all.max(1))
        }
        None if state.maps_on => " · computing".to_owned(),
        None => " · enter computes it".to_owned(),
    }
}

/// A sentence where nothing is computed yet.
fn invite(c: &mut Canvas, inside: Rect, request: &MapRequest, what: &str) {
    let text = match (c.state.derived.has_map_failed(request), c.state.maps_on) {
        (true, _) => "it can't be computed: ! says why, enter tries again".to_owned(),
        (false, true) => "computing …".to_owned(),
        (false, false) => format!("enter computes {what}; esc stops it"),
    };
    c.nothing(inside, &text);
}
