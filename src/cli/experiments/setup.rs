//! What commands that run one prompt in several ways share: the open model, the prompt, the run without edits, the target,
//! progress, and the files.

use crate::analysis::tables::{Row, TokenText, write_csv};
use crate::app::files::Reporter as _;
use crate::cli::prompt::check_ids;
use crate::cli::stderr::Stderr;
use crate::cli::{ModelArgs, apply_threads, error, signals};
use crate::control::Control;
use crate::engine::{Capture, EffectTarget, Live};
use crate::model::Loaded;
use crate::trace::{HookKind, Meta, Prompt, duration, replace_file};
use anyhow::Result;
use clap::Args;
use clap::error::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The token that is watched.
#[derive(Args)]
pub struct TargetArgs {
    /// Token whose logit is watched after the prompt: a text that is one token (a word as after a space), or an id
    /// [default: the most probable].
    #[arg(long, value_name = "TOK", allow_hyphen_values = true)]
    pub target: Option<String>,
    /// Token that the target is compared with: the difference of both logits is measured.
    #[arg(long, value_name = "TOK", allow_hyphen_values = true)]
    pub foil: Option<String>,
}

/// An open model, and where it reports.
pub struct Opened {
    pub loaded: Arc<Loaded>,
    pub stderr: Stderr,
    /// How long opening took, ms.
    pub took: f64,
}

impl Opened {
    /// Opens the model and says what was found. With `ids_only` no tokenizer is needed.
    pub fn new(model: &ModelArgs, ids_only: bool, quiet: bool) -> Result<Self> {
        apply_threads(model.threads)?;
        let (stderr, started) = (Stderr::new(quiet), Instant::now());
        let loaded = Arc::new(model.open(ids_only, &stderr)?);
        stderr.report(&loaded.meta.report, false);
        Ok(Self { loaded, stderr, took: ms(started) })
    }

    /// As [`Opened::new`], for this prompt; returns its ids, too.
    ///
    /// # Errors
    /// If the model lacks an id, or the prompt is empty.
    pub fn for_prompt(model: &ModelArgs, prompt: &Prompt, quiet: bool) -> Result<(Self, Vec<u32>)> {
        let opened = Self::new(model, matches!(prompt, Prompt::Ids(_)), quiet)?;
        check_ids(prompt, opened.meta())?;
        let ids = opened.loaded.tokens(prompt.clone())?;
        Ok((opened, ids))
    }

    pub fn meta(&self) -> &Meta {
        &self.loaded.meta
    }

    /// Reads a prompt without edits. The run keeps what the measures need, and `more`.
    pub fn baseline(&self, ids: &[u32], more: Option<HookKind>) -> Result<Live> {
        let layers = self.meta().dims.layers;
        let capture = Capture::of(HookKind::FOR_VIEWS.into_iter().chain(more), 0..layers, layers);
        let mut live = Live::new(self.loaded.clone(), capture, 1);
        let progress = |done: usize, total: usize| self.stderr.progress("prompt tokens", done / layers, total / layers);
        live.set_prompt(ids, &Control::watched_by(&progress), &mut |_, _| {})?;
        Ok(live)
    }

    /// The target at the last position of a run.
    ///
    /// # Errors
    /// As [`target`].
    pub fn target(&self, run: &Live, args: &TargetArgs) -> Result<EffectTarget> {
        target(run, args.target.as_deref(), args.foil.as_deref(), &self.stderr)
    }
}

/// A prompt as text; `None` for one of ids.
pub fn text_of(prompt: &Prompt) -> Option<&str> {
    match prompt {
        Prompt::Text(text) | Prompt::Chat(text) => Some(text.as_str()),
        Prompt::Ids(_) => None,
    }
}

/// Time since `started`, ms.
pub fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}

/// The target at the last position of a run: the most probable token there, unless options name another.
///
/// # Errors
/// If a text is not one token, or an id is outside the vocabulary.
pub fn target(run: &Live, target: Option<&str>, foil: Option<&str>, stderr: &Stderr) -> Result<EffectTarget> {
    let position = run.tokens().len() - 1;
    let best = run.tokens()[position].next.top.first().map_or(0, |best| best.id);
    let token = target.map_or(Ok(best), |text| token(run, "--target", text, stderr))?;
    let foil = foil.map(|text| self::token(run, "--foil", text, stderr)).transpose()?;
    if foil == Some(token) {
        let message = format!("--foil: it is the target, token {token}; name another, by its id if both begin alike");
        return Err(error(ErrorKind::ValueValidation, message));
    }
    let named = |id: u32| format!("token {id} `{}`", run.piece(id).text());
    let foil_named = foil.map(|id| format!(", foil {}", named(id))).unwrap_or_default();
    stderr.say(&format!("target {}{foil_named}, after position {position}", named(token)));
    Ok(EffectTarget { position, token, foil })
}

/// A token by its id, or by its text: as a new word if that is one token, else as it is; or the first token of the word.
fn token(run: &Live, option: &str, text: &str, stderr: &Stderr) -> Result<u32> {
    let wrong = |message: String| error(ErrorKind::ValueValidation, format!("{option}: {message}"));
    let vocab = run.meta().dims.vocab;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let id = text.parse().ok().filter(|id: &u32| (*id as usize) < vocab);
        return id.ok_or_else(|| wrong(format!("token id {text} is outside the vocabulary of {vocab} tokens")));
    }
    let as_word = format!(" {text}");
    let spellings = if text.starts_with(char::is_whitespace) { vec![text] } else { vec![as_word.as_str(), text] };
    let spelled = spellings.iter().map(|spelling| run.tokenize_on(spelling)).collect::<Result<Vec<_>>>()?;
    if let Some(one) = spelled.iter().find(|ids| ids.len() == 1) {
        return Ok(one[0]);
    }
    let ids = spelled.first().filter(|ids| !ids.is_empty());
    let ids = ids.ok_or_else(|| wrong("expected the text of a token, or its id".to_owned()))?;
    let names: Vec<String> = ids.iter().map(|id| format!("{id} `{}`", run.piece(*id).text())).collect();
    stderr.say(&format!(
        "warning: {option}: `{text}` is {} tokens ({}): the first is used",
        ids.len(),
        names.join(", ")
    ));
    Ok(ids[0])
}

/// Work that ctrl-c ends early and whose results so far are kept.
pub struct Work<'a> {
    what: &'static str,
    stderr: &'a Stderr,
    started: Instant,
    stopped: &'static AtomicBool,
}

impl<'a> Work<'a> {
    /// Work on `what`, in the plural.
    pub fn new(what: &'static str, stderr: &'a Stderr) -> Self {
        Self { what, stderr, started: Instant::now(), stopped: signals::finish_on_interrupt() }
    }

    /// Does the work; ctrl-c cancels the control.
    pub fn run<T>(&self, work: impl FnOnce(&Control) -> T) -> T {
        let (progress, is_stopped) = (|done, total| self.progress(done, total), || self.is_stopped());
        let done = work(&Control::new(&is_stopped, &progress));
        self.stderr.clear();
        done
    }

    /// Whether ctrl-c was pressed.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Shows how much is done, and how long the rest takes.
    fn progress(&self, done: usize, total: usize) {
        let each = self.started.elapsed().as_secs_f64() / done.max(1) as f64;
        let left = if done == 0 { String::new() } else { format!(", {} left", duration(each * (total - done) as f64)) };
        self.stderr.progress_line(&format!("{} {done}/{total}{left}", self.what));
    }
}

/// Writes a table into the folder.
pub fn write_table<R: Row>(out: &Path, text: TokenText, rows: impl IntoIterator<Item = R>) -> Result<()> {
    let mut bytes = text.start().to_vec();
    write_csv(rows, &mut bytes)?;
    replace_file(&out.join(R::TABLE.name), |file| Ok(file.write_all(&bytes)?))
}
