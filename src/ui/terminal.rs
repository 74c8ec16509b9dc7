//! The terminal: set up once, and restored on every way out.

use super::unsure::{is_unsure, unsure_lines};
use super::{Colours, Depth, HitMap, Theme, draw};
use crate::state::{Geometry, State, Wanted};
use anyhow::{Context, Result};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use std::io::{self, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

/// Options for the terminal.
#[derive(Clone, Copy, Debug)]
pub struct ScreenOptions {
    /// Whether mouse events are requested.
    pub mouse: bool,
    /// Whether the text cursor is a steady block.
    pub steady_cursor: bool,
}

/// The terminal while the explorer uses it.
pub struct Screen {
    /// What the terminal shows.
    shown: Buffer,
    theme: Theme,
    hits: HitMap,
    options: ScreenOptions,
}

/// Whether the explorer uses the terminal. Restoring it twice would move the cursor in the text printed in between.
static IN_USE: AtomicBool = AtomicBool::new(false);
/// Whether the shape of the text cursor was changed.
static SHAPED: AtomicBool = AtomicBool::new(false);

impl Screen {
    /// Sets up the terminal: raw mode, alternate screen, bracketed paste, and `options`.
    ///
    /// # Errors
    /// If it can't be set up; the terminal is then restored.
    pub fn open(depth: Depth, colours: &Colours, options: ScreenOptions) -> Result<Self> {
        let depth = colours.depth(depth);
        // crossterm drops colours if NO_COLOR is set; here only the depth decides.
        crossterm::style::force_color_output(depth != Depth::Mono);
        enter(options)?;
        let shown = blank().inspect_err(|_| restore())?;
        Ok(Self { shown, theme: Theme::with(depth, colours), hits: HitMap::default(), options })
    }

    /// Draws one frame; returns its missing numbers and its sizes.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn draw(&mut self, state: &State) -> Result<(Wanted, Geometry)> {
        let drawn = self.frame(|theme, area| {
            let drawn = draw(state, theme, area);
            (drawn.cells, drawn.caret, (drawn.hits, drawn.wanted, drawn.geometry))
        })?;
        let (hits, wanted, geometry) = drawn;
        self.hits = hits;
        Ok((wanted, geometry))
    }

    /// Shows these cells, without a text cursor.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn show(&mut self, cells: impl FnOnce(&Theme, Rect) -> Buffer) -> Result<()> {
        self.frame(|theme, area| (cells(theme, area), None, ()))
    }

    /// Draws one frame of the current size: its cells, the text cursor, and what else comes of it.
    fn frame<T>(&mut self, draw: impl FnOnce(&Theme, Rect) -> (Buffer, Option<Position>, T)) -> Result<T> {
        execute!(stdout(), BeginSynchronizedUpdate)?;
        if terminal_size()? != (self.shown.area.width, self.shown.area.height) {
            self.forget()?;
        }
        let (cells, caret, more) = draw(&self.theme, self.area());
        let written = self.write(cells, caret);
        execute!(stdout(), EndSynchronizedUpdate)?;
        written.context("cannot write to the terminal")?;
        Ok(more)
    }

    /// Writes the cells that differ from those shown, and shows the text cursor at `caret`.
    fn write(&mut self, cells: Buffer, caret: Option<Position>) -> io::Result<()> {
        let mut backend = CrosstermBackend::new(stdout());
        for y in unsure_lines(&self.shown, &cells) {
            queue!(backend, cursor::MoveTo(0, y), Clear(ClearType::CurrentLine))?;
            let width = usize::from(self.shown.area.width);
            self.shown.content[usize::from(y) * width..][..width].fill(Cell::EMPTY);
        }
        let changes = self.shown.diff(&cells);
        // The cursor is placed anew after a grapheme of unsure width.
        for part in changes.split_inclusive(|(.., cell)| is_unsure(cell)) {
            backend.draw(part.iter().copied())?;
        }
        match caret {
            Some(Position { x, y }) => queue!(backend, cursor::MoveTo(x, y), cursor::Show)?,
            None => queue!(backend, cursor::Hide)?,
        }
        self.shown = cells;
        Write::flush(&mut backend)
    }

    /// The area of the screen.
    pub fn area(&self) -> Rect {
        self.shown.area
    }

    /// The spots of the last frame.
    pub fn hits(&self) -> &HitMap {
        &self.hits
    }

    /// Clears the screen, so that the next frame is drawn completely.
    ///
    /// # Errors
    /// If the terminal can't be written to.
    pub fn forget(&mut self) -> Result<()> {
        self.shown = blank()?;
        Ok(())
    }

    /// Copies `text` to the clipboard of the user's terminal by OSC 52, which works through SSH.
    ///
    /// # Errors
    /// If the terminal can't be written to. The terminal does not report whether it takes the text.
    pub fn copy(&mut self, text: &str) -> Result<()> {
        let mut out = stdout();
        write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))
            .and_then(|()| out.flush())
            .context("cannot write to the terminal")
    }

    /// Uses another theme from the next frame on.
    pub fn set_theme(&mut self, theme: Theme) {
        self.theme = theme;
    }

    /// Restores the terminal until [`Screen::resume`].
    pub fn pause(&mut self) {
        restore();
    }

    /// Sets up the terminal again, whatever its current mode.
    ///
    /// # Errors
    /// As [`Screen::open`].
    pub fn resume(&mut self) -> Result<()> {
        // Raw mode counts as on if another process stopped the program, although the shell has turned it off.
        let _ = disable_raw_mode();
        enter(self.options)?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
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

/// Columns and lines of the terminal.
fn terminal_size() -> Result<(u16, u16)> {
    let size = crossterm::terminal::size().context("cannot ask the terminal for its size")?;
    Ok(sensible(size, |name| std::env::var(name).ok()))
}

/// The size that a terminal reports. For one that reports 0, as a serial console does: that of the environment, or the
/// usual one.
fn sensible((columns, lines): (u16, u16), variable: impl Fn(&str) -> Option<String>) -> (u16, u16) {
    let or = |reported: u16, name: &str, usual: u16| {
        let said = || variable(name)?.trim().parse().ok().filter(|size| *size > 0);
        if reported > 0 { reported } else { said().unwrap_or(usual) }
    };
    (or(columns, "COLUMNS", 80), or(lines, "LINES", 24))
}

/// Clears the terminal; returns what it then shows.
fn blank() -> Result<Buffer> {
    let (width, height) = terminal_size()?;
    execute!(stdout(), Clear(ClearType::All)).context("cannot clear the terminal")?;
    Ok(Buffer::empty(Rect::new(0, 0, width, height)))
}

fn enter(options: ScreenOptions) -> Result<()> {
    IN_USE.store(true, Ordering::Relaxed);
    enable_raw_mode().context("cannot switch the terminal to raw mode")?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
        .inspect_err(|_| restore())
        .context("cannot switch to the alternate screen")?;
    if options.mouse {
        execute!(stdout(), EnableMouseCapture).inspect_err(|_| restore()).context("cannot listen to the mouse")?;
    }
    if options.steady_cursor {
        SHAPED.store(true, Ordering::Relaxed);
        execute!(stdout(), cursor::SetCursorStyle::SteadyBlock).inspect_err(|_| restore())?;
    }
    Ok(())
}

/// Restores the terminal, unless it is restored already. Errors can't be reported.
pub fn restore() {
    if !IN_USE.swap(false, Ordering::Relaxed) {
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
    use super::{base64, sensible};

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (text, coded) in vectors {
            assert_eq!(base64(text.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_terminal_that_does_not_know_its_size_has_the_usual_one() {
        let set = |name: &str| (name == "COLUMNS").then(|| "132".to_owned());
        assert_eq!(sensible((0, 0), |_| None), (80, 24));
        assert_eq!(sensible((0, 0), set), (132, 24));
        assert_eq!(sensible((0, 0), |_| Some("0".to_owned())), (80, 24));
        assert_eq!(sensible((100, 30), set), (100, 30), "it knows better");
    }
}
