//! The loop of the explorer: input, engine events and timers go in, frames and effects come out. Only here all rooms meet.

mod colour;
pub mod config;
mod corpus;
mod ended;
mod explorer;
pub mod files;
mod first_run;
mod folders;
mod history;
mod keeper;
mod keyboard;
mod models;
mod picture;
mod saving;
mod session;
mod signals;
mod still;

pub use crate::state::corpus::Corpus;
pub use crate::state::{Recorded, Saved};
pub use crate::ui::ThemeName;
pub use colour::ColorChoice;
pub use corpus::{explore_corpus, export as export_corpus};
pub use ended::Ended;
pub use explorer::{Explorer, Places, Request};
pub use keyboard::terminal;
pub use picture::{cells, photograph};
pub use session::SessionFile;
pub use still::Still;

use crate::engine::{OpenOptions, open_target};
use crate::protocol::Failure;
use crate::state::input::Keymap;
use crate::state::{Event, FirstArrangement, StripColour};
use crate::trace::Prompt;
use crate::trace::{Edit, Sampling, remove_temporaries};
use crate::ui::terminal::{Screen, ScreenOptions};
use crate::ui::{Colours, Depth, Theme, terminal as screen};
use anyhow::{Context, Result, anyhow};
use keeper::SAVE_EVERY;
use keyboard::Keyboard;
use signals::{Extent, Signal, Signals};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The time between two frames that no key caused.
const FRAME: Duration = Duration::from_millis(16);
/// The time between two frames if a key caused the second.
const ANSWER: Duration = Duration::from_millis(2);
/// With reduced motion: the time between two frames that no key caused, while a run is in progress.
const CALM_FRAME: Duration = Duration::from_millis(250);

/// How the explorer starts.
pub struct Options {
    /// The model, as the MODEL argument names it.
    pub model: String,
    /// How models are opened.
    pub open: OpenOptions,
    /// The prompt to run at once, if any.
    pub prompt: Option<Prompt>,
    /// The edits of the pass to begin with.
    pub edits: Vec<Edit>,
    /// The session to continue, if any.
    pub resume: Option<Saved>,
    /// A recorded run to compare with.
    pub against: Option<Recorded>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// How many colours.
    pub color: ColorChoice,
    /// Which colours.
    pub colours: Colours,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// Whether frames are rare while a run is in progress and the cursor stays where it is.
    pub reduced_motion: bool,
    /// The measure that colours the text at first.
    pub strip: StripColour,
    /// Whether details are shown where the screen is small and hidden where it is large.
    pub details_flipped: bool,
    /// How views are arranged at first; `None` leaves one view.
    pub arrangement: Option<FirstArrangement>,
    /// The keys.
    pub keymap: Arc<Keymap>,
    /// Why the user's configuration could not be read, if it could not.
    pub unread: Option<Failure>,
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
    screen::restore();
    // Does not wait for blocking tasks, such as a read of the terminal.
    runtime.shutdown_background();
    // A run may be half written.
    remove_temporaries();
    outcome.unwrap_or_else(|_| Err(anyhow!("a defect in mixscope ended it (see above); please report it")))
}

/// Restores the terminal before a panic of the main thread is printed. The engine reports panics of other threads on the
/// screen, so nothing may be printed over it.
fn restore_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("main") {
            screen::restore();
            print(panic);
        }
    }));
}

async fn explore(options: Options) -> Result<()> {
    let (depth, colours) = (options.color.depth(), options.colours.clone());
    let screen_options = ScreenOptions { mouse: options.mouse, steady_cursor: options.reduced_motion };
    let mut signals = Signals::listen()?;
    let arrangement = options.arrangement.filter(|_| options.resume.is_none());
    let mut explorer = Explorer::start(options, Places::of_user(), Arc::new(open_target))?;
    let screen = Screen::open(depth, &colours, screen_options)?;
    explorer.state.theme = colours.theme;
    if let Some(arrangement) = arrangement {
        let area = screen.area();
        explorer.state.begin_with(arrangement, area.width, area.height);
    }
    let mut app = App { explorer, screen, keyboard: Keyboard::listen()?, colours, depth };
    let ended = app.run(&mut signals).await.map_err(|error| match error.downcast_ref::<std::io::Error>() {
        // Only the terminal is read and written in the loop.
        Some(_) => error.context(Ended::without_terminal()),
        None => error,
    });
    let kept = app.explorer.end().await;
    drop(app);
    let lost = kept.err().map(|error| anyhow!("{error:#}; --resume won't bring this session back"));
    match (ended, lost) {
        (Ok(()), Some(lost)) => Err(lost),
        (Err(ended), Some(lost)) => {
            // Writing fails if stderr is closed.
            let _ = writeln!(std::io::stderr(), "mixscope: {lost}");
            Err(ended)
        }
        (ended, None) => ended,
    }
}

/// The explorer and its terminal.
struct App {
    explorer: Explorer,
    screen: Screen,
    keyboard: Keyboard,
    colours: Colours,
    depth: Depth,
}

impl App {
    async fn run(&mut self, signals: &mut Signals) -> Result<()> {
        self.screen.draw(&self.explorer.state)?;
        let mut drawn = Instant::now();
        let mut next_save = drawn + SAVE_EVERY;
        // Whether a frame is due, and whether it answers a key.
        let (mut is_dirty, mut is_answer) = (true, true);
        loop {
            let is_calm = self.explorer.state.reduced_motion && !is_answer && self.explorer.state.is_moving();
            let pause = match (is_calm, is_answer) {
                (true, _) => CALM_FRAME,
                (_, true) => ANSWER,
                (_, false) => FRAME,
            };
            let next_frame = drawn + pause;
            if is_dirty && Instant::now() >= next_frame {
                let (wanted, geometry) = self.screen.draw(&self.explorer.state)?;
                drawn = Instant::now();
                (is_dirty, is_answer) = (false, false);
                if cfg!(debug_assertions) && std::env::var_os("MIXSCOPE_FAULT").is_some_and(|fault| fault == "ui") {
                    panic!("fault requested by MIXSCOPE_FAULT");
                }
                if self.take(Event::Drawn(wanted.into(), geometry))? {
                    return Ok(());
                }
            }
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Signal::Resize => {
                        // Also if the size is the same again: the terminal may have cut off cells.
                        self.screen.forget()?;
                        (is_dirty, is_answer) = (true, true);
                    }
                    Signal::Stop => {
                        self.suspend(Extent::Program)?;
                        (is_dirty, is_answer) = (true, true);
                    }
                    Signal::Continue => {
                        self.screen.resume()?;
                        (is_dirty, is_answer) = (true, true);
                    }
                    Signal::End(ended) => return Err(ended.into()),
                },
                input = self.keyboard.next() => {
                    let Some(input) = input else { return Err(Ended::without_terminal().into()) };
                    (is_dirty, is_answer) = (true, true);
                    if self.take(input.on(self.screen.hits()))? {
                        return Ok(());
                    }
                }
                event = self.explorer.next() => {
                    is_dirty = true;
                    is_answer |= !matches!(event, Event::Engine(_));
                    if self.take(event)? {
                        return Ok(());
                    }
                }
                () = sleep_until(next_save), if self.explorer.is_unsaved() => {
                    next_save = Instant::now() + SAVE_EVERY;
                    is_dirty |= self.explorer.save_session();
                }
                () = sleep_until(next_frame), if is_dirty => {}
            }
        }
    }

    /// Handles an event and its effects; returns `true` if the user leaves.
    fn take(&mut self, event: Event) -> Result<bool> {
        let requests = self.explorer.take(event);
        if self.explorer.state.theme != self.colours.theme {
            self.colours = self.colours.under(self.explorer.state.theme);
            self.screen.set_theme(Theme::with(self.depth, &self.colours));
        }
        for request in requests {
            match request {
                Request::Copy(text) => self.screen.copy(&text)?,
                Request::SaveScreen => {
                    let theme = Theme::with(Depth::True, &self.colours);
                    let picture = photograph(&mut self.explorer.state, &theme, self.screen.area());
                    self.explorer.save_screen(picture, self.colours.theme != ThemeName::Light);
                }
                Request::Redraw => self.screen.forget()?,
                Request::Suspend => self.suspend(Extent::Job)?,
                Request::Quit => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Gives the terminal back and stops until `fg` continues the program.
    fn suspend(&mut self, extent: Extent) -> Result<()> {
        self.screen.pause();
        signals::stop(extent)?;
        self.screen.resume()
    }
}
