//! The explorer without terminal, thread and clock: for pictures, tests and benches.

use crate::engine::{Core, Opened, Replay};
use crate::model::Loaded;
use crate::protocol::{self, RequestId};
use crate::state::input::{Code, Key};
use crate::state::{Effect, Event, Gesture, State, update};
use crate::trace::Prompt;
use crate::trace::Sampling;
use crate::ui::{Depth, Theme, draw};
use anyhow::{Error, Result};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::collections::VecDeque;
use std::sync::Arc;

/// A state and the engine that answers it at once.
pub struct Still {
    /// What the user sees.
    pub state: State,
    core: Core,
}

impl Still {
    /// An explorer of `loaded` that runs `prompt`, if there is one.
    pub fn new(loaded: Arc<Loaded>, prompt: Option<&str>) -> Self {
        Self::start(loaded, prompt.map(|text| Prompt::Text(text.to_owned())))
    }

    /// An explorer of `loaded` that runs `prompt`.
    pub fn with(loaded: Arc<Loaded>, prompt: Prompt) -> Self {
        Self::start(loaded, Some(prompt))
    }

    fn start(loaded: Arc<Loaded>, prompt: Option<Prompt>) -> Self {
        let meta = loaded.meta.clone();
        let state = State::new(prompt, Sampling::default(), meta.policy, Vec::new());
        let mut still = Self { state, core: Core::new(loaded) };
        still.take(Event::Engine(protocol::Event::Ready { id: RequestId::default(), meta }));
        still
    }

    /// An explorer of a saved run.
    pub fn of_saved(saved: Replay) -> Self {
        let core = Core::of(Opened::Replay(saved));
        let state = State::new(None, Sampling::default(), core.run().meta().policy, Vec::new());
        let events = core.introduce(RequestId::default());
        let mut still = Self { state, core };
        events.into_iter().for_each(|event| still.take(Event::Engine(event)));
        still
    }

    /// Handles an event and everything that follows from it.
    pub fn take(&mut self, event: Event) {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            for effect in update(&mut self.state, event) {
                if let Effect::Ask(id, ask) = effect {
                    queue.extend(self.core.answer(id, ask).into_iter().map(Event::Engine));
                }
            }
        }
        // Timings differ from run to run; a still has none.
        self.state.pace = crate::state::Pace::default();
    }

    /// Presses keys as they are written in the help, separated by spaces: `x`, `ctrl-p`, `left`, `space`.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        for name in keys.split_whitespace() {
            let key: Key = name.parse().map_err(Error::msg)?;
            self.take(Event::Key(key));
        }
        Ok(())
    }

    /// Types text.
    pub fn type_text(&mut self, text: &str) {
        text.chars().for_each(|c| self.take(Event::Key(Key::of(Code::Char(c)))));
    }

    /// Makes a gesture with the mouse on the cell (x, y) of a screen of this size.
    pub fn mouse(&mut self, gesture: Gesture, (x, y): (u16, u16), width: u16, height: u16) {
        let area = Rect::new(0, 0, width, height);
        let drawn = draw(&self.state, &Theme::new(Depth::True), area);
        self.take(Event::Mouse(gesture, drawn.hits.at(x, y)));
    }

    /// The screen after every value on it has been derived.
    pub fn screen(&mut self, width: u16, height: u16, depth: Depth) -> Buffer {
        let (theme, area) = (Theme::new(depth), Rect::new(0, 0, width, height));
        // Details may depend on maps and rows on each other; a few rounds settle every view.
        for _ in 0..4 {
            let drawn = draw(&self.state, &theme, area);
            self.take(Event::Drawn(drawn.wanted.into(), drawn.geometry));
        }
        draw(&self.state, &theme, area).cells
    }
}
