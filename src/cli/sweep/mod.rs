//! `mixscope sweep`: what experts do over a corpus.

mod files;
mod merge;
mod recorded;
mod shard;
mod view;
mod watch;

pub use view::{LEAST, SweepViewArgs, names as view_names, open_sweep, sweep_at, view as sweep_view};

use super::folder::Folder;
use super::stderr::Stderr;
use super::{ModelArgs, TextArgs, apply_threads, error, harmless, print, signals, values};
use crate::analysis::sweep::{
    About, CorpusAbout, ModelAbout, Shape, Shard, Sweep, SweepOptions, TokenKind, Vocabulary,
};
use crate::app::files::Reporter as _;
use crate::control::{Control, Stopped};
use crate::engine::{Corpus, GroupBy, Target, TextOptions, sweep};
use crate::model::Loaded;
use crate::trace::size;
use anyhow::{Context, Result, ensure};
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use files::{Files, PARTIAL, Tables};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use watch::Watch;

/// Tokens of a window unless the model's context is shorter.
const WINDOW: usize = 512;
/// Counts of the vocabulary that may take more bytes than this are announced.
const LARGE: u64 = 4 << 30;
const HELP: &str = "\
Files in DIR, each as .csv and .parquet:
  groups       what was read, and the loss, by group
  experts      usage, weights, specialisation and output norms of each expert, by group
  layers       entropy, margins, near-ties, evenness
  pairs        experts that tokens chose together
  transitions  experts of one layer and of the next
  repeats      tokens that go to the experts of the token before
  positions    usage by position in the window
  vocabulary   tokens and the experts that they chose (input, next and predicted token)
  contexts     tokens that chose an expert, with the text around them
  chance       with --null: which differences between groups are chance
and sweep.json (model, corpus, options, totals) and sweep.safetensors (exact counts and sums, for --merge).

  mixscope sweep corpus/ --group-by folder --out sweep1
  mixscope sweep path/to/OLMoE c4.jsonl --group-by meta.domain --window 2048 --out sweep1
  mixscope sweep path/to/OLMoE c4.jsonl --shard 3/7 --out shard3     # on seven machines, then once:
  mixscope sweep --merge shard1 shard2 … --out sweep1                # the same bytes as without --shard

Ctrl-c, SIGTERM and errors keep what was counted; --resume continues. docs/sweep.md has the definitions and their sources.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Parquet,
}

/// A kind of token whose experts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Input,
    Next,
    Predicted,
    None,
}

#[derive(Args)]
#[command(after_help = HELP)]
pub struct SweepCommand {
    #[command(flatten)]
    model: ModelArgs,
    /// Texts: files, folders (.txt, .md, .jsonl and .ndjson files in them), - for stdin. A .txt file is one text, each line of
    /// a .jsonl file is one.
    #[arg(value_name = "FILE")]
    texts: Vec<PathBuf>,
    /// Shards of one sweep, whose sum is written.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with_all = ["texts", "shard", "resume", "group_by", "text_field", "lines", "window", "contexts", "vocabulary", "seed", "decode", "null", "recorded"])]
    merge: Vec<PathBuf>,
    /// Folder for the files; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What a group is: a file, a folder, or a field of JSON lines (names joined by dots).
    #[arg(long, default_value = "file", value_name = "file|folder|FIELD")]
    group_by: String,
    /// The field of JSON lines that holds the text (names joined by dots). With it, stdin has JSON lines.
    #[arg(long, value_name = "FIELD")]
    text_field: Option<String>,
    /// Each line of a plain text is a text of its own.
    #[arg(long)]
    lines: bool,
    /// Tokens that the model reads in one context, a beginning-of-text token included [default: 512, or the model's context
    /// if that is shorter].
    #[arg(long, value_name = "N", value_parser = values::positive)]
    window: Option<usize>,
    /// Read only the I-th of N shards, from 1 [default: SLURM_ARRAY_TASK_ID of SLURM_ARRAY_TASK_COUNT, if they are set].
    #[arg(long, value_name = "I/N", value_parser = shard::parse)]
    shard: Option<Shard>,
    /// Continue a sweep that was stopped.
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Contexts that are kept of each expert: so many at random, and so many with the largest router probability.
    #[arg(long, default_value = "8", value_name = "N", value_parser = values::count)]
    contexts: usize,
    /// Tokens whose experts are counted, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Input, Kind::Next, Kind::Predicted])]
    vocabulary: Vec<Kind>,
    /// Tokens that occur less often are left out of the table `vocabulary`.
    #[arg(long, default_value = "10", value_name = "N", value_parser = values::count)]
    min_count: usize,
    /// Generate N tokens after each window, greedily, and count them apart (phase `decode`).
    #[arg(long, default_value = "0", value_name = "N", value_parser = values::count)]
    decode: usize,
    /// Shuffle the labels of texts N times: which differences between groups are chance? (table `chance`)
    #[arg(long, default_value = "0", value_name = "N", value_parser = values::count)]
    null: usize,
    /// The files are routing that another program recorded, as JSON lines: of OLMoE's script (input_ids,
    /// predicted_token_ids, exp_ids) or of vLLM (prompt_token_ids, prompt_routed_experts, token_ids, routed_experts). No model
    /// is needed.
    #[arg(long, requires = "experts", conflicts_with_all = ["decode", "resume", "lines", "text_field"])]
    recorded: bool,
    /// How many experts a layer of the recorded model has.
    #[arg(long, value_name = "N", value_parser = values::positive, requires = "recorded")]
    experts: Option<usize>,
    /// Seed of the random contexts and of the shuffles.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::seed)]
    seed: u64,
    /// Tables to write, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Format::Csv, Format::Parquet])]
    format: Vec<Format>,
    #[command(flatten)]
    text: TextArgs,
    /// Overwrite the files of an earlier sweep.
    #[arg(long)]
    force: bool,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl SweepCommand {
    pub fn main(mut self) -> Result<()> {
        let tables = Tables {
            csv: self.format.contains(&Format::Csv),
            parquet: self.format.contains(&Format::Parquet),
            text: self.text.of(),
            least: self.min_count as u64,
        };
        if !self.merge.is_empty() {
            let Self { merge, out, force, quiet, model, .. } = self;
            ensure!(
                model.model == "demo",
                error(
                    ErrorKind::ArgumentConflict,
                    "--merge needs no model and no texts: the shards hold what they are of"
                )
            );
            return merge::merge(&merge, &Files { out, tables }, force, quiet);
        }
        if self.recorded || !names_model(&self.model.model)? {
            self.texts.insert(0, PathBuf::from(std::mem::replace(&mut self.model.model, "demo".to_owned())));
        }
        if self.texts.is_empty() {
            let message = "texts are needed: files, folders, or - for stdin";
            return Err(error(ErrorKind::MissingRequiredArgument, message));
        }
        self.model.check()?;
        let shard = self.shard.map_or_else(shard::of_slurm, |shard| Ok(Some(shard)))?;
        let corpus = Corpus::find(&self.texts, self.text_options())?;
        let files = Files { out: self.out.clone(), tables };
        if let Some(experts) = self.experts {
            return recorded::count(&self, &corpus, shard, experts, &files);
        }
        self.sweep(&corpus, shard, &files)
    }

    fn text_options(&self) -> TextOptions {
        TextOptions {
            group_by: GroupBy::of(&self.group_by),
            text_field: self.text_field.clone().unwrap_or_else(|| "text".to_owned()),
            lines: self.lines,
            json_stdin: self.text_field.is_some(),
        }
    }

    fn sweep(&self, corpus: &Corpus, shard: Option<Shard>, files: &Files) -> Result<()> {
        let (names, stderr) = (files.names(shard), Stderr::new(self.quiet));
        let partial = self.out.join(PARTIAL);
        let may_replace = self.force || self.resume;
        let asked: Vec<String> = names.iter().cloned().chain([PARTIAL.to_owned()]).collect();
        let _folder = Folder::prepare(&self.out, &asked, |_| Ok(Vec::new()), may_replace)?;
        ensure!(
            !self.resume || partial.exists(),
            "--resume: there is no stopped sweep in {}: it has no {PARTIAL}; leave --resume out to begin one",
            self.out.display()
        );
        apply_threads(self.model.threads)?;
        let loaded = self.model.open(false, &stderr)?;
        stderr.report(&loaded.meta.report, false);
        let mut state = Sweep::new(self.about(&loaded, shard)?);
        self.announce(corpus, &state.about, &stderr);
        let mut from = None;
        if self.resume {
            let stopped = files::read(&partial)?;
            if let Some((what, then, now)) = stopped.about.difference(&state.about) {
                let message =
                    format!("--resume: {what} was {then} in the stopped sweep and is {now} now; use the same");
                return Err(error(ErrorKind::ArgumentConflict, message));
            }
            ensure!(
                stopped.about.shard == shard,
                "--resume: the sweep in {} is of another shard; use the same --shard",
                self.out.display()
            );
            from = stopped.about.cursor.clone();
            state = stopped;
        }

        let stopped = signals::finish_on_interrupt();
        let is_stopped = || stopped.load(Relaxed);
        let (started, before) = (Instant::now(), state.tokens());
        let mut watch = Watch::new(&partial, &stderr, from.clone());
        let done = sweep(&loaded, corpus, &mut state, from.as_ref(), &mut watch, &Control::cancelled_by(&is_stopped));
        stderr.clear();
        let corpus_about = match done {
            Ok(about) => about,
            Err(failed) => {
                let tokens = state.tokens();
                if watch.save(&state)? {
                    stderr.say(&format!("{tokens} tokens are counted in {}; --resume continues", partial.display()));
                }
                let is_interrupted = failed.is::<Stopped>();
                return Err(if is_interrupted {
                    signals::interrupted(&format!("after {tokens} tokens"))
                } else {
                    failed
                });
            }
        };
        ensure!(corpus_about.parts > 0, "the texts are empty: there is nothing to read");
        state.about.corpus = corpus_about;
        state.about.cursor = None;
        state.spell(|id| loaded.piece(id));
        files.write(&state, &stderr)?;
        remove(&partial)?;
        let (tokens, seconds) = (state.tokens() - before, started.elapsed().as_secs_f64());
        let rate = tokens as f64 / seconds.max(1e-9);
        stderr.say(&format!("read {tokens} tokens in {}, {rate:.0} tok/s", crate::trace::duration(seconds)));
        stderr.say(&format!("wrote {} to {}", names.join(", "), self.out.display()));
        print(&harmless(&files::summary(&state)))
    }

    /// What the sweep is of, apart from the texts, which are not read yet.
    fn about(&self, loaded: &Loaded, shard: Option<Shard>) -> Result<About> {
        let (meta, dims) = (&loaded.meta, loaded.meta.dims);
        let window = self.window.unwrap_or(WINDOW.min(dims.context.saturating_sub(self.decode)));
        let most = dims.context.saturating_sub(self.decode);
        if window > most || window < 2 {
            let decode = if self.decode > 0 { " without those of --decode" } else { "" };
            let message = format!(
                "--window: expected from 2 to {most} tokens, the model's context (max_position_embeddings){decode}, found \
                 {window}"
            );
            return Err(error(ErrorKind::ValueValidation, message));
        }
        Ok(About {
            mixscope: env!("CARGO_PKG_VERSION").to_owned(),
            model: ModelAbout {
                name: bare_name(&meta.name),
                hash: loaded.fingerprint(),
                precision: meta.policy.to_string(),
                compute_dtype: meta.activation_dtype().to_string(),
                near_tie_dtype: meta.router_dtype().to_string(),
                device: meta.device.to_string(),
                shape: Shape {
                    layers: dims.layers,
                    experts: dims.experts,
                    top_k: dims.top_k,
                    vocab: dims.vocab,
                    window: window + self.decode,
                },
            },
            corpus: CorpusAbout::default(),
            options: self.options(window),
            shard,
            cursor: None,
        })
    }

    /// The options that decide the numbers.
    fn options(&self, window: usize) -> SweepOptions {
        let options = self.text_options();
        let vocabulary = TokenKind::ALL.into_iter().filter(|kind| self.vocabulary.contains(&Kind::of(*kind)));
        SweepOptions {
            window,
            group_by: options.group_by.name().to_owned(),
            text_field: options.text_field,
            lines: options.lines,
            seed: self.seed,
            contexts: self.contexts,
            vocabulary: vocabulary.collect(),
            decode: self.decode,
            null: self.null,
        }
    }

    fn announce(&self, corpus: &Corpus, about: &About, stderr: &Stderr) {
        if let Some(first) = corpus.skipped.first() {
            let first = first.display();
            stderr.say(&match corpus.skipped.len() {
                1 => format!("note: {first} is no text and is left out"),
                count => format!("note: {count} files of the folders are no texts and are left out, such as {first}"),
            });
        }
        let most = Vocabulary::most_bytes(about.model.shape, about.options.vocabulary.len());
        if most > LARGE {
            stderr.say(&format!(
                "note: the counts of the vocabulary take up to {} of memory; --vocabulary input or none takes less",
                size(most)
            ));
        }
        if let (Some(shard), None) = (about.shard, self.shard) {
            let Shard { number, of } = shard;
            stderr.say(&format!("note: this is shard {number} of {of}, from the Slurm array that it runs in"));
        }
    }
}

impl Kind {
    fn of(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Input => Self::Input,
            TokenKind::Next => Self::Next,
            TokenKind::Predicted => Self::Predicted,
        }
    }
}

/// Whether the first argument is a model and no text.
///
/// # Errors
/// If there is nothing of that name.
fn names_model(name: &str) -> Result<bool> {
    let path = Path::new(name);
    if name == "-" || path.is_dir() && !path.join("config.json").exists() && !path.join("snapshots").is_dir() {
        return Ok(false);
    }
    let is_gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    if path.is_file() {
        return Ok(is_gguf);
    }
    Target::parse(name).map(|_| true).with_context(|| "neither a model nor a text")
}

/// The last part of a model's name, so that the folder that it is in does not matter.
fn bare_name(name: &str) -> String {
    let path = Path::new(name);
    let last = || path.file_name().map(|name| name.to_string_lossy().into_owned());
    if path.exists() { last().unwrap_or_else(|| name.to_owned()) } else { name.to_owned() }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
