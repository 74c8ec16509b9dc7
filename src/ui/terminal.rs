//! The terminal's life: taken once, given back on every way out.

use super::{Depth, HitMap, Look, Theme, draw};
use crate::state::{Geometry, State, Wanted};
use anyhow::{Context, Result};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};
use std::io::{Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

/// How the explorer behaves towards the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// Whether the text cursor must not blink.
    pub calm: bool,
}

/// The screen while the explorer has it.
pub struct Screen {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
    size: (u16, u16),
    hits: HitMap,
    manners: Manners,
}

/// Whether the terminal is ours: giving it back twice would move the cursor of what is printed in between.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the shape of the text cursor was changed.
static SHAPED: AtomicBool = AtomicBool::new(false);

impl Screen {
    /// Takes the terminal: raw mode, alternate screen, bracketed paste, and what `manners` say.
    ///
    /// # Errors
    /// If it can't be set up; it is then as before.
    pub fn take(depth: Depth, look: &Look, manners: Manners) -> Result<Self> {
        let depth = look.depth(depth);
        // crossterm drops colours by NO_COLOR itself; here the depth alone decides.
        crossterm::style::force_color_output(depth != Depth::Mono);
        enter(manners)?;
        let size = terminal_size().inspect_err(|_| give_back())?;
        let terminal = blank(size).inspect_err(|_| give_back())?;
        Ok(Self { terminal, theme: Theme::with(depth, look), size, hits: HitMap::default(), manners })
    }

    /// Draws one frame; returns what it leaves behind.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn draw(&mut self, state: &State) -> Result<(Wanted, Geometry)> {
        execute!(stdout(), BeginSynchronizedUpdate)?;
        if terminal_size()? != self.size {
            self.forget()?;
        }
        let mut drawn = draw(state, &self.theme, self.area());
        let written = self.terminal.draw(|frame| {
            std::mem::swap(frame.buffer_mut(), &mut drawn.cells);
            if let Some(caret) = drawn.caret {
                frame.set_cursor_position(caret);
            }
        });
        execute!(stdout(), EndSynchronizedUpdate)?;
        written.context("cannot write to the terminal")?;
        self.hits = drawn.hits;
        Ok((drawn.wanted, drawn.geometry))
    }

    /// All of the screen.
    pub fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    /// What the last frame showed where.
    pub fn hits(&self) -> &HitMap {
        &self.hits
    }

    /// Forgets what is on the screen, so that the next frame is drawn whole.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn forget(&mut self) -> Result<()> {
        self.size = terminal_size()?;
        self.terminal = blank(self.size)?;
        Ok(())
    }

    /// Puts `text` into the clipboard of the terminal the user sits at, by OSC 52; works through SSH.
    ///
    /// # Errors
    /// If the terminal can't be written to. Whether it takes the text it does not tell.
    pub fn copy(&mut self, text: &str) -> Result<()> {
        let mut out = stdout();
        write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))
            .and_then(|()| out.flush())
            .context("cannot write to the terminal")
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
        enter(self.manners)?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn terminal_size() -> Result<(u16, u16)> {
    crossterm::terminal::size().context("cannot ask the terminal for its size")
}

/// A cleared screen of this size. ratatui's own clearing and resizing would ask the terminal where its cursor is, and
/// wait for an answer among the keys.
fn blank((width, height): (u16, u16)) -> Result<ratatui::Terminal<CrosstermBackend<Stdout>>> {
    execute!(stdout(), Clear(ClearType::All)).context("cannot clear the terminal")?;
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    ratatui::Terminal::with_options(CrosstermBackend::new(stdout()), TerminalOptions { viewport })
        .context("cannot set up the terminal")
}

fn enter(manners: Manners) -> Result<()> {
    TAKEN.store(true, Ordering::Relaxed);
    enable_raw_mode().context("cannot switch the terminal to raw mode")?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
        .inspect_err(|_| give_back())
        .context("cannot switch to the alternate screen")?;
    if manners.mouse {
        execute!(stdout(), EnableMouseCapture).inspect_err(|_| give_back()).context("cannot listen to the mouse")?;
    }
    if manners.calm {
        SHAPED.store(true, Ordering::Relaxed);
        execute!(stdout(), cursor::SetCursorStyle::SteadyBlock).inspect_err(|_| give_back())?;
    }
    Ok(())
}

/// Restores the terminal; harmless if it was restored already. Errors have nowhere to go.
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    if SHAPED.swap(false, Ordering::Relaxed) {
        let _ = execute!(stdout(), cursor::SetCursorStyle::DefaultUserShape);
    }
    let _ = execute!(
        stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (text, coded) in vectors {
            assert_eq!(base64(text.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }
}
