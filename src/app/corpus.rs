//! The explorer of a sweep: the same terminal, keys and signals as for a run, and no engine, since everything is counted.

use super::colour::ColorChoice;
use super::keyboard::Keyboard;
use super::signals::{self, Extent, Signal, Signals};
use super::{Ended, restore_on_panic};
use crate::analysis::tables::TokenText;
use crate::export::{FileFormat, Look, sweep_file};
use crate::state::corpus::{Corpus, CorpusEffect};
use crate::trace::write_new_file;
use crate::ui::input::Input;
use crate::ui::terminal::{Screen, ScreenOptions};
use crate::ui::{Colours, draw_corpus, terminal as screen};
use anyhow::{Context, Result, anyhow};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Names that are tried before giving up.
const TRIES: usize = 10_000;

/// Shows a sweep until the user leaves it.
///
/// # Errors
/// If the terminal can't be used, or a signal ended it.
pub fn explore_corpus(corpus: Corpus, color: ColorChoice, colours: &Colours) -> Result<()> {
    restore_on_panic();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the event loop")?;
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(explore(corpus, color, colours))));
    screen::restore();
    runtime.shutdown_background();
    outcome.unwrap_or_else(|_| Err(anyhow!("a defect in mixscope ended it (see above); please report it")))
}

async fn explore(mut corpus: Corpus, color: ColorChoice, colours: &Colours) -> Result<()> {
    let mut signals = Signals::listen()?;
    let mut screen = Screen::open(color.depth(), colours, ScreenOptions { mouse: false, steady_cursor: false })?;
    let mut keyboard = Keyboard::listen()?;
    loop {
        screen.show(|theme, area| draw_corpus(&corpus, theme, area))?;
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signal::Resize => screen.forget()?,
                Signal::Stop => suspend(&mut screen, Extent::Program)?,
                Signal::Continue => screen.resume()?,
                Signal::End(ended) => return Err(ended.into()),
            },
            input = keyboard.next() => {
                let Some(input) = input else { return Err(Ended::without_terminal().into()) };
                let Input::Key(key) = input else { continue };
                match corpus.press(key) {
                    Some(CorpusEffect::Quit) => return Ok(()),
                    Some(CorpusEffect::Redraw) => screen.forget()?,
                    Some(CorpusEffect::Suspend) => suspend(&mut screen, Extent::Job)?,
                    Some(CorpusEffect::Export) => corpus.message = Some(export(&corpus, Path::new("."))),
                    None => {}
                }
            }
        }
    }
}

/// Gives the terminal back and stops until `fg` continues the program.
fn suspend(screen: &mut Screen, extent: Extent) -> Result<()> {
    screen.pause();
    signals::stop(extent)?;
    screen.resume()
}

/// Writes the view as PNG and CSV into a folder, under a name that is free; says what was written, or why not.
pub fn export(corpus: &Corpus, folder: &Path) -> String {
    let write = || -> Result<String> {
        let stem = free_stem(corpus, folder)?;
        for format in [FileFormat::Png, FileFormat::Csv] {
            let (sweep, other) = (&corpus.sweep, corpus.other.as_deref());
            let bytes =
                sweep_file(sweep, other, &corpus.spec, corpus.least, format, &Look::default(), TokenText::Exact)?;
            write_new_file(&stem.with_extension(format.suffix()), |file| Ok(file.write_all(&bytes)?))?;
        }
        Ok(format!("wrote {}.png and .csv", stem.display()))
    };
    write().unwrap_or_else(|error| format!("{error:#}"))
}

/// `sweep-usage`, or `sweep-usage-2` if that is taken.
fn free_stem(corpus: &Corpus, folder: &Path) -> Result<PathBuf> {
    let name = format!("sweep-{}", corpus.spec.view.name());
    let stems = (1..TRIES).map(|n| folder.join(if n == 1 { name.clone() } else { format!("{name}-{n}") }));
    let is_free = |stem: &PathBuf| ["png", "csv"].iter().all(|suffix| !stem.with_extension(suffix).exists());
    stems.into_iter().find(is_free).with_context(|| format!("every name from {name} to {name}-{TRIES} is taken"))
}
