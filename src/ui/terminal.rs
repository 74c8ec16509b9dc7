//! The terminal's life: taken once, given back on every way out.

use super::{Depth, Theme, draw};
use crate::state::{State, Wanted};
use anyhow::{Context, Result};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use std::io::{Stdout, stdout};

/// The screen while the explorer has it.
pub struct Screen {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
}

impl Screen {
    /// Takes the terminal: raw mode, alternate screen, bracketed paste.
    ///
    /// # Errors
    /// If it can't be set up; it is then as before.
    pub fn take(depth: Depth) -> Result<Self> {
        // crossterm drops colours by NO_COLOR itself; here the depth alone decides.
        crossterm::style::force_color_output(depth != Depth::Mono);
        enter()?;
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(stdout())).inspect_err(|_| give_back());
        Ok(Self { terminal: terminal.context("cannot set up the terminal")?, theme: Theme::new(depth) })
    }

    /// Draws one frame.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn draw(&mut self, state: &State) -> Result<Wanted> {
        execute!(stdout(), BeginSynchronizedUpdate)?;
        let mut wanted = Wanted::default();
        let theme = &self.theme;
        let drawn = self.terminal.draw(|frame| {
            let area = frame.area();
            let caret;
            (wanted, caret) = draw(state, theme, area, frame.buffer_mut());
            if let Some(caret) = caret {
                frame.set_cursor_position(caret);
            }
        });
        execute!(stdout(), EndSynchronizedUpdate)?;
        drawn.context("cannot write to the terminal")?;
        Ok(wanted)
    }

    /// Forgets what is on the screen, so that the next frame is drawn whole.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn forget(&mut self) -> Result<()> {
        self.terminal.clear().context("cannot clear the terminal")
    }

    /// Gives the terminal back until [`Screen::resume`].
    pub fn pause(&mut self) {
        give_back();
    }

    /// Takes the terminal again, whatever was done to it meanwhile.
    ///
    /// # Errors
    /// As [`Screen::take`].
    pub fn resume(&mut self) -> Result<()> {
        // Raw mode counts as on if the program was stopped from outside; the shell has turned it off all the same.
        let _ = disable_raw_mode();
        enter()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> Result<()> {
    enable_raw_mode().context("cannot switch the terminal to raw mode")?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
        .inspect_err(|_| give_back())
        .context("cannot switch to the alternate screen")
}

/// Restores the terminal; harmless if it was restored already. Errors have nowhere to go.
pub fn give_back() {
    let _ = execute!(stdout(), EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}
