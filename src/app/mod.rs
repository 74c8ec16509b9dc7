//! The loop: input, engine events and timer in; state; effects and frames out. The only place where the rooms meet.

mod colour;
pub mod config;
pub mod files;
mod first_run;
mod folders;
mod history;
mod keeper;
mod models;
mod picture;
mod saving;
mod session;
mod signals;
mod still;

pub use crate::state::{Recorded, Saved};
pub use crate::ui::ThemeName;
pub use colour::ColorChoice;
pub use picture::cells;
pub use session::SessionFile;
pub use still::Still;

use crate::engine::{Engine, OpenOptions, open_target};
use crate::protocol::{self, Failure};
use crate::state::keys::Keymap;
use crate::state::{Beside, Effect, Event, FidelityLens, Save, State, StripColour, Tab, update};
use crate::trace::Prompt;
use crate::trace::Sampling;
use crate::ui::terminal::{Manners, Screen};
use crate::ui::{Depth, Look, Theme, draw, input, terminal};
use anyhow::{Context, Result, anyhow};
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures::StreamExt;
use history::History;
use keeper::Keeper;
use models::Finder;
use ratatui::buffer::Buffer;
use saving::Saver;
use signals::{Signal, Signals};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep_until};

/// A frame that nobody asked for comes at least this long after the last.
const FRAME: Duration = Duration::from_millis(16);
/// One that answers a key may come this soon.
const ANSWER: Duration = Duration::from_millis(2);
/// With reduced motion: frames that no key asked for, while a run goes on.
const CALM_FRAME: Duration = Duration::from_millis(250);
/// The session is written at most this often while it changes.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// Engine events that may wait for the screen; then the engine waits.
const EVENTS: usize = 256;

/// What the explorer starts with.
pub struct Options {
    /// The model, as the MODEL argument names it.
    pub model: String,
    /// How models are opened.
    pub open: OpenOptions,
    /// Run at once, if given.
    pub prompt: Option<Prompt>,
    /// An earlier session to go on with.
    pub resume: Option<Saved>,
    /// A recorded run to compare with.
    pub against: Option<Recorded>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// How many colours.
    pub color: ColorChoice,
    /// Which colours.
    pub look: Look,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// Whether little moves.
    pub reduced_motion: bool,
    /// What colours the text at first.
    pub strip: StripColour,
    /// Whether details are the other way than the size of the screen suggests.
    pub details_flipped: bool,
    /// The keys.
    pub keymap: Arc<Keymap>,
}

/// Runs the explorer until the user leaves it.
///
/// # Errors
/// If the terminal can't be used, or a signal ended it.
pub fn run(options: Options) -> Result<()> {
    restore_on_panic();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(explore(options))));
    terminal::give_back();
    // Blocking tasks (a read of the terminal) are not waited for.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|_| Err(anyhow!("a defect in mixscope ended it (see above); please report it")))
}

/// A panic of the main thread gives the terminal back before it is printed. Panics elsewhere are reported by the
/// engine on the screen, which must not be written over.
fn restore_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("main") {
            terminal::give_back();
            print(panic);
        }
    }));
}

async fn explore(options: Options) -> Result<()> {
    let (history, past, trouble) = History::prompts();
    let (models, recent, more_trouble) = History::models();
    let is_new = options.prompt.is_none() && options.resume.is_none() && options.model == "demo";
    let mut state = State::new(options.prompt, options.sampling, options.open.policy, past);
    state.colour = options.strip;
    if options.details_flipped {
        state.details_flipped = Tab::ALL.into();
    }
    if let Some(recorded) = options.against {
        state.beside = Beside::recorded(recorded);
        (state.view, state.fidelity) = (Tab::Fidelity, FidelityLens::Flips);
    }
    state.keymap = options.keymap;
    state.reduced_motion = options.reduced_motion;
    let first = match options.resume {
        Some(saved) => state.resume(saved),
        None => state.open_model(options.model),
    };
    let mut signals = Signals::listen()?;
    let mut screen = Screen::take(
        options.color.depth(),
        &options.look,
        Manners { mouse: options.mouse, calm: options.reduced_motion },
    )?;
    screen.draw(&state)?;
    state.first_run = is_new && first_run::is_first();
    for failure in [trouble, more_trouble].into_iter().flatten() {
        update(&mut state, Event::Trouble(failure));
    }

    let (sender, events) = channel(EVENTS);
    let engine = Engine::start(Arc::new(open_target), options.open, sender)?;
    let finder = Finder::new(recent);
    let mut app = App {
        state,
        screen,
        engine,
        history,
        models,
        finder,
        events,
        keys: EventStream::new(),
        saver: Saver::new(),
        look: options.look,
        keeper: Keeper::new(options.open.dtype),
    };
    app.carry_out(first)?;
    let ended = app.run(&mut signals).await;
    let kept = app.keeper.at_the_end(app.state.saved()).await;
    drop(app);
    if let Err(error) = kept {
        // Nobody may be left to read it.
        let _ = writeln!(std::io::stderr(), "mixscope: {error:#}; --resume won't bring this session back");
    }
    ended
}

struct App {
    state: State,
    screen: Screen,
    engine: Engine,
    history: History,
    models: History,
    finder: Finder,
    events: Receiver<protocol::Event>,
    keys: EventStream,
    saver: Saver,
    look: Look,
    keeper: Keeper,
}

impl App {
    async fn run(&mut self, signals: &mut Signals) -> Result<()> {
        let mut drawn = Instant::now();
        let mut next_save = drawn + SAVE_EVERY;
        // Whether a frame is waited for by whoever pressed a key.
        let (mut is_dirty, mut is_asked, mut engine_ended) = (true, true, false);
        let mut arrived = Vec::new();
        loop {
            let is_calm = self.state.reduced_motion && !is_asked && self.state.is_moving();
            let pause = match (is_calm, is_asked) {
                (true, _) => CALM_FRAME,
                (_, true) => ANSWER,
                (_, false) => FRAME,
            };
            let next_frame = drawn + pause;
            if is_dirty && Instant::now() >= next_frame {
                let wanted = self.screen.draw(&self.state)?;
                drawn = Instant::now();
                (is_dirty, is_asked) = (false, false);
                if cfg!(debug_assertions) && std::env::var_os("MIXSCOPE_FAULT").is_some_and(|fault| fault == "ui") {
                    panic!("fault asked for by MIXSCOPE_FAULT");
                }
                if self.take(Event::Drawn(wanted))? {
                    return Ok(());
                }
            }
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Continue => {
                        self.screen.resume()?;
                        (is_dirty, is_asked) = (true, true);
                    }
                    Signal::End(name) => return Err(anyhow!("ended by {name}")),
                },
                key = self.keys.next() => {
                    let event = key.context("the terminal is gone")?.context("cannot read the terminal")?;
                    if let TerminalEvent::Resize(..) = event {
                        // Even back to the same size: the terminal may have cut what it showed.
                        self.screen.forget()?;
                        (is_dirty, is_asked) = (true, true);
                        continue;
                    }
                    if let Some(event) = input::translate(event, self.screen.hits()) {
                        (is_dirty, is_asked) = (true, true);
                        if self.take(event)? {
                            return Ok(());
                        }
                    }
                }
                count = self.events.recv_many(&mut arrived, EVENTS), if !engine_ended => {
                    // The thread has ended and said so; only keys are left.
                    engine_ended = count == 0;
                    is_dirty = true;
                    for event in arrived.drain(..) {
                        if self.take(Event::Engine(event))? {
                            return Ok(());
                        }
                    }
                }
                said = self.saver.next() => {
                    (is_dirty, is_asked) = (true, true);
                    if self.take(said)? {
                        return Ok(());
                    }
                }
                found = self.finder.found() => {
                    (is_dirty, is_asked) = (true, true);
                    if self.take(Event::Models(found))? {
                        return Ok(());
                    }
                }
                () = sleep_until(next_save), if self.keeper.is_unsaved => {
                    next_save = Instant::now() + SAVE_EVERY;
                    if let Some(failure) = self.keeper.now_and_then(self.state.saved()) {
                        update(&mut self.state, Event::Trouble(failure));
                        is_dirty = true;
                    }
                }
                () = sleep_until(next_frame), if is_dirty => {}
            }
        }
    }

    /// Takes an event into the state and does what follows; `true` if the user leaves.
    fn take(&mut self, event: Event) -> Result<bool> {
        self.keeper.is_unsaved |= !matches!(event, Event::Drawn(_));
        let effects = update(&mut self.state, event);
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<bool> {
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
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Save(what) => self.save(what)?,
                Effect::StopSaving => self.saver.stop(),
                Effect::Redraw => self.screen.forget()?,
                Effect::Suspend => self.suspend()?,
                Effect::Quit => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Has files written.
    fn save(&self, what: Save) -> Result<()> {
        match what {
            Save::View(spec) => {
                self.saver.view(spec, (self.state.beside.records(), self.state.lab.clone()), self.engine.branch());
            }
            Save::Run => self.saver.run(self.engine.branch()),
            Save::Screen => {
                let mut buffer = Buffer::empty(self.screen.area());
                let theme = Theme::with(Depth::True, &self.look);
                draw(&self.state, &theme, buffer.area, &mut buffer);
                self.saver.screen(cells(&buffer), self.look.theme != ThemeName::Light);
            }
        }
        Ok(())
    }

    /// Stops the program as Ctrl-Z does, and comes back with `fg`.
    fn suspend(&mut self) -> Result<()> {
        self.screen.pause();
        signals::stop()?;
        self.screen.resume()?;
        // The old stream may hold what was typed to the shell.
        self.keys = EventStream::new();
        Ok(())
    }
}
