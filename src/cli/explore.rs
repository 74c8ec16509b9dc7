//! The explorer's command line. Options take precedence over the configuration file, and the file over the defaults.

use super::edits::EditArgs;
use super::stderr::write_out;
use super::{ChatArgs, ModelArgs, PromptArgs, SamplingArgs, apply_threads, error, harmless, need_terminal, print};
use crate::app::config::{Config, Keymap, key_table};
use crate::app::{self, Recorded, Saved, SessionFile, ThemeName};
use crate::control::Control;
use crate::engine::{OpenOptions, Replay, Target, trace_path};
use crate::trace::Prompt;
use crate::trace::{LensKey, LensSite};
use anyhow::{Context, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use std::path::PathBuf;
use std::sync::Arc;

/// How the explorer looks and behaves.
#[derive(Args)]
pub struct ScreenArgs {
    /// How many colours to use; auto follows NO_COLOR, COLORTERM and TERM.
    #[arg(long, value_enum, default_value_t = app::ColorChoice::Auto, value_name = "WHEN")]
    color: app::ColorChoice,
    /// Theme: for dark or light backgrounds, for every colour vision, or without colours.
    #[arg(long, value_name = "NAME", default_value = "dark", value_parser = themes())]
    theme: ThemeName,
    /// Leave the mouse to the terminal, which then selects text as usual.
    #[arg(long)]
    no_mouse: bool,
    /// While tokens are generated, draw at most 4 frames a second apart from replies to keys, and keep the cursor in place.
    #[arg(long)]
    reduced_motion: bool,
    /// The configuration file [default: mixscope/config.toml in $XDG_CONFIG_HOME or ~/.config].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The terminal explorer (default command).
#[derive(Args)]
pub struct Explore {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    edits: EditArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    chat: ChatArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Continue the last session: its model, tokens, cursor and view. A session is saved when it ends and every ten
    /// seconds.
    #[arg(long, conflicts_with_all = ["model", "prompt", "prompt_file", "prompt_ids", "chat"])]
    resume: bool,
    /// Read this recording's tokens and compare the model's run with it, in Fidelity: which experts differ, and the
    /// loss of each token. --precision and --dtype default to those of the recording.
    #[arg(long, value_name = "TRACE", conflicts_with_all = ["resume", "prompt", "prompt_file", "prompt_ids", "chat"])]
    against: Option<String>,
    #[command(flatten)]
    screen: ScreenArgs,
    /// Print the current configuration, in the form of a configuration file.
    #[arg(long, conflicts_with = "print_keys")]
    print_config: bool,
    /// Print all keys, their actions, and what these do.
    #[arg(long)]
    print_keys: bool,
}

fn themes() -> impl TypedValueParser<Value = ThemeName> {
    PossibleValuesParser::new(ThemeName::ALL.map(|(_, name)| name)).try_map(|name| name.parse::<ThemeName>())
}

impl Explore {
    pub fn main(self, matches: &ArgMatches) -> Result<()> {
        if self.print_keys {
            return self.print_keys(matches);
        }
        let mut config = self.config(matches)?;
        if self.print_config {
            return print(&config.to_string());
        }
        let prompt = self.prompt.read(&self.chat)?;
        let edits = self.edits.read()?;
        let resume = if self.resume { Some(self.session(&mut config, matches)?) } else { None };
        let computes = !matches!(Target::parse(&config.model), Ok(Target::Trace(_)));
        match Target::parse(&config.model) {
            Err(error) if resume.is_some() => return Err(error.context("the model of the session can't be opened")),
            Ok(Target::Trace(_)) if prompt.is_some() => {
                let message = format!("{}: a saved run has no model to read a prompt with", config.model);
                return Err(error(ErrorKind::ArgumentConflict, message));
            }
            Ok(Target::Trace(_)) if !edits.is_empty() => {
                let message = format!("{}: a saved run has no model to compute edits with", config.model);
                return Err(error(ErrorKind::ArgumentConflict, message));
            }
            parsed => parsed?,
        };
        let against = self.against.as_deref().map(recorded).transpose()?;
        let prompt = against.as_ref().map_or(prompt, |recorded| Some(Prompt::Ids(recorded.ids())));
        if let Some(recorded) = against.as_ref().filter(|_| !given(matches, "precision")) {
            config.precision = recorded.trace.meta.policy;
        }
        // One file may serve several machines, so a device that this build lacks is refused only when it is used.
        if computes {
            config.precision.check_on(config.device).map_err(|bad| error(ErrorKind::ArgumentConflict, bad))?;
            config.device.in_this_build().context("`device` in [defaults] of the configuration")?;
        }
        need_terminal()?;
        let prompt = match prompt {
            None if computes && resume.is_none() => self.prompt.read_or_piped(&self.chat)?,
            prompt => prompt,
        };
        apply_threads(config.threads)?;
        let mut open = self.model.options(matches!(prompt, Some(Prompt::Ids(_))));
        (open.policy, open.device) = (config.precision, config.device);
        // Under `f32` nothing is rounded, whatever the dtype.
        if let Some(recorded) = against.as_ref().filter(|_| !open.policy.keeps_f32() && !given(matches, "dtype")) {
            open.dtype = Some(recorded.trace.meta.compute_dtype);
        }
        if let Some(saved) = resume.as_ref().filter(|_| !given(matches, "dtype")) {
            open.dtype = saved.dtype;
        }
        app::run(app::Options { against, edits, ..options(config, open, prompt, resume) })
    }

    /// Prints the keys of the configuration, or the default ones if it has an error.
    fn print_keys(&self, matches: &ArgMatches) -> Result<()> {
        let keymap = self.screen.config(matches).map(|config| config.keymap).unwrap_or_else(|error| {
            write_out(&format!("mixscope: {}; these are the default keys\n", harmless(&format!("{error:#}"))));
            Keymap::default()
        });
        print(&key_table(&keymap))
    }

    /// The file's configuration, overridden by the command line.
    fn config(&self, matches: &ArgMatches) -> Result<Config> {
        let mut config = self.screen.config(matches)?;
        let given = |name| given(matches, name);
        let sampling = self.sampling.read()?;
        if given("model") {
            config.model.clone_from(&self.model.model);
        }
        if given("precision") {
            config.precision = self.model.precision;
        }
        if given("device") {
            config.device = self.model.device;
        }
        if given("temperature") {
            config.sampling.temperature = sampling.temperature;
        }
        if given("seed") {
            config.sampling.seed = sampling.seed;
        }
        config.sampling.top_k = sampling.top_k.or(config.sampling.top_k);
        config.sampling.top_p = sampling.top_p.or(config.sampling.top_p);
        config.threads = self.model.threads.or(config.threads);
        Ok(config)
    }

    /// The last session. Its model, precision and sampling apply unless the command line gives others.
    fn session(&self, config: &mut Config, matches: &ArgMatches) -> Result<Saved> {
        let saved = SessionFile::load()?;
        let given = |name| given(matches, name);
        config.model.clone_from(&saved.model);
        if !given("precision") {
            config.precision = saved.precision;
        }
        let mut sampling = saved.sampling;
        if given("temperature") {
            sampling.temperature = self.sampling.temperature;
        }
        if given("seed") {
            sampling.seed = self.sampling.seed;
        }
        sampling.top_k = self.sampling.top_k.or(sampling.top_k);
        sampling.top_p = self.sampling.top_p.or(sampling.top_p);
        crate::model::sampling::check(&sampling).context("the sampling of the session can't be used")?;
        config.sampling = sampling;
        Ok(saved)
    }
}

impl ScreenArgs {
    /// The file's configuration, overridden by these options.
    ///
    /// # Errors
    /// If the file can't be read or has an error.
    pub fn config(&self, matches: &ArgMatches) -> Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        if given(matches, "color") {
            config.color = self.color;
        }
        if given(matches, "theme") {
            config.theme = self.theme;
        }
        config.mouse &= !self.no_mouse;
        config.reduced_motion |= self.reduced_motion;
        Ok(config)
    }
}

/// The explorer's options under a configuration.
pub fn options(config: Config, open: OpenOptions, prompt: Option<Prompt>, resume: Option<Saved>) -> app::Options {
    app::Options {
        unread: config.unread.clone(),
        colours: config.colours(),
        model: config.model,
        open,
        prompt,
        edits: Vec::new(),
        resume,
        against: None,
        sampling: config.sampling,
        color: config.color,
        mouse: config.mouse,
        reduced_motion: config.reduced_motion,
        strip: config.strip,
        details_flipped: config.details_flipped,
        arrangement: Some(config.arrangement),
        keymap: Arc::new(config.keymap),
    }
}

/// A saved run to compare with.
///
/// # Errors
/// If it can't be opened.
pub fn recorded(text: &str) -> Result<Recorded> {
    let path = trace_path(text)?;
    let run = Replay::open(&path).with_context(|| format!("--against {text}"))?;
    let (trace, mut lens) = (run.records(), Vec::new());
    let layers = trace.meta.dims.layers;
    for pos in 0..trace.tokens.len() {
        let of_layer = |layer| LensSite::ALL.map(|site| LensKey { pos, layer, site });
        let keys: Vec<LensKey> = (0..layers).flat_map(of_layer).collect();
        lens.extend(run.lens_cells(&keys, 1, &Control::none())?);
    }
    let name = path.file_name().map_or_else(|| text.to_owned(), |name| name.display().to_string());
    Ok(Recorded { name, trace, lens })
}

/// Whether an option was given on the command line.
fn given(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}
