//! Events in, effects out.

use super::State;
use super::event::{Effect, Event};
use super::overlays::Overlay;

/// Takes one event, and returns its effects outside the state.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(key) => return state.on_key(key),
        Event::Paste(text) => return state.on_paste(&text),
        Event::Mouse(gesture, spot) => return state.on_mouse(gesture, spot),
        Event::Engine(event) => return state.on_engine(event),
        Event::Drawn(wanted, geometry) => return state.on_drawn(*wanted, geometry),
        Event::Models(found) => {
            if let Some(Overlay::Picker(picker)) = state.overlays.last_mut() {
                picker.take(found);
            }
        }
        Event::Saving(what) => state.saving = Some(what),
        Event::Saved(result) => state.on_saved(result),
        Event::Edits(Ok(edits)) => return state.load_edits(edits),
        Event::Edits(Err(failure)) => state.fail(failure),
        Event::Trouble(failure) => state.fail(failure),
    }
    Vec::new()
}
