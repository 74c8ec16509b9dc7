//! The explorer without its terminal: takes events, and sends their effects to the engine and to files.

use super::Options;
use super::first_run;
use super::folders::state_folder;
use super::history::History;
use super::keeper::Keeper;
use super::models::Finder;
use super::saving::{Saver, Shown};
use crate::analysis::view::{Tab, View};
use crate::engine::{Engine, Opener};
use crate::export::Screen;
use crate::hub;
use crate::protocol::{self, Failure};
use crate::state::{Baseline, Effect, Event, Save, State, update};
use crate::trace::{parse_edits, write_new_file};
use anyhow::{Context, Result, anyhow};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, channel};

/// Engine events that may wait for the screen; then the engine waits.
const EVENTS: usize = 256;

/// The folders that the explorer reads and writes, apart from models.
#[derive(Clone, Default)]
pub struct Places {
    /// The folder of history, session and recent models; `None` if nothing is kept.
    pub state: Option<PathBuf>,
    /// The folder for exported files.
    pub output: PathBuf,
    /// The Hub whose cached models are listed, if its settings are valid.
    pub hub: Option<hub::Settings>,
}

impl Places {
    /// The user's folders, and the working directory.
    pub fn of_user() -> Self {
        Self { state: state_folder(), output: PathBuf::from("."), hub: hub::Settings::from_env().ok() }
    }
}

/// An effect that needs the terminal.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Copy this text to the clipboard.
    Copy(String),
    /// Pass the cells of the screen to [`Explorer::save_screen`].
    SaveScreen,
    /// Clear the screen and draw it again.
    Redraw,
    /// Stop the program until the shell continues it.
    Suspend,
    /// Leave.
    Quit,
}

/// State, engine and files. Its methods need a tokio runtime.
pub struct Explorer {
    /// What the user sees.
    pub state: State,
    engine: Engine,
    /// The engine's events; `None` once its thread has ended.
    events: Option<Receiver<protocol::Event>>,
    history: History,
    models: History,
    finder: Finder,
    saver: Saver,
    keeper: Keeper,
}

impl Explorer {
    /// Starts the engine, which opens models by `opener`, and begins as `options` say.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn start(options: Options, places: Places, opener: Arc<Opener>) -> Result<Self> {
        let folder = places.state.as_deref();
        let (history, past, trouble) = History::prompts(folder);
        let (models, recent, more_trouble) = History::models(folder);
        let is_new = options.prompt.is_none() && options.resume.is_none() && options.model == "demo";
        let mut state = State::new(options.prompt, options.sampling, options.open.policy, past);
        state.start_edits = options.edits;
        state.colour = options.strip;
        if options.details_flipped {
            state.pane_mut().details.flipped = Tab::ALL.into();
        }
        if let Some(recorded) = options.against {
            state.baseline = Baseline::recorded(recorded);
            state.pane_mut().show(View::FidelityFlips);
        }
        state.keymap = options.keymap;
        state.reduced_motion = options.reduced_motion;
        let first = match options.resume {
            Some(saved) => state.resume(saved),
            None => state.open_model(options.model),
        };
        state.first_run = is_new && folder.is_some_and(first_run::is_first);
        for failure in [trouble, more_trouble, options.unread].into_iter().flatten() {
            state.trouble_at_start(failure);
        }
        let (sender, events) = channel(EVENTS);
        let mut explorer = Self {
            state,
            engine: Engine::start(opener, options.open, sender)?,
            events: Some(events),
            history,
            models,
            finder: Finder::new(recent, places.hub),
            saver: Saver::new(places.output),
            keeper: Keeper::new(folder, options.open.dtype),
        };
        // Opening a model needs no terminal.
        explorer.carry_out(first);
        Ok(explorer)
    }

    /// The next event of the engine or of work in the background; safe to cancel.
    pub async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                biased;
                reported = reported(&mut self.events) => match reported {
                    Some(event) => return Event::Engine(event),
                    // The thread has reported its end.
                    None => self.events = None,
                },
                said = self.saver.next() => return said,
                found = self.finder.found() => return Event::Models(found),
            }
        }
    }

    /// Updates the state by an event and carries out its effects; returns those that need the terminal.
    pub fn take(&mut self, event: Event) -> Vec<Request> {
        self.keeper.is_unsaved |= !matches!(event, Event::Drawn(..));
        let effects = update(&mut self.state, event);
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Vec<Request> {
        let mut requests = Vec::new();
        for effect in effects {
            match effect {
                Effect::Ask(id, ask) => {
                    if let Err(failure) = self.engine.ask(id, ask) {
                        update(&mut self.state, Event::Engine(protocol::Event::Failed { id, failure }));
                    }
                }
                Effect::Cancel(id) => self.engine.cancel(id),
                Effect::CancelOpening(id) => self.engine.cancel_opening(id),
                Effect::FindModels(text) => self.finder.find(text),
                Effect::RememberModel(name) => {
                    if let Some(name) = self.finder.remember(name)
                        && let Err(error) = self.models.remember(&name)
                    {
                        update(&mut self.state, Event::Trouble(Failure::of(&error)));
                    }
                }
                Effect::Remember(prompt) => {
                    if let Err(error) = self.history.remember(&prompt) {
                        update(&mut self.state, Event::Trouble(Failure::of(&error)));
                    }
                }
                Effect::Save(Save::View(files)) => {
                    let shown = Shown::of(&self.state, files.spec.view);
                    self.saver.view(*files, shown, self.engine.branch());
                }
                Effect::Save(Save::Run) => self.saver.run(self.engine.branch()),
                Effect::Save(Save::Screen) => requests.push(Request::SaveScreen),
                Effect::StopSaving => self.saver.stop(),
                Effect::SaveEdits { path, text } => {
                    let written = write_new_file(Path::new(&path), |file| Ok(file.write_all(text.as_bytes())?));
                    let said = written.map(|()| format!("wrote {path}")).map_err(|error| {
                        let is_taken =
                            error.downcast_ref::<Error>().is_some_and(|of| of.kind() == ErrorKind::AlreadyExists);
                        Failure::of(&if is_taken { exists(&path) } else { error })
                    });
                    update(&mut self.state, Event::Saved(said));
                }
                Effect::LoadEdits(path) => {
                    let read =
                        std::fs::read_to_string(&path).with_context(|| format!("cannot read the edits in {path}"));
                    let found = read.and_then(|text| parse_edits(&text).with_context(|| path.clone()));
                    let more = update(&mut self.state, Event::Edits(found.map_err(|error| Failure::of(&error))));
                    requests.extend(self.carry_out(more));
                }
                Effect::Copy(text) => requests.push(Request::Copy(text)),
                Effect::Redraw => requests.push(Request::Redraw),
                Effect::Suspend => requests.push(Request::Suspend),
                Effect::Quit => requests.push(Request::Quit),
            }
        }
        requests
    }

    /// Writes these cells as pictures; `dark` if the background is dark.
    pub fn save_screen(&self, screen: Screen, dark: bool) {
        self.saver.screen(screen, dark);
    }

    /// Whether something may have changed since the session was last written.
    pub fn is_unsaved(&self) -> bool {
        self.keeper.is_unsaved
    }

    /// Starts writing the session if it has changed; returns whether there is trouble to show.
    pub fn save_session(&mut self) -> bool {
        let failure = self.keeper.save_if_changed(self.state.saved());
        let is_trouble = failure.is_some();
        if let Some(failure) = failure {
            update(&mut self.state, Event::Trouble(failure));
        }
        is_trouble
    }

    /// Writes the session for the last time.
    ///
    /// # Errors
    /// If it can't be written.
    pub async fn end(&mut self) -> Result<()> {
        self.keeper.save_last(self.state.saved()).await
    }
}

fn exists(path: &str) -> anyhow::Error {
    anyhow!("{path} exists already, and the edits go to a new file: give another name, or remove it first")
}

async fn reported(events: &mut Option<Receiver<protocol::Event>>) -> Option<protocol::Event> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
