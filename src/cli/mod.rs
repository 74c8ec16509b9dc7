//! The command line: arguments, and the commands that need no terminal.

mod info;
mod run;
mod values;

use crate::app;
use crate::model::{Location, sampling};
use crate::trace::protocol::Prompt;
use crate::trace::{Dtype, Policy, Sampling, is_obeyed};
use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  mixscope                                      explore the model that is part of the program
  mixscope --prompt 'The capital of France is'  the same, starting with this prompt
  mixscope path/to/Mixtral                      explore a model directory (config.json + safetensors)
  mixscope run --prompt 'Once upon a time' --steps 32 --out run1
                                                routing, attention, lens and candidates as files
  mixscope info path/to/Mixtral                 what it is and what it needs

Exit status: 0 done, 1 the work failed, 2 wrong usage.";

/// See inside Mixtral-family mixture-of-experts models: expert routing, attention and logit lens, token by token.
#[derive(Parser)]
#[command(name = "mixscope", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    explore: Explore,
}

#[derive(Subcommand)]
enum Command {
    /// Run a prompt without a terminal and write what happened inside as files.
    Run(Box<run::Run>),
    /// Say what a model is, what was validated, and what it needs.
    Info(info::Info),
}

/// The terminal explorer (default command).
#[derive(Args)]
struct Explore {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Colours: auto looks at NO_COLOR, COLORTERM and TERM.
    #[arg(long, value_enum, default_value_t = app::ColorChoice::Auto, value_name = "WHEN")]
    color: app::ColorChoice,
}

#[derive(Args)]
struct ModelArgs {
    /// `demo` (a small model that is part of the program) or a directory with config.json and safetensors files.
    #[arg(default_value = "demo", value_name = "MODEL")]
    model: String,
    /// Precision policy: round as transformers does, nowhere, or as transformers but for the router.
    #[arg(long, default_value = "hf", value_name = "hf|f32|f32-router")]
    precision: Policy,
    /// Round to this dtype instead of the weights' own (as `from_pretrained(dtype=…)`).
    #[arg(long, value_name = "f32|f16|bf16")]
    dtype: Option<Dtype>,
    /// Threads for matrix products [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Args)]
#[group(multiple = false)]
struct PromptArgs {
    /// The prompt.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Read the prompt from a file (UTF-8, taken as it is).
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// The prompt as token ids, used without the tokenizer: 1,422,3.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    prompt_ids: Option<Vec<u32>>,
}

#[derive(Args)]
struct SamplingArgs {
    /// 0 takes the most probable token (greedy).
    #[arg(long, default_value_t = 0.0, value_name = "T", allow_negative_numbers = true)]
    temperature: f64,
    /// Sample only among the K most probable tokens.
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Sample only among the most probable tokens that together reach P.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Seed of the sampler; the same seed gives the same tokens.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

impl ModelArgs {
    fn location(&self) -> Result<Location> {
        Location::at(Path::new(&self.model))
    }

    /// Sizes the thread pool; only the first call of a process can.
    fn apply_threads(&self) -> Result<()> {
        let Some(threads) = self.threads else { return Ok(()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads));
        pool.build_global().context("--threads: cannot size the thread pool")
    }
}

impl PromptArgs {
    fn read(&self) -> Result<Option<Prompt>> {
        if let Some(path) = &self.prompt_file {
            let bytes =
                std::fs::read(path).with_context(|| format!("--prompt-file: cannot read {}", path.display()))?;
            let text = String::from_utf8(bytes)
                .with_context(|| format!("--prompt-file: {} is not UTF-8 text", path.display()))?;
            return Ok(Some(Prompt::Text(text)));
        }
        if let Some(ids) = &self.prompt_ids {
            return Ok(Some(Prompt::Ids(ids.clone())));
        }
        Ok(self.prompt.clone().map(Prompt::Text))
    }
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = match cli.command {
        Some(Command::Run(run)) => run.main(),
        Some(Command::Info(info)) => info.main(),
        None => cli.explore.main(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(error) => usage(error),
            None if is_broken_pipe(&error) => ExitCode::SUCCESS,
            None => {
                eprintln!("mixscope: {}", harmless(&format!("{error:#}")));
                ExitCode::from(1)
            }
        },
    }
}

/// Wrong usage that clap could not see.
fn error(kind: ErrorKind, message: impl std::fmt::Display) -> anyhow::Error {
    Cli::command().error(kind, message).into()
}

/// Help and version go to stdout with status 0, wrong usage to stderr with status 2.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody reads what can't be written.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

impl Explore {
    fn main(self) -> Result<()> {
        let (sampling, prompt) = (self.sampling.read()?, self.prompt.read()?);
        let location = self.model.location()?;
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            let message = "the explorer needs a terminal; use `mixscope run` to work without one (see --help)";
            return Err(error(ErrorKind::Io, message));
        }
        self.model.apply_threads()?;
        let (precision, dtype) = (self.model.precision, self.model.dtype);
        app::run(app::Options { location, precision, dtype, prompt, sampling, color: self.color })
    }
}

/// Writes results; nothing else goes to stdout.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Text from a model or file as it may be written to a terminal; newline and tab stay.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && c != '\n' && c != '\t' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
