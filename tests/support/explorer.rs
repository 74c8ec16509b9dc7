//! The explorer without a terminal: its state, the engine's thread, files and downloads are the program's own; keys are
//! given by name, and the screen is cells.

use super::cells::rows;
use super::hub::Hub;
use super::shot::Shot;
use mixscope::app::{self, ColorChoice, Places, Request, cells};
use mixscope::engine::{OpenOptions, Opened, Opener, Target, fetch, open_model, open_target};
use mixscope::hub;
use mixscope::state::input::{Code, Key, Keymap};
use mixscope::state::{Event, StripColour};
use mixscope::trace::{Device, Policy, Prompt, Sampling};
use mixscope::ui::{Colours, Depth, Drawn, Theme, draw};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Waiting for one event is given up after this long; no limit on the program.
const GIVE_UP: Duration = Duration::from_secs(120);

/// What an explorer starts with.
pub struct Setup {
    options: app::Options,
    places: Places,
    size: (u16, u16),
}

impl Setup {
    /// Of this model, on a screen of 120×40, with no state folder.
    pub fn of(model: &str) -> Self {
        let open = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu };
        let options = app::Options {
            edits: Vec::new(),
            model: model.to_owned(),
            open,
            prompt: None,
            resume: None,
            against: None,
            sampling: Sampling::default(),
            color: ColorChoice::Never,
            colours: Colours::default(),
            mouse: true,
            reduced_motion: false,
            strip: StripColour::Expert,
            details_flipped: false,
            arrangement: None,
            keymap: Arc::new(Keymap::default()),
            unread: None,
        };
        Self { options, places: Places::default(), size: (120, 40) }
    }

    /// Runs a text at once.
    pub fn prompt(mut self, text: &str) -> Self {
        self.options.prompt = Some(Prompt::Text(text.to_owned()));
        self
    }

    /// Runs a message in the chat template at once.
    pub fn chat(mut self, text: &str) -> Self {
        self.options.prompt = Some(Prompt::Chat(text.to_owned()));
        self
    }

    /// Other options.
    pub fn with(mut self, change: impl FnOnce(&mut app::Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Columns and rows.
    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    /// A state folder.
    pub fn state(mut self, folder: &Path) -> Self {
        self.places.state = Some(folder.to_owned());
        self
    }

    /// The folder that files are written into.
    pub fn output(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.places.output);
        self
    }

    /// A Hub, with its cache in this folder.
    pub fn hub(mut self, hub: &Hub, cache: &Path) -> Self {
        self.places.hub = Some(hub.settings(cache));
        self
    }

    /// Without the network.
    pub fn offline(mut self) -> Self {
        self.places.hub.as_mut().unwrap().offline = true;
        self
    }

    /// Starts it.
    pub fn start(self) -> Explorer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opener = opener(self.places.hub.clone());
        let explorer = {
            let _inside = runtime.enter();
            app::Explorer::start(self.options, self.places, opener).unwrap()
        };
        let mut explorer =
            Explorer { runtime, explorer, size: self.size, shot: Shot::default(), copied: Vec::new(), is_over: false };
        explorer.draw();
        explorer
    }

    /// Starts it and waits until its prompt is read: so many tokens.
    pub fn start_with(self, tokens: usize) -> Explorer {
        let mut explorer = self.start();
        explorer.wait_tokens(tokens);
        explorer
    }
}

/// Opens models as the program does, names on the Hub with these settings instead of the environment's.
fn opener(settings: Option<hub::Settings>) -> Arc<Opener> {
    Arc::new(move |name, options, control, progress| -> anyhow::Result<Opened> {
        let (Target::Hub(repo), Some(settings)) = (Target::parse(name)?, &settings) else {
            return open_target(name, options, control, progress);
        };
        let path = fetch(&repo, settings, control, progress)?;
        let mut loaded = open_model(path.to_str().unwrap(), options, control, progress)?;
        let meta = Arc::make_mut(&mut loaded.meta);
        (meta.name, meta.title) = (name.to_owned(), name.to_owned());
        Ok(Opened::Model(Arc::new(loaded)))
    })
}

/// A running explorer.
pub struct Explorer {
    runtime: Runtime,
    explorer: app::Explorer,
    size: (u16, u16),
    shot: Shot,
    /// Texts for the clipboard, oldest first.
    pub copied: Vec<String>,
    /// Whether the user has left.
    pub is_over: bool,
}

impl Explorer {
    /// Presses keys as the help names them, separated by spaces: `x`, `ctrl-u`, `down`, `space`.
    pub fn send(&mut self, keys: &str) {
        for name in keys.split_whitespace() {
            self.take(Event::Key(name.parse().unwrap()));
        }
    }

    /// Types a text, character by character.
    pub fn type_text(&mut self, text: &str) {
        text.chars().for_each(|c| self.take(Event::Key(Key::of(Code::Char(c)))));
    }

    /// Pastes a text.
    pub fn paste(&mut self, text: &str) {
        self.take(Event::Paste(text.to_owned()));
    }

    /// Presses keys and waits for a text on the screen.
    #[track_caller]
    pub fn press(&mut self, keys: &str, text: &str) -> Shot {
        self.send(keys);
        self.wait_for(text)
    }

    /// Changes the size of the screen.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.size = (columns, rows);
    }

    /// Writes the session and ends.
    pub fn end(mut self) {
        self.runtime.block_on(self.explorer.end()).unwrap();
    }

    fn take(&mut self, event: Event) {
        let _inside = self.runtime.enter();
        for request in self.explorer.take(event) {
            match request {
                Request::Copy(text) => self.copied.push(text),
                Request::SaveScreen => {
                    let drawn = self.drawn(Depth::True);
                    self.explorer.save_screen(cells(&drawn.cells), true);
                }
                Request::Redraw | Request::Suspend => {}
                Request::Quit => self.is_over = true,
            }
        }
    }

    fn drawn(&self, depth: Depth) -> Drawn {
        draw(&self.explorer.state, &Theme::new(depth), Rect::new(0, 0, self.size.0, self.size.1))
    }

    /// Draws a frame, as the loop does after each event.
    fn draw(&mut self) {
        let drawn = self.drawn(Depth::True);
        self.shot = shot(&drawn.cells, drawn.caret.map(|caret| (caret.x, caret.y)));
        self.take(Event::Drawn(drawn.wanted.into(), drawn.geometry));
    }

    /// The screen as it is.
    pub fn screen(&mut self) -> Shot {
        self.draw();
        self.shot.clone()
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub fn wait_until(&mut self, wanted: &str, is_so: impl Fn(&Shot) -> bool) -> Shot {
        loop {
            self.draw();
            if is_so(&self.shot) {
                return self.shot.clone();
            }
            let next = async { timeout(GIVE_UP, self.explorer.next()).await };
            match self.runtime.block_on(next) {
                Ok(event) => self.take(event),
                Err(_) => panic!("never came: {wanted}; the screen:\n{}", self.shot.text()),
            }
        }
    }

    /// Waits for a text.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> Shot {
        self.wait_until(&format!("`{text}`"), |shot| shot.has(text))
    }

    /// Waits until a text is gone.
    #[track_caller]
    pub fn wait_gone(&mut self, text: &str) -> Shot {
        self.wait_until(&format!("a screen without `{text}`"), |shot| !shot.has(text))
    }

    /// Waits until the engine has nothing to do and the run has so many tokens.
    #[track_caller]
    pub fn wait_tokens(&mut self, count: usize) -> Shot {
        self.wait_until(&format!("idle with {count} tokens"), |shot| shot.is_idle() && shot.tokens() == Some(count))
    }
}

/// The text of the cells.
fn shot(buffer: &Buffer, caret: Option<(u16, u16)>) -> Shot {
    let italic = buffer.content().iter().filter(|cell| cell.modifier.contains(Modifier::ITALIC));
    Shot {
        lines: rows(buffer, buffer.area),
        italics: italic.map(ratatui::buffer::Cell::symbol).collect(),
        before_cursor: caret.map(|(x, y)| rows(buffer, Rect::new(0, y, x, 1)).concat()),
    }
}
