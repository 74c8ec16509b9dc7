//! A pseudo-terminal with the program (or a shell) in it: bytes in, a parsed screen and a log of all output.

use super::shot::Shot;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use portable_pty::{CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::ops::Deref;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Waiting is given up after this long; no limit on the program.
const GIVE_UP: Duration = Duration::from_secs(120);
/// Where a frame begins and ends.
const FRAME: (&[u8], &[u8]) = (b"\x1b[?2026h", b"\x1b[?2026l");
/// The question where the cursor is.
const WHERE: &[u8] = b"\x1b[6n";

/// What is to be started, and in which terminal.
pub struct Setup {
    command: CommandBuilder,
    size: (u16, u16),
    answers: bool,
    state: Option<tempfile::TempDir>,
}

impl Setup {
    /// The program with these arguments, in 120×40 with 24-bit colours and an empty state folder.
    pub fn program<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Self {
        Self::command(env!("CARGO_BIN_EXE_mixscope"), args)
    }

    /// Another command, in the same surroundings.
    pub fn command<I: AsRef<OsStr>>(name: &str, args: impl IntoIterator<Item = I>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(name);
        command.args(args);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", state.path());
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("XDG_STATE_HOME", state.path());
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        Self { command, size: (120, 40), answers: true, state: Some(state) }
    }

    /// Another working directory.
    pub fn dir(mut self, folder: &Path) -> Self {
        self.command.cwd(folder);
        self
    }

    /// Columns and rows.
    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    /// One more variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// A state folder that outlives the program.
    pub fn state(mut self, folder: &Path) -> Self {
        self.command.env("XDG_STATE_HOME", folder);
        self
    }

    /// A terminal that answers no questions.
    pub fn mute(mut self) -> Self {
        self.answers = false;
        self
    }

    /// Starts it.
    pub fn start(self) -> Pty {
        let pair = native_pty_system().openpty(pty_size(self.size)).unwrap();
        let modes = pair.master.get_termios().map(|modes| format!("{modes:?}"));
        let mut child = pair.slave.spawn_command(self.command).unwrap();
        // Only the child holds the terminal now: its end is the end of the output.
        drop(pair.slave);
        let (columns, rows) = self.size;
        let tape = Tape { parser: vt100::Parser::new(rows, columns, 0), raw: Vec::new(), closed: false, cut: false };
        let shared = Arc::new((Mutex::new(tape), Condvar::new()));
        let writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let reader = pair.master.try_clone_reader().unwrap();
        let (theirs, answers) = (shared.clone(), self.answers.then(|| writer.clone()));
        let reading = std::thread::spawn(move || read(reader, &theirs, answers.as_ref()));
        let pid = Pid::from_raw(child.process_id().unwrap() as i32);
        let (sender, status) = channel();
        std::thread::spawn(move || sender.send(child.wait().unwrap()));
        let master = Some(pair.master);
        Pty { master, writer, shared, pid, reading: Some(reading), status, modes, _state: self.state }
    }
}

fn pty_size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

type Writer = Arc<Mutex<Box<dyn Write + Send>>>;
type Shared = (Mutex<Tape>, Condvar);

/// All output so far and what it makes of the screen.
struct Tape {
    parser: vt100::Parser,
    raw: Vec<u8>,
    closed: bool,
    /// Whether to stop listening.
    cut: bool,
}

fn read(mut reader: Box<dyn Read + Send>, shared: &Shared, answers: Option<&Writer>) {
    let mut buffer = [0; 8192];
    let mut answered = 0;
    loop {
        // A closed terminal is an error on some systems and an end on others.
        let count = reader.read(&mut buffer).unwrap_or(0);
        let mut answer = String::new();
        let is_over;
        {
            let mut tape = shared.0.lock().unwrap();
            tape.closed = count == 0;
            tape.parser.process(&buffer[..count]);
            tape.raw.extend_from_slice(&buffer[..count]);
            while let Some(at) = find(&tape.raw[answered..], WHERE) {
                answered += at + WHERE.len();
                let (row, column) = tape.parser.screen().cursor_position();
                answer += &format!("\x1b[{};{}R", row + 1, column + 1);
            }
            shared.1.notify_all();
            is_over = count == 0 || tape.cut;
        }
        if is_over {
            return;
        }
        if let Some(writer) = answers {
            let _ = writer.lock().unwrap().write_all(answer.as_bytes());
        }
    }
}

/// Waits for something that is not on a screen.
#[track_caller]
pub fn poll_until(wanted: &str, is_so: impl Fn() -> bool) {
    let give_up = Instant::now() + GIVE_UP;
    while !is_so() {
        assert!(Instant::now() < give_up, "never came: {wanted}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Where `part` first is in `bytes`.
pub fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Where `part` last is in `bytes`.
pub fn find_last(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).rposition(|window| window == part)
}

/// A running program and its terminal.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Writer,
    shared: Arc<Shared>,
    pid: Pid,
    reading: Option<JoinHandle<()>>,
    status: Receiver<ExitStatus>,
    modes: Option<String>,
    _state: Option<tempfile::TempDir>,
}

impl Drop for Pty {
    /// Ends what a test left running.
    fn drop(&mut self) {
        // What has ended is not in the system's list any more, and its id may be another's.
        if self.shared.0.lock().is_ok_and(|tape| tape.closed || tape.cut) {
            return;
        }
        if let Some(group @ 2..) = self.master().process_group_leader() {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = kill(self.pid, Signal::SIGKILL);
    }
}

impl Pty {
    /// Types.
    pub fn send(&self, keys: &str) {
        let mut writer = self.writer.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Pastes as a terminal does that marks pastes.
    pub fn paste(&self, text: &str) {
        assert!(self.screen().marks_pastes());
        self.send(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Changes the size of the window.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tape().parser.screen_mut().set_size(rows, columns);
        self.master().resize(pty_size((columns, rows))).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap();
    }

    /// Puts a text on the screen, unknown to the program.
    pub fn spoil(&self, text: &str) {
        self.tape().parser.process(format!("\x1b7\x1b[10;20H{text}\x1b8").as_bytes());
    }

    fn master(&self) -> &(dyn MasterPty + Send) {
        &**self.master.as_ref().unwrap()
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.shared.0.lock().unwrap()
    }

    /// All output so far.
    pub fn raw(&self) -> Vec<u8> {
        self.tape().raw.clone()
    }

    /// What is on the screen, whole frame or not.
    pub fn screen(&self) -> Frame {
        Frame::of(&self.tape())
    }

    /// Waits until a whole frame is as wanted.
    #[track_caller]
    pub fn wait_until(&self, wanted: &str, is_so: impl Fn(&Frame) -> bool) -> Frame {
        let give_up = Instant::now() + GIVE_UP;
        let mut tape = self.tape();
        loop {
            let shot = Frame::of(&tape);
            let whole = find_last(&tape.raw, FRAME.0) <= find_last(&tape.raw, FRAME.1);
            if whole && is_so(&shot) {
                return shot;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            let closed = if tape.closed { ", and the program has ended" } else { "" };
            // A tape that has ended won't change any more.
            if left.is_zero() || tape.closed {
                drop(tape);
                panic!("never came: {wanted}{closed}; the screen:\n{}", shot.text());
            }
            tape = self.shared.1.wait_timeout(tape, left).unwrap().0;
        }
    }

    /// Waits for a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> Frame {
        self.wait_until(&format!("`{text}`"), |shot| shot.has(text))
    }

    /// Waits until a text is gone.
    #[track_caller]
    pub fn wait_gone(&self, text: &str) -> Frame {
        self.wait_until(&format!("a screen without `{text}`"), |shot| !shot.has(text))
    }

    /// Waits until the engine has nothing to do and the run has so many tokens.
    #[track_caller]
    pub fn wait_tokens(&self, count: usize) -> Frame {
        self.wait_until(&format!("idle with {count} tokens"), |shot| shot.is_idle() && shot.tokens() == Some(count))
    }

    /// Types and waits for a text.
    #[track_caller]
    pub fn press(&self, keys: &str, text: &str) -> Frame {
        self.send(keys);
        self.wait_for(text)
    }

    /// Waits for the end; the exit code and all output.
    #[track_caller]
    pub fn end(&self) -> (u32, Vec<u8>) {
        let Ok(status) = self.status.recv_timeout(GIVE_UP) else {
            panic!("the program does not end; the screen:\n{}", self.screen().text());
        };
        assert_eq!(status.signal(), None, "ended by a signal");
        let give_up = Instant::now() + GIVE_UP;
        let mut tape = self.tape();
        while !tape.closed {
            let left = give_up.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the output has no end");
            tape = self.shared.1.wait_timeout(tape, left).unwrap().0;
        }
        (status.exit_code(), tape.raw.clone())
    }

    /// Closes the window: the other end of the terminal is gone. Waits for the end of the program.
    #[track_caller]
    pub fn hang_up(mut self) -> ExitStatus {
        self.tape().cut = true;
        // Something to read, so that the reader looks up.
        self.resize(90, 30);
        self.reading.take().unwrap().join().unwrap();
        *self.writer.lock().unwrap() = Box::new(std::io::sink());
        self.master = None;
        self.status.recv_timeout(GIVE_UP).unwrap_or_else(|_| {
            let _ = kill(self.pid, Signal::SIGKILL);
            panic!("the program outlives its terminal")
        })
    }

    /// The process that has the terminal.
    pub fn foreground(&self) -> Pid {
        Pid::from_raw(self.master().process_group_leader().unwrap())
    }

    /// Waits for the end and checks that the terminal is as it was; the exit code and all output.
    #[track_caller]
    pub fn end_restored(&self) -> (u32, Vec<u8>) {
        let (code, raw) = self.end();
        let shot = self.screen();
        for (on, off) in
            [("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?2004h", "\x1b[?2004l"), ("\x1b[?2026h", "\x1b[?2026l")]
        {
            let (on_at, off_at) = (find_last(&raw, on.as_bytes()), find_last(&raw, off.as_bytes()));
            assert!(on_at.is_some() && off_at > on_at, "{off:?} is not the last word; the screen:\n{}", shot.text());
        }
        let shown = find_last(&raw, b"\x1b[?25h");
        assert!(shown.is_some() && shown > find_last(&raw, b"\x1b[?25l"), "the cursor stays hidden");
        assert!(!shot.is_alternate() && !shot.marks_pastes() && shot.has_cursor());
        // Not every system has the modes of a terminal after its program ended.
        if let (Some(now), Some(before)) = (self.master().get_termios(), &self.modes) {
            assert_eq!(&format!("{now:?}"), before, "terminal modes");
        }
        (code, raw)
    }
}

/// The screen at one moment, as the terminal has it.
pub struct Frame {
    screen: vt100::Screen,
    shot: Shot,
}

impl Deref for Frame {
    type Target = Shot;

    fn deref(&self) -> &Shot {
        &self.shot
    }
}

impl Frame {
    fn of(tape: &Tape) -> Self {
        let screen = tape.parser.screen().clone();
        let (rows, columns) = screen.size();
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        let (row, column) = screen.cursor_position();
        let shot = Shot {
            lines: screen.rows(0, columns).map(|line| line.trim_end().to_owned()).collect(),
            italics: cells.filter(|cell| cell.italic()).map(vt100::Cell::contents).collect(),
            before_cursor: (!screen.hide_cursor()).then(|| screen.contents_between(row, 0, row, column)),
        };
        Self { screen, shot }
    }

    pub fn is_alternate(&self) -> bool {
        self.screen.alternate_screen()
    }

    pub fn marks_pastes(&self) -> bool {
        self.screen.bracketed_paste()
    }

    pub fn cursor_row(&self) -> usize {
        self.screen.cursor_position().0.into()
    }
}
