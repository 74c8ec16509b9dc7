//! The command line: arguments, and the commands that run without a terminal.

mod bench;
mod check;
mod completions;
mod contract;
mod diff;
mod diff_report;
mod edits;
mod experiments;
mod explore;
mod export;
mod export_with_model;
mod folder;
mod info;
mod lab;
mod man;
mod memory;
mod open;
mod operations_report;
mod prompt;
mod pull;
mod run;
mod self_test;
mod signals;
mod stderr;
mod sweep;
mod values;
mod wording;

use crate::analysis::tables::TokenText;
use crate::app::{self, Ended};
use crate::control::Control;
use crate::engine::{OpenOptions, Target, open_model};
use crate::model::{Loaded, sampling};
use crate::trace::{Device, Dtype, Level, Policy, Report, Sampling, is_obeyed};
use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use prompt::{ChatArgs, PromptArgs};
use std::ffi::OsString;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use stderr::Stderr;
use wording::{misspelt, reworded};

const EXAMPLES: &str = "\
Examples:
  mixscope                                      explore the model that is part of the program
  mixscope --prompt 'The capital of France is'  the same, starting with this prompt
  mixscope path/to/Mixtral                      explore a model directory (config.json + safetensors)
  mixscope mixtral-8x7b.Q4_K_M.gguf             explore a GGUF file
  mixscope mistralai/Mixtral-8x7B-v0.1          explore a model of the Hub, downloaded if it is not in the cache
  mixscope run --prompt 'Once upon a time' --steps 32 --out run1
                                                routing, attention, lens and candidates as files
  mixscope open run1/trace.safetensors          explore that run again, without the model
  mixscope export run1/trace.safetensors --view routing.map -o map.png
                                                one view of that run as png, svg, pdf or csv
  mixscope check path/to/Mixtral --against reference.safetensors
                                                compare a model with a recording of transformers, layer by layer
  mixscope diff reference.safetensors run1/trace.safetensors
                                                compare two recordings hook by hook
  mixscope lab path/to/Mixtral --prompt-file text.txt --out lab1
                                                compare precision policies by loss and routing
  mixscope effect --prompt 'The capital of France is' --edit 'ban L3.E5'
                                                what a banned expert does to loss, answer and routing
  mixscope ablate --prompt 'The capital of France is' --over heads --out heads1
                                                the same for every head in turn
  mixscope sweep corpus/ --group-by folder --out sweep1
                                                what the experts do over a corpus, by group, as tables
  mixscope bench path/to/Mixtral                time a token here, next to the least it could take
  mixscope info mistralai/Mixtral-8x7B-v0.1     show what it is and what it needs, before the download
  mixscope pull mistralai/Mixtral-8x7B-v0.1     download only
  mixscope --resume                             continue the last session

Exit status: 0 done, 1 the work failed, 2 wrong usage, 128 + N ended by signal N.";

/// See inside Mixtral-family mixture-of-experts models: expert routing, attention and logit lens, token by token.
#[derive(Parser)]
#[command(name = "mixscope", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    explore: explore::Explore,
}

#[derive(Subcommand)]
enum Command {
    /// Run a prompt without a terminal and write what happened inside as files.
    Run(Box<run::Run>),
    /// Explore a saved run without its model.
    Open(open::Open),
    /// Write one view of a saved run as picture or table.
    Export(Box<export::Export>),
    /// Show what a model is, what was validated, and what it needs. A model on the Hub is not downloaded.
    Info(info::Info),
    /// Validate a model: config, tensors, tokenizer, every weight, and a self-test on built-in text; or compare it with a
    /// recording.
    Check(check::Check),
    /// Compare two saved runs hook by hook: equal values, differences, flipped experts, loss, and where they first differ.
    Diff(diff::Diff),
    /// Run one prompt under several precision policies: loss, flipped experts and equal values by layer, and the first
    /// generated token that differs.
    Lab(Box<lab::Lab>),
    /// Edit the pass (switch an expert off, force it, cut attention, patch a value) and measure what that does.
    Effect(Box<experiments::Effect>),
    /// Edit every expert, head or block in turn: which of them matter?
    Ablate(Box<experiments::Ablate>),
    /// Put values of a clean run into the run of a corrupted prompt: where is the difference carried?
    Patch(Box<experiments::Patch>),
    /// Read a corpus and count what its experts do: usage, pairs, transitions, vocabulary, contexts, loss, by group.
    Sweep(Box<sweep::SweepCommand>),
    /// Time a model on this machine: decoding and prefill, next to the streaming read of memory that bounds them.
    Bench(bench::Bench),
    /// Download a model from the Hub into the shared cache. An interrupted download continues where it stopped.
    Pull(pull::Pull),
    /// Write completions for a shell.
    Completions(completions::Completions),
    /// Write the manual page (roff), or all of them as files.
    Man(man::Man),
}

#[derive(Args, Clone)]
struct ModelArgs {
    /// `demo` (a small model that is part of the program), a directory with config.json and safetensors files, a .gguf
    /// file, or a name on the Hub: owner/name, owner/name@revision, owner/name:file.gguf. The explorer also opens saved
    /// runs (trace.safetensors).
    #[arg(default_value = "demo", value_name = "MODEL")]
    model: String,
    /// Where values are rounded: as in transformers (hf), nowhere (f32), as in transformers except
    /// for the router (f32-router), or as in llama.cpp on a CPU (ggml).
    #[arg(long, default_value = "hf", value_name = "hf|f32|f32-router|ggml")]
    precision: Policy,
    /// Round to this dtype instead of the weights' own (as `from_pretrained(dtype=…)`).
    #[arg(long, value_name = "f32|f16|bf16")]
    dtype: Option<Dtype>,
    /// What computes the matrix products: mixscope's own kernels (cpu), candle on the CPU (with MKL or Accelerate, if
    /// built with that feature), or candle on a GPU (if built with that feature).
    #[arg(long, default_value = "cpu", value_name = "cpu|candle|cuda[:N]|metal[:N]", value_parser = device)]
    device: Device,
    /// Threads for matrix products [default: one per core].
    #[arg(long, value_name = "N", value_parser = values::whole(1..=1024u16))]
    threads: Option<u16>,
}

#[derive(Args)]
struct SamplingArgs {
    /// Sampling temperature; 0 takes the most probable token (greedy).
    #[arg(long, default_value_t = 0.0, value_name = "T", value_parser = values::at_least_0::<f64>)]
    temperature: f64,
    /// Sample only among the K most probable tokens.
    #[arg(long, value_name = "K", value_parser = values::positive)]
    top_k: Option<usize>,
    /// Sample only among the most probable tokens that together reach P.
    #[arg(long, value_name = "P", value_parser = values::probability)]
    top_p: Option<f64>,
    /// Seed of the sampler; the same seed gives the same tokens.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::seed)]
    seed: u64,
}

#[derive(Args)]
struct TextArgs {
    /// In CSV files, put ' before token texts that a spreadsheet would run as formulas (those that begin with = + - @,
    /// a tab or a line end), and begin with a byte order mark, by which Excel knows UTF-8. Without it, texts are exactly
    /// the tokenizer's: read such files with pandas.read_csv(FILE, keep_default_na=False), as a token may be NA or null.
    #[arg(long)]
    spreadsheet_safe: bool,
}

impl TextArgs {
    fn of(&self) -> TokenText {
        if self.spreadsheet_safe { TokenText::SpreadsheetSafe } else { TokenText::Exact }
    }
}

impl ModelArgs {
    fn options(&self, ids_only: bool) -> OpenOptions {
        OpenOptions { policy: self.precision, dtype: self.dtype, ids_only, device: self.device }
    }

    /// Checks that MODEL is not a saved run.
    ///
    /// # Errors
    /// If it is one, or its name can't be read.
    fn check(&self) -> Result<()> {
        match Target::parse(&self.model)? {
            Target::Trace(_) => bail!("{}: expected a model, found a saved run; `mixscope open` shows it", self.model),
            _ => Ok(()),
        }
    }

    /// Opens the model; a model on the Hub is downloaded first.
    fn open(&self, ids_only: bool, stderr: &Stderr) -> Result<Loaded> {
        self.precision.check_on(self.device).map_err(|bad| error(ErrorKind::ArgumentConflict, bad))?;
        let opened =
            open_model(&self.model, self.options(ids_only), &Control::none(), &mut |state| stderr.download(state));
        stderr.clear();
        opened
    }
}

/// Parses a device, which this build must be able to use.
fn device(name: &str) -> Result<Device> {
    name.parse::<Device>()?.in_this_build()
}

/// Starts the threads for matrix products: one per core unless `threads` says otherwise. To be called once, before the
/// first product, which would panic where the system refuses threads.
///
/// # Errors
/// If the system refuses.
fn apply_threads(threads: Option<u16>) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, usize::from));
    let advice = "the system can't start the threads for matrix products; raise its limits on processes and memory \
                  (ulimit -u, ulimit -v), or give a smaller --threads";
    pool.build_global().context(advice)
}

impl SamplingArgs {
    fn read(&self) -> Result<Sampling> {
        let sampling =
            Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed };
        sampling::check(&sampling).map_err(|bad| error(ErrorKind::ValueValidation, format!("{bad:#}")))?;
        Ok(sampling)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let parsed = parsed(&words).and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    if !matches!(cli.command, None | Some(Command::Open(_))) {
        signals::clean_up_at_end();
    }
    let done = match cli.command {
        Some(Command::Run(run)) => run.main(),
        Some(Command::Open(open)) => open.main(matches.subcommand_matches("open").unwrap_or(&matches)),
        Some(Command::Export(export)) => export.main(),
        Some(Command::Info(info)) => info.main(),
        Some(Command::Check(check)) => check.main(matches.subcommand_matches("check").unwrap_or(&matches)),
        Some(Command::Diff(diff)) => diff.main(),
        Some(Command::Lab(lab)) => lab.main(),
        Some(Command::Effect(effect)) => effect.main(),
        Some(Command::Ablate(ablate)) => ablate.main(),
        Some(Command::Patch(patch)) => patch.main(),
        Some(Command::Sweep(sweep)) => sweep.main(),
        Some(Command::Bench(bench)) => bench.main(),
        Some(Command::Pull(pull)) => pull.main(),
        Some(Command::Completions(completions)) => completions.main(),
        Some(Command::Man(man)) => man.main(),
        None => cli.explore.main(&matches),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<WrongUsage>() {
            Some(wrong) => usage(&wrong.of(&matches)),
            None if is_broken_pipe(&error) => ExitCode::SUCCESS,
            None => {
                stderr::write_out(&format!("mixscope: {}\n", harmless(&format!("{error:#}"))));
                ExitCode::from(error.downcast_ref::<Ended>().map_or(1, |ended| ended.status))
            }
        },
    }
}

/// Parses a command line, the program's name first.
fn parsed(words: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let mut root = command();
    if let Some(message) = misspelt(&root, words) {
        return Err(root.error(ErrorKind::InvalidSubcommand, message));
    }
    root.try_get_matches_from_mut(words).map_err(|error| reworded(error, &mut root, words))
}

/// The whole command line, for help, completions and manual pages.
fn command() -> clap::Command {
    let mut command = takes_negative_numbers(Cli::command());
    command.build();
    command
}

/// A negative number after an option is its value, of which the option says what was expected, and no option of its own.
fn takes_negative_numbers(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let is_option = arg.get_long().is_some() && arg.get_action().takes_values();
        if is_option { arg.allow_negative_numbers(true) } else { arg }
    });
    command.mut_subcommands(takes_negative_numbers)
}

/// Parses a command line, the program's name first, and does nothing else.
///
/// # Errors
/// The message that a user would read.
#[doc(hidden)]
pub fn parse(words: &[String]) -> Result<(), String> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let parsed = parsed(&words).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        // Help and version are reported as errors, too.
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Wrong usage that the argument parser can't detect.
#[derive(Debug)]
struct WrongUsage {
    kind: ErrorKind,
    message: String,
}

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WrongUsage {}

impl WrongUsage {
    /// The parser's error for the command in use; it shows the usage of that command.
    fn of(&self, matches: &ArgMatches) -> clap::Error {
        let mut root = command();
        let used = matches.subcommand_name().and_then(|name| root.find_subcommand_mut(name).cloned());
        used.unwrap_or(root).error(self.kind, harmless(&self.message))
    }
}

fn error(kind: ErrorKind, message: impl fmt::Display) -> anyhow::Error {
    WrongUsage { kind, message: message.to_string() }.into()
}

/// Help and version go to stdout with status 0, wrong usage to stderr with status 2.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        // If stderr can't be written to, there is nowhere to report it.
        _ if error.use_stderr() => ExitCode::from(2),
        Err(lost) if lost.kind() != std::io::ErrorKind::BrokenPipe => {
            stderr::write_out(&format!("mixscope: {STDOUT}: {lost}\n"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// Checks that there is a terminal for the explorer. Stdin may be something else: then the terminal of the session
/// sends the keys.
///
/// # Errors
/// If stdout is not a terminal, or no terminal sends keys.
fn need_terminal() -> Result<()> {
    if !std::io::stdout().is_terminal() || app::terminal().is_err() {
        let message = "the explorer needs a terminal; use `mixscope run` to work without one (see --help)";
        return Err(error(ErrorKind::Io, message));
    }
    Ok(())
}

/// A validation report, one finding per line.
fn report_text(report: &Report) -> String {
    let mark = |level| match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warn => "warn",
        Level::Refuse => "refuse",
    };
    report.findings.iter().map(|finding| format!("  {:<6} {finding}\n", mark(finding.level))).collect()
}

const STDOUT: &str = "cannot write to stdout";

fn write_stdout(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context(STDOUT)
}

/// Writes results to stdout, which carries nothing else.
fn print(text: &str) -> Result<()> {
    write_stdout(text.as_bytes())
}

/// Escapes control characters in text from a model or file. Newline and tab stay.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && c != '\n' && c != '\t' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
