//! What parts of the model matter: effect maps, patching, and contributions of all layers.

pub mod contributions;
pub mod map;
pub mod patching;
pub mod routing;
mod target;

pub use target::Pin;

use super::Enter;
use super::copy::{Clip, Copied, UNDERWAY};
use crate::analysis::tables::{Row, Table};
use crate::analysis::view::View;
use crate::analysis::{EffectMap, How, MapAxis, MapKey, MapMeasure, MapOf, MapOver, ModelPart, PatchOver};
use crate::protocol::MapRequest;
use crate::state::input::{Extent, Vertical};
use crate::state::{Effect, State};
use crate::trace::Direction;
use serde::{Deserialize, Serialize};

/// What the maps of a pane go over and show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Effects {
    /// The parts of the effect map.
    pub over: MapOver,
    /// What is done to them.
    pub how: How,
    /// The values that are patched.
    pub patch: PatchOver,
    /// What is shown of each place.
    pub measure: MapMeasure,
    /// Whether the places are listed, the largest effect first.
    pub sorted: bool,
}

impl Effects {
    /// Whether nothing was chosen.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What the map of a view goes over; `None` for a view without a map.
    pub fn of(&self, view: View) -> Option<MapOf> {
        match view {
            View::EffectsMap => Some(MapOf::Parts(self.over, self.how)),
            View::EffectsRouting => Some(MapOf::Routing),
            View::EffectsPatching => Some(MapOf::Patching(self.patch)),
            _ => None,
        }
    }
}

const NO_MAP: &str = "this map has not been computed yet: enter computes it";
const OLD_MAP: &str = "this map is of fewer tokens than the run: enter computes it again";
const ENTER: Enter = Enter { run: State::enter_map, refusal };

fn refusal(state: &State) -> Option<&'static str> {
    state.tokens.is_empty().then_some("there is no token yet: i types a prompt")
}

/// Why there is no map to copy or to write. A part of one is something.
fn missing(state: &State) -> Option<&'static str> {
    let Some(map) = state.map() else { return Some(NO_MAP) };
    (map.tokens < state.tokens.len()).then_some(OLD_MAP)
}

fn vertical(state: &mut State, to: Vertical) {
    if state.pane().effects.sorted {
        let by = if to == Vertical::Up { Direction::Back } else { Direction::Forward };
        return state.move_ranked(by);
    }
    state.move_layer(to);
}

/// Copies the rows of the places at the cursor, of its layer or of the whole map.
fn copy_rows<R: Row>(
    state: &State,
    extent: Extent,
    table: &'static Table,
    row: impl Fn(&EffectMap, usize, usize) -> Option<R>,
) -> Copied {
    let map = state.map().ok_or(NO_MAP)?;
    let (layer, column) = (state.cursor.layer, state.map_column(map));
    if extent == Extent::Cell {
        let value = map.value(layer, column, state.map_measure()).ok_or(UNDERWAY)?;
        let text = format!("L{layer} {} {value}", state.column_name(map, column));
        return Ok((text.clone(), text));
    }
    let layers = if extent == Extent::Row { layer..layer + 1 } else { 0..map.layers() };
    let mut clip = Clip::new(table)?;
    for layer in layers {
        clip.extend((0..map.columns).filter_map(|column| row(map, layer, column)))?;
    }
    clip.finish("the map")
}

impl State {
    /// The map that a view of a pane shows.
    pub fn map_request(&self, effects: &Effects, view: View) -> Option<MapRequest> {
        let of = effects.of(view)?;
        if self.tokens.is_empty() {
            return None;
        }
        if let MapOf::Patching(_) = of {
            return self.patching_request(of);
        }
        let watch = match of {
            MapOf::Routing => None,
            _ => Some(self.watch()?),
        };
        Some(MapRequest { key: MapKey { of, watch }, tokens: self.tokens.len(), second: None })
    }

    /// The map of the view with the focus, as far as it is computed.
    pub fn map(&self) -> Option<&EffectMap> {
        let request = self.map_request(&self.pane().effects, self.view())?;
        self.derived.effect_map(&request)
    }

    /// What the map of the view with the focus shows of each place.
    pub fn map_measure(&self) -> MapMeasure {
        self.measure_in(&self.pane().effects, self.view())
    }

    /// What a map shows of each place: the chosen measure, or another where it has no value.
    pub fn measure_in(&self, effects: &Effects, view: View) -> MapMeasure {
        match (effects.measure, view) {
            (MapMeasure::Difference, View::EffectsRouting) => MapMeasure::Loss,
            (MapMeasure::Difference, _) if self.watch().is_none_or(|watch| watch.foil.is_none()) => MapMeasure::Target,
            (measure, _) => measure,
        }
    }

    /// The column of a map at the cursor.
    pub fn map_column(&self, map: &EffectMap) -> usize {
        match map.key.of.axis() {
            MapAxis::Expert => self.cursor.expert,
            MapAxis::Head => self.cursor.head,
            MapAxis::Block => usize::from(self.cursor.is_mlp),
            MapAxis::Position => self.cursor.token,
        }
    }

    /// The name of a column of a map: `E5`, `H2`, `attn`, or a position.
    pub fn column_name(&self, map: &EffectMap, column: usize) -> String {
        match map.key.of.axis() {
            MapAxis::Expert => format!("E{column}"),
            MapAxis::Head => format!("H{column}"),
            MapAxis::Block => if column == 0 { "attn" } else { "mlp" }.to_owned(),
            MapAxis::Position => format!("@{column}"),
        }
    }

    /// Puts the cursor on a place of a map.
    pub(in crate::state) fn go_to_place(&mut self, of: MapOf, layer: usize, column: usize) {
        self.cursor.layer = layer;
        match of.axis() {
            MapAxis::Expert => self.cursor.expert = column,
            MapAxis::Head => self.cursor.head = column,
            MapAxis::Block => self.cursor.is_mlp = column > 0,
            MapAxis::Position => self.go_to(column),
        }
    }

    /// Goes through the places of a sorted map.
    fn move_ranked(&mut self, direction: Direction) {
        let measure = self.map_measure();
        let Some(map) = self.map() else { return };
        let (of, ranked) = (map.key.of, map.ranked(measure));
        let here = (self.cursor.layer, self.map_column(map));
        let at = ranked.iter().position(|(layer, column, _)| (*layer, *column) == here);
        let to = match (at, direction) {
            (None, _) => 0,
            (Some(at), Direction::Back) => at.saturating_sub(1),
            (Some(at), Direction::Forward) => at + 1,
        };
        if let Some((layer, column, _)) = ranked.get(to).copied() {
            self.go_to_place(of, layer, column);
        }
    }

    /// Goes to the largest effect of the map.
    pub(in crate::state) fn go_to_largest(&mut self) {
        if self.view() == View::EffectsContributions {
            self.pane_mut().scroll = 0;
            let first = self.shares().and_then(|found| found.ranked().first().map(|share| share.part));
            return first.map_or((), |part| self.go_to_part(part));
        }
        let measure = self.map_measure();
        let Some(map) = self.map() else { return self.say(NO_MAP) };
        let (of, progress) = (map.key.of, map.progress());
        let Some((layer, column, value)) = map.ranked(measure).first().copied() else { return self.say(NO_MAP) };
        let name = self.column_name(map, column);
        self.go_to_place(of, layer, column);
        let of_all = match progress {
            (done, all) if done < all => format!("of {done} places so far, of {all}"),
            (_, all) => format!("of {all} places"),
        };
        self.say(format!("L{layer} {name}: {}, the largest {of_all}", format!("{value:+.4}").replace('-', "−")));
    }

    /// Starts the maps; on a place that is computed, offers its edit.
    fn enter_map(&mut self) -> Vec<Effect> {
        if self.view() == View::EffectsPatching && self.second.is_none() {
            self.open_second();
            return Vec::new();
        }
        let has_failed =
            self.map_request(&self.pane().effects, self.view()).is_some_and(|of| self.derived.has_map_failed(&of));
        if !self.maps_on || has_failed {
            self.maps_on = true;
            self.derived.retry_maps();
            return Vec::new();
        }
        let is_known = self.map().is_some_and(|map| map.get(self.cursor.layer, self.map_column(map)).is_some());
        if is_known {
            self.open_edit_menu();
        }
        Vec::new()
    }

    /// Stops a map that is being computed; what is computed of it stays.
    pub(in crate::state) fn stop_maps(&mut self) -> Option<Effect> {
        let id = self.derived.pending_map().filter(|_| self.maps_on)?;
        self.maps_on = false;
        self.say("stopped: what is computed stays, enter goes on");
        Some(Effect::Cancel(id))
    }

    /// Lets the map go over other parts, or patches other values.
    pub(in crate::state) fn next_map_over(&mut self) {
        let view = self.view();
        let effects = &mut self.pane_mut().effects;
        match view {
            View::EffectsMap => {
                effects.over = effects.over.next(|_| true);
                if !effects.how.fits(effects.over) {
                    effects.how = How::default();
                }
            }
            View::EffectsPatching => effects.patch = effects.patch.next(|_| true),
            _ => self.say("the parts of a map are chosen in Effects, map and patching: 6 shows them, v the next"),
        }
    }

    /// Does something else to each part of the effect map.
    pub(in crate::state) fn next_how(&mut self) {
        if self.view() != View::EffectsMap {
            return self.say("zero, ban or mean is chosen in the effect map: 6 shows it");
        }
        let effects = &mut self.pane_mut().effects;
        let over = effects.over;
        effects.how = effects.how.next(|how| how.fits(over));
    }

    /// Lists the places of the map, the largest effect first, or draws the map again.
    pub(in crate::state) fn toggle_ranked(&mut self) {
        if self.view() == View::EffectsContributions {
            return self.say("contributions are listed by size already");
        }
        let effects = &mut self.pane_mut().effects;
        effects.sorted = !effects.sorted;
    }

    /// Goes to the next place of a layer: an expert, or whatever the columns of the map are.
    pub(in crate::state) fn move_column(&mut self, direction: Direction) {
        let axis = self.pane().effects.of(self.view()).map_or(MapAxis::Expert, MapOf::axis);
        let next = |at: usize| if direction == Direction::Forward { at + 1 } else { at.saturating_sub(1) };
        match axis {
            MapAxis::Expert => self.cursor.expert = self.next_expert(direction),
            MapAxis::Head => self.cursor.head = next(self.cursor.head),
            MapAxis::Block => self.cursor.is_mlp = direction == Direction::Forward,
            MapAxis::Position => self.go_to(next(self.cursor.token)),
        }
    }

    /// Puts the cursor on a part of the model.
    pub(in crate::state) fn go_to_part(&mut self, part: ModelPart) {
        match part {
            ModelPart::Embed => {}
            ModelPart::Head(layer, head) => (self.cursor.layer, self.cursor.head) = (layer, head),
            ModelPart::Expert(layer, expert) => (self.cursor.layer, self.cursor.expert) = (layer, expert),
            ModelPart::Edit(layer, _)
            | ModelPart::AttnRest(layer)
            | ModelPart::MlpRest(layer)
            | ModelPart::Shared(layer) => self.cursor.layer = layer,
        }
    }
}
