//! `mixscope run`: the explorer's numbers as files.

use super::edits::EditArgs;
use super::folder::Folder;
use super::prompt::check_ids;
use super::stderr::Stderr;
use super::values::{context_warning, heads_within};
use super::{ChatArgs, ModelArgs, PromptArgs, SamplingArgs, TextArgs, apply_threads, edits, harmless, print, values};
use crate::app::files::{self, Fields, PATTERN_LIMIT, Reporter as _, RunFiles, TABLES, TRACE};
use crate::control::Control;
use crate::engine::{self, Capture, Live};
use crate::export::{RunInfo, run_json};
use crate::trace::Prompt;
use crate::trace::{Edit, HookKind, Sampling, replace_file};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Format {
    Csv,
    Png,
    Json,
    Trace,
}

/// The file that describes all other files: written last, removed first.
const RUN: &str = "run.json";
const FILES: &str = "\
Files in DIR (CSV: UTF-8, header row, RFC 4180, floats in the fewest digits that give them back):
  tokens.csv         position,token_id,token,source,nll,entropy,rank,text
                     source: prompt, generated or forced; nll: loss of this token given those before it (nats);
                     entropy (nats) and rank (from 1): of the distribution that predicted it
  routing.csv        position,layer,expert,logit,prob,rank,weight
                     one row per expert; prob: over all experts; weight: renormalised over the chosen, else 0
  attention.csv      layer,head,query,key,weight
                     key: at most query
  lens.csv           position,layer,site,k,token_id,token,logit,prob,text
                     site: resid_mid or resid_post; k: from 1 to --lens-k
  lens_summary.csv   position,layer,site,final_rank,final_prob,entropy,kl
                     final: the model's own first choice there; kl: KL(final || lens), nats
  candidates.csv     position,k,token_id,token,logit,prob,text
                     the distribution that follows the token, before temperature
  run.json           version, model, config, policy, prompt, ids, sampling, seed, timings, mean loss, validation
  trace.safetensors  the activations by their TransformerLens names, without a batch axis

A token may be spelled NA or null, so a reader must not take these as missing values:
  pandas  pandas.read_csv(\"tokens.csv\", keep_default_na=False,
                          na_values={\"nll\": \"\", \"entropy\": \"\", \"rank\": \"\"})
  polars  polars.read_csv(\"tokens.csv\", empty_string_is_null=False)
  R       read.csv(\"tokens.csv\", na.strings=character(), encoding=\"UTF-8\")

The generated text goes to stdout, progress to stderr.";

#[derive(Args)]
#[command(after_help = FILES)]
pub struct Run {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    chat: ChatArgs,
    /// Tokens to generate after the prompt.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::count)]
    steps: usize,
    /// Folder for the files; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    edits: EditArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Files to write, with commas between them. png: routing.png, lens.png, and attention-LxxHyy.png of --heads. Without
    /// --heads, these are the heads that look most at the previous token, at the first token, and after earlier occurrences
    /// of the query's token, and the one with the lowest entropy.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Format::Csv, Format::Png, Format::Json, Format::Trace])]
    format: Vec<Format>,
    /// Fields that the trace keeps: all, none, routing, residuals, attention, pattern, norms, outputs, logits, candidates,
    /// lens, or hook names [default: all, without attention patterns if they would exceed 256 MB].
    #[arg(long, value_name = "FIELDS", value_parser = |text: &str| files::capture(text).map(|_| text.to_owned()))]
    capture: Option<String>,
    /// Also write attribution.csv: how much embedding, layers, heads and experts add to the logit of each next token
    /// (at the last position: of the most probable one). Reads the chosen experts once more for every token.
    #[arg(long)]
    attribution: bool,
    /// Keep only these layers in all tables and the trace; A..B does not include B. attribution.csv keeps attn and mlp
    /// of all layers, so that they add up, and heads and experts of these.
    #[arg(long, value_name = "A..B", allow_hyphen_values = true, value_parser = values::layers)]
    layers: Option<(usize, Option<usize>)>,
    /// Keep only these heads in attention.csv and as pictures, whatever --layers says: LAYER.HEAD or
    /// LxHy, e.g. 5.4,L5H2.
    #[arg(long, value_name = "L.H,…", value_delimiter = ',', allow_hyphen_values = true, value_parser = values::head)]
    heads: Option<Vec<(usize, usize)>>,
    /// Number of tokens per lens cell in lens.csv and per position in candidates.csv.
    #[arg(long, default_value = "10", value_name = "K", value_parser = values::positive)]
    lens_k: usize,
    #[command(flatten)]
    text: TextArgs,
    /// Overwrite files of an earlier run.
    #[arg(long)]
    force: bool,
    /// Print only errors to stderr.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print everything that was validated to stderr.
    #[arg(short, long)]
    verbose: bool,
}

impl Run {
    pub fn main(self) -> Result<()> {
        let sampling = self.sampling.read()?;
        if self.attribution && !self.format.contains(&Format::Csv) {
            let message = "--attribution writes a table: it needs csv in --format";
            return Err(super::error(clap::error::ErrorKind::ArgumentConflict, message));
        }
        let prompt = self.prompt.need(&self.chat)?;
        let edits = self.edits.read()?;
        self.model.check()?;
        self.write_into_folder(&prompt, &sampling, edits)
    }

    fn write_into_folder(&self, prompt: &Prompt, sampling: &Sampling, edits: Vec<Edit>) -> Result<()> {
        let mut written = self.files();
        let folder = self.prepare_folder(&written)?;
        apply_threads(self.model.threads)?;
        let stderr = Stderr::new(self.quiet);

        let started = Instant::now();
        let ids_only = matches!(prompt, Prompt::Ids(_));
        let loaded = Arc::new(self.model.open(ids_only, &stderr)?);
        let mut timings = vec![("load", ms(started))];
        stderr.report(&loaded.meta.report, self.verbose);
        if let Some(advice) = loaded.meta.ggml_advice() {
            stderr.say(&format!("note: {advice}"));
        }
        let all_layers = loaded.meta.dims.layers;
        let layers = values::within(self.layers, all_layers)?;
        let heads = heads_within(self.heads.as_deref(), &layers, (all_layers, loaded.meta.dims.heads))?;

        check_ids(prompt, &loaded.meta)?;
        let probe = Live::new(loaded.clone(), Capture::of([], 0..0, all_layers), 0);
        let ids = probe.prompt_ids(prompt)?;
        if let (Some(warning), false) = (loaded.prompt_warning(&ids), ids_only) {
            stderr.say(&format!("warning: {warning}"));
        }
        let context = loaded.meta.dims.context;
        // No more tokens than the context holds are generated.
        let tokens = ids.len().saturating_add(self.steps).min(context.max(ids.len()));
        let wanted = self.capture(tokens, loaded.meta.dims.heads * layers.len(), &stderr)?;
        if let Some(warning) = context_warning(context, ids.len(), self.steps) {
            stderr.say(&warning);
        }
        // The tables need these in every layer, whatever the trace keeps.
        let kinds = wanted.hooks.iter().copied().chain(HookKind::FOR_VIEWS);
        let everywhere = Capture::of(kinds, 0..all_layers, all_layers);
        let mut live = Live::new(loaded.clone(), everywhere, self.lens_k);
        if let Some(edits) = edits::loaded(edits, &loaded.meta, tokens)? {
            live = live.edited(Some(&edits), &Control::none())?;
        }
        let (ended, failed) = self.generate(&mut live, &ids, sampling, &mut timings, &stderr);

        if live.tokens().is_empty() {
            return Err(failed.unwrap_or_else(|| anyhow::anyhow!("nothing was computed")));
        }
        let run = engine::Run::from(live);
        let generated: Vec<u32> = run.tokens().iter().skip(ids.len()).map(|token| token.id).collect();
        let writing = Instant::now();
        // run.json of an earlier run stays if this run does not write one: pictures can be added to a run.
        let is_whole = self.format.contains(&Format::Json);
        self.remove_earlier(is_whole.then_some(RUN), &stderr);
        let provenance = files::provenance(run.meta(), Some(prompt), sampling);
        let has = |format| self.format.contains(&format);
        let plan = RunFiles {
            csv: has(Format::Csv),
            png: has(Format::Png),
            trace: has(Format::Trace).then(|| wanted.clone()),
            layers: layers.clone(),
            heads: self.heads.is_some().then(|| heads.clone()),
            lens_k: self.lens_k,
            attribution: self.attribution,
            text: self.text.of(),
            lenient: false,
        };
        written.extend(plan.write(&run, &provenance, &self.out, &Control::none(), &stderr)?.pictures);
        timings.push(("write", ms(writing)));
        let text = loaded.tokenizer.as_ref().map_or(Ok(String::new()), |tokenizer| tokenizer.decode(&generated))?;
        let prompt_text = match prompt {
            Prompt::Text(text) | Prompt::Chat(text) => Some(text.as_str()),
            Prompt::Ids(_) => None,
        };
        if is_whole {
            let stale = folder.replaced.iter().map(String::as_str).filter(|old| !written.iter().any(|new| new == old));
            self.remove_earlier(stale, &stderr);
            let timings = timings.as_slice();
            let info =
                RunInfo { prompt: prompt_text, prompt_len: ids.len(), generated: &text, sampling, ended, timings };
            let bytes = run_json(&run.records(), &info)?;
            replace_file(&self.out.join(RUN), |file| Ok(file.write_all(&bytes)?))?;
        }
        stderr.clear();
        written.sort_unstable();
        written.dedup();
        edits::report(&run.records(), &stderr);
        stderr.say(&format!("wrote {} to {}", written.join(", "), self.out.display()));
        if let Some(error) = failed {
            let count = run.tokens().len();
            return Err(error.context(format!("stopped after {count} tokens; the files hold what was computed")));
        }
        if !text.is_empty() {
            print(&format!("{}\n", harmless(&text)))?;
        }
        Ok(())
    }

    /// Reads the prompt and generates. Returns why generation ended, and the error if there was one.
    fn generate(
        &self,
        live: &mut Live,
        ids: &[u32],
        sampling: &Sampling,
        timings: &mut Vec<(&'static str, f64)>,
        stderr: &Stderr,
    ) -> (&'static str, Option<anyhow::Error>) {
        let started = Instant::now();
        let layers = live.meta().dims.layers;
        let progress = |done: usize, total: usize| stderr.progress("prompt tokens", done / layers, total / layers);
        let prefill = live.set_prompt(ids, &Control::watched_by(&progress), &mut |_, _| {});
        timings.push(("prefill", ms(started)));
        if let Err(error) = prefill {
            return ("error", Some(error));
        }
        let started = Instant::now();
        let mut ended = "steps";
        for step in 0..self.steps {
            stderr.progress("generated tokens", step, self.steps);
            if live.is_full() {
                ended = "context full";
                break;
            }
            match live.step(sampling, &Control::none()) {
                Ok(token) if live.is_end(token) => {
                    ended = "end of text";
                    break;
                }
                Ok(_) => {}
                Err(error) => return ("error", Some(error)),
            }
        }
        timings.push(("decode", ms(started)));
        (ended, None)
    }

    /// Names of the files that this run writes, as far as they follow from the options.
    fn files(&self) -> Vec<String> {
        let of = |format: &Format| match format {
            Format::Csv => &TABLES[..],
            Format::Json => &[RUN][..],
            Format::Png => &["routing.png", "lens.png"][..],
            Format::Trace => &[TRACE][..],
        };
        let formats: BTreeSet<Format> = self.format.iter().copied().collect();
        let on_request = self.attribution.then_some("attribution.csv");
        let named = formats.iter().flat_map(of).copied().chain(on_request);
        let mut files: Vec<String> = named.map(str::to_owned).collect();
        if let (true, Some(heads)) = (formats.contains(&Format::Png), &self.heads) {
            files.extend(heads.iter().map(|(layer, head)| files::picture_name(*layer, *head)));
        }
        files
    }

    fn prepare_folder(&self, files: &[String]) -> Result<Folder> {
        // Without --heads, the drawn heads are known only after the run.
        let is_open = self.format.contains(&Format::Png) && self.heads.is_none();
        let pictures = |out: &Path| if is_open { files::pictures_of_heads(out) } else { Ok(Vec::new()) };
        Folder::prepare(&self.out, files, pictures, self.force)
    }

    /// Removes files of an earlier run, which would look like files of this one.
    fn remove_earlier<'a>(&self, names: impl IntoIterator<Item = &'a str>, stderr: &Stderr) {
        for path in names.into_iter().map(|name| self.out.join(name)).filter(|path| path.exists()) {
            if let Err(error) = std::fs::remove_file(&path) {
                stderr.say(&format!(
                    "warning: cannot remove {}, which belongs to an earlier run: {error}",
                    path.display()
                ));
            }
        }
    }

    /// The fields that the trace keeps.
    fn capture(&self, tokens: usize, heads: usize, stderr: &Stderr) -> Result<Fields> {
        if !self.format.contains(&Format::Trace) {
            return Ok(Fields::default());
        }
        if let Some(fields) = &self.capture {
            return files::capture(fields);
        }
        let mut fields = Fields::all();
        let bytes = tokens.saturating_mul(tokens).saturating_mul(heads * size_of::<f32>());
        if bytes > PATTERN_LIMIT {
            fields.hooks.remove(&HookKind::Pattern);
            let mb = bytes >> 20;
            stderr.say(&format!("attention patterns are left out of the trace: {mb} MB; --capture all keeps them"));
        }
        Ok(fields)
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
