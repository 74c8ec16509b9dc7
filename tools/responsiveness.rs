//! How soon the program's first frame is there, and how soon it answers keys while a model decodes flat out, in a pseudo-terminal:
//! `cargo run --release --example responsiveness -- [MODEL]`, after `cargo build --release`. The model should not end its text
//! early and have a long context; `make_model --tokenizer DIR` makes one of random weights.

use anyhow::{Context, Result, bail, ensure};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

const STARTS: usize = 20;
const KEYS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);
/// Keys that choose a view, and the words that only it shows.
const VIEWS: [(&str, &str); 4] =
    [("2", "attention · all heads"), ("4", "next · after token"), ("3", "lens · "), ("1", "routing · token")];

struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    started: Instant,
}

impl Terminal {
    fn start(args: &[&str]) -> Result<Self> {
        let mut program = std::env::current_exe().context("where is this program?")?;
        program.pop();
        program.pop();
        let program: PathBuf = program.join("mixscope");
        if !program.exists() {
            bail!("{} is missing: run `cargo build --release` first", program.display());
        }
        let pty = native_pty_system().openpty(PtySize { rows: 45, cols: 160, pixel_width: 0, pixel_height: 0 })?;
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        let started = Instant::now();
        let child = pty.slave.spawn_command(command)?;
        let mut reader = pty.master.try_clone_reader()?;
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = pty.master.take_writer()?;
        let screen = vt100::Parser::new(45, 160, 0);
        Ok(Self { child, _master: pty.master, keys, output, screen, started })
    }

    /// Waits until the screen shows `text`; when that was.
    fn wait(&mut self, text: &str) -> Result<Instant> {
        let until = Instant::now() + PATIENCE;
        while !self.screen.screen().contents().contains(text) {
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Timeout) => bail!("no ‘{text}’ on:\n{}", self.screen.screen().contents()),
                Err(RecvTimeoutError::Disconnected) => bail!("the program has ended"),
            }
        }
        Ok(Instant::now())
    }

    /// Shows what has come in the meantime.
    fn pause(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(bytes) = self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.screen.process(&bytes);
        }
    }

    fn header(&self) -> String {
        self.screen.screen().rows(0, 160).next().unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn main() -> Result<()> {
    let mut first = Vec::new();
    for _ in 0..STARTS {
        let mut terminal = Terminal::start(&[])?;
        let shown = terminal.wait("mixscope")?;
        first.push(shown - terminal.started);
    }
    report("first frame after exec", &mut first);

    let model = std::env::args().nth(1).unwrap_or_else(|| "demo".to_owned());
    let mut terminal = Terminal::start(&[&model, "--prompt", "Once upon a time", "--temperature", "50"])?;
    terminal.wait("routing · token")?;
    terminal.pause(Duration::from_secs(1));
    terminal.keys.write_all(b"g")?;
    terminal.pause(Duration::from_secs(1));
    println!("from  {}", terminal.header());
    let mut answers = Vec::new();
    for i in 0..KEYS {
        let (key, text) = VIEWS[i % VIEWS.len()];
        ensure!(!terminal.screen.screen().contents().contains(text), "‘{text}’ is on the screen already");
        let pressed = Instant::now();
        terminal.keys.write_all(key.as_bytes())?;
        answers.push(terminal.wait(text)? - pressed);
        // Not in step with anything.
        terminal.pause(Duration::from_millis(20 + (i * 37 % 31) as u64));
    }
    println!("to    {}", terminal.header());
    report("key to frame while it decodes", &mut answers);
    Ok(())
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!("{what}: median {:.1} ms, p99 {:.1}, worst {:.1} ({} times)", at(0.5), at(0.99), at(1.0), times.len());
}
