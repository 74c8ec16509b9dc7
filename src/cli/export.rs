//! `mixscope export`: one view of a saved run as files.

use super::export_with_model::{self, WithModel};
use super::stderr::write_out;
use super::sweep::{self, SweepViewArgs};
use super::{TextArgs, apply_threads, values, write_stdout};
use crate::analysis::diff::CommonPrefix;
use crate::analysis::sweep::SweepView;
use crate::analysis::view::{Tab, View, ViewData, ViewSpec};
use crate::analysis::{LensMeasure, MapMeasure, Measure, MeasuredOn, Pick, UsageMeasure};
use crate::control::Control;
use crate::engine::{Replay, Run, collect, trace_path};
use crate::export::{DPI_RANGE, FileFormat, Look, LookOptions, Style, Width, caption, file, sweep_caption, sweep_file};
use crate::trace::{LensSite, TokenRecord, nearest, replace_file, write_new_file};
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use clap::error::ErrorKind;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

const TABLES: &str = "\
Read tables with pandas.read_csv(FILE, keep_default_na=False): a token may be spelled NA or null.
docs/files.md describes their columns.";

#[derive(Args)]
#[command(after_help = TABLES)]
pub struct Export {
    /// A saved run: trace.safetensors of `mixscope run`, or a trace that another program recorded. Or the folder of a sweep.
    #[arg(value_name = "TRACE|SWEEP")]
    trace: String,
    #[arg(long, value_name = "VIEW", value_parser = view, help = format!("The view: {}; of a sweep {}", names(), sweep::view_names()))]
    view: Wanted,
    /// For fidelity.flips, fidelity.loss and compare: a saved run A, compared with B = TRACE as far as both texts are the same.
    /// For sweep.compare: another sweep, which is subtracted.
    #[arg(long, value_name = "TRACE|SWEEP")]
    against: Option<String>,
    /// png, svg, pdf, csv, or several of them [default: the ending of FILE].
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = format)]
    format: Vec<FileFormat>,
    /// File to write; - is stdout. With several formats, each goes to FILE with its own ending.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// For routing.token, lens.targets, next and the views of effects: position of the token [default: the last].
    #[arg(long, value_name = "POS", value_parser = values::count)]
    token: Option<usize>,
    /// For routing.layer, routing.pairs and attention.head: the layer [default: 0].
    #[arg(long, value_name = "L", value_parser = values::count)]
    layer: Option<usize>,
    /// For attention.head: the query head, or the mean or maximum over the heads of the layer [default: 0].
    #[arg(long, value_name = "H|mean|max", allow_hyphen_values = true, value_parser = Pick::from_str)]
    head: Option<Pick>,
    /// The measure. For routing.load: first, chosen, weight [default: all]. For lens: token, kl, entropy, rank [default: token]. For lens.targets: token or rank (both in one
    /// picture), kl, entropy. For attention.grid and attention.scores: entropy, previous, first, induction, duplicate [default: entropy]. For
    /// effects.map and effects.routing: target, difference, loss, kl, flips [default: target; loss].
    #[arg(long, value_name = "NAME")]
    measure: Option<String>,
    /// For attention.scores and attention.grid: what heads are measured on, the run or random tokens given twice, which a model
    /// has to read [default: text].
    #[arg(long, value_name = "text|random", value_parser = measured_on)]
    on: Option<MeasuredOn>,
    /// For attention.grid: the best heads first, instead of by layer and head.
    #[arg(long)]
    sort: bool,
    /// For lens: the residual that it reads [default: resid_post].
    #[arg(long, value_name = "resid_mid|resid_post|both", value_parser = site)]
    site: Option<Site>,
    /// For lens.targets by token or rank: ids of tokens to follow through the layers [default: the model's answer].
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true, value_parser = values::token_id)]
    targets: Option<Vec<u32>>,
    #[command(flatten)]
    with_model: WithModel,
    #[command(flatten)]
    of_sweep: SweepViewArgs,
    /// Style of pictures. screen: with a title, the run and notes. paper: a proportional font, no title, as wide as --width;
    /// the caption is in the file's metadata [default: screen].
    #[arg(long, value_name = "screen|paper", value_parser = style)]
    style: Option<String>,
    /// For --style paper: the width: column (8.5 cm), page (17.5 cm), or a length such as 12cm, 85mm or 3.35in
    /// [default: column].
    #[arg(long, value_name = "W", value_parser = width)]
    width: Option<String>,
    /// For --style paper and png: pixels per inch [default: 300].
    #[arg(long, value_name = "N", value_parser = values::whole(DPI_RANGE))]
    dpi: Option<u32>,
    /// For --style screen: size of pictures, in pixels per point [default: 1].
    #[arg(long, value_name = "X", value_parser = values::above_0)]
    scale: Option<f64>,
    /// Draw light text on a dark background.
    #[arg(long)]
    dark: bool,
    #[command(flatten)]
    text: TextArgs,
    /// Overwrite existing files.
    #[arg(long)]
    force: bool,
}

/// A view of a run, or of a sweep.
#[derive(Clone, Copy)]
enum Wanted {
    Run(View),
    Sweep(SweepView),
}

/// Wrong usage of an option.
fn wrong(message: String) -> anyhow::Error {
    super::error(ErrorKind::ValueValidation, message)
}

/// The views that a saved run has.
fn names() -> String {
    View::ALL.into_iter().filter(|view| *view != View::FidelityLab).map(View::name).collect::<Vec<_>>().join(", ")
}

/// Parses a view that a saved run or a sweep has.
fn view(text: &str) -> Result<Wanted> {
    if let Some(view) = sweep::sweep_view(text) {
        return Ok(Wanted::Sweep(view));
    }
    match text.parse() {
        Ok(View::FidelityLab) => bail!("`{text}` needs a model: `mixscope lab` writes it"),
        Ok(view) => Ok(Wanted::Run(view)),
        Err(_) => {
            let near = nearest(text, View::ALL.into_iter().filter(|view| *view != View::FidelityLab).map(View::name));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("expected one of {}, {}, found `{text}`{near}", names(), sweep::view_names())
        }
    }
}

/// Which residuals a lens reads; `None` = both.
#[derive(Clone, Copy)]
struct Site(Option<LensSite>);

fn site(text: &str) -> Result<Site> {
    let found = LensSite::ALL.into_iter().find(|site| site.to_string() == text);
    ensure!(found.is_some() || text == "both", "`{text}` is not one of resid_mid, resid_post, both");
    Ok(Site(found))
}

fn format(text: &str) -> Result<FileFormat> {
    named(text, &FileFormat::ALL, FileFormat::suffix)
}

fn measured_on(text: &str) -> Result<MeasuredOn> {
    named(text, &MeasuredOn::ALL, MeasuredOn::name)
}

/// A style of pictures, by its name.
fn style(text: &str) -> Result<String> {
    LookOptions { style: Some(text), ..LookOptions::default() }.look().map_err(|error| unprefixed(&error))?;
    Ok(text.to_owned())
}

/// The width of a picture for paper.
fn width(text: &str) -> Result<String> {
    Width::from_str(text)?;
    Ok(text.to_owned())
}

/// The message of an option's value without the name of the option, which comes before.
fn unprefixed(error: &anyhow::Error) -> anyhow::Error {
    let text = error.to_string();
    anyhow!("{}", text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest))
}

/// The element of `all` with this name.
fn named<T: Copy>(name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<T> {
    let found = all.iter().copied().find(|one| name_of(*one) == name);
    let names = || all.iter().map(|one| name_of(*one)).collect::<Vec<_>>().join(", ");
    found.with_context(|| format!("`{name}` is not one of {}", names()))
}

fn exists(file: &Path) -> anyhow::Error {
    anyhow!("{} exists; give another -o, or --force to overwrite", file.display())
}

impl Export {
    pub fn main(self) -> Result<()> {
        let files = self.files().map_err(|error| wrong(format!("{error:#}")))?;
        let view = match self.view {
            Wanted::Run(view) => view,
            Wanted::Sweep(view) => return self.sweep(view, &files),
        };
        if let Some(option) = self.of_sweep.given() {
            return Err(wrong(format!("{option}: it applies to views of a sweep, not to {view}")));
        }
        match (&self.against, view.is_comparison()) {
            (None, true) => {
                return Err(wrong(format!("--view {view}: it compares two runs and needs --against TRACE")));
            }
            (Some(_), false) => return Err(wrong(format!("--against: --view {view} shows one run"))),
            _ => {}
        }
        let spec = self.spec(view).map_err(|error| wrong(format!("{error:#}")))?;
        let look = self.look()?;
        self.check_use(view, &spec)?;
        self.check_files(&files)?;
        self.check_free(&files)?;
        apply_threads(None)?;
        let (data, spec) = self.data(view, spec)?;
        let caption = || caption(&data, &spec);
        self.write_all(&files, &look, &caption, &|format| file(&data, &spec, format, &look, self.text.of()))
    }

    /// Writes a view of a sweep.
    fn sweep(&self, view: SweepView, files: &[(FileFormat, PathBuf)]) -> Result<()> {
        let other = [
            ("--token", self.token.is_some()),
            ("--head", self.head.is_some()),
            ("--sort", self.sort),
            ("--on", self.on.is_some()),
            ("--site", self.site.is_some()),
            ("--targets", self.targets.is_some()),
        ];
        if let Some((option, _)) = other.iter().find(|(_, given)| *given) {
            return Err(wrong(format!("{option}: it applies to views of a run, not to sweep.{}", view.name())));
        }
        // No view of a sweep takes any of these.
        if let Some((option, _)) = self.with_model.misplaced(View::RoutingMap) {
            return Err(wrong(format!("{option}: it applies to views of a run, not to sweep.{}", view.name())));
        }
        if self.against.is_some() && view != SweepView::Compare {
            return Err(wrong(format!("--against: --view sweep.{} shows one sweep", view.name())));
        }
        let spec = self.of_sweep.spec(view, self.layer, self.measure.as_deref());
        let (spec, least) = spec.map_err(|error| wrong(format!("{error:#}")))?;
        let look = self.look()?;
        self.check_files(files)?;
        self.check_free(files)?;
        let sweep = sweep::open_sweep(&self.trace)?;
        let other = self.against.as_deref().map(sweep::open_sweep).transpose().context("--against")?;
        let other = other.as_deref();
        let caption = || sweep_caption(&sweep, other, &spec, least);
        let bytes = |format| sweep_file(&sweep, other, &spec, least, format, &look, self.text.of());
        self.write_all(files, &look, &caption, &bytes)
    }

    /// Checks that no file is there that must not be overwritten. Fails before the work instead of after it.
    fn check_free(&self, files: &[(FileFormat, PathBuf)]) -> Result<()> {
        let taken = files.iter().find(|(_, file)| file.as_os_str() != "-" && file.exists());
        taken.filter(|_| !self.force).map_or(Ok(()), |(_, file)| Err(exists(file)))
    }

    /// Writes the files, and the caption of the first picture that does not say it itself.
    fn write_all(
        &self,
        files: &[(FileFormat, PathBuf)],
        look: &Look,
        caption: &dyn Fn() -> Result<String>,
        bytes: &dyn Fn(FileFormat) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let mut is_captioned = look.style == Style::Screen;
        for (format, path) in files {
            let bytes = bytes(*format)?;
            if path.as_os_str() == "-" {
                write_stdout(&bytes)?;
            } else {
                self.write(path, &bytes)?;
                write_out(&format!("wrote {}\n", super::harmless(&path.display().to_string())));
                // On paper the picture does not say it itself.
                if *format != FileFormat::Csv && !std::mem::replace(&mut is_captioned, true) {
                    write_out(&format!("caption: {}\n", super::harmless(&caption()?)));
                }
            }
        }
        Ok(())
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        let fill = |out: &mut File| Ok(out.write_all(bytes)?);
        if self.force {
            return replace_file(file, fill);
        }
        write_new_file(file, fill).map_err(|error| match error.downcast_ref::<io::Error>() {
            Some(cause) if cause.kind() == io::ErrorKind::AlreadyExists => exists(file),
            _ => error,
        })
    }

    /// The look of the pictures.
    ///
    /// # Errors
    /// If an option does not apply to the style.
    fn look(&self) -> Result<Look> {
        let (style, width) = (self.style.as_deref(), self.width.as_deref());
        let options = LookOptions { style, width, dpi: self.dpi, scale: self.scale, dark: self.dark };
        options.look().map_err(|error| wrong(format!("--{error:#}")))
    }

    /// The files to write, by format.
    fn files(&self) -> Result<Vec<(FileFormat, PathBuf)>> {
        let mut formats: Vec<FileFormat> = Vec::new();
        for format in &self.format {
            if !formats.contains(format) {
                formats.push(*format);
            }
        }
        let is_stdout = self.output.as_os_str() == "-";
        let own = FileFormat::of(&self.output);
        match formats[..] {
            [] => {
                let hint = "--format: expected png, svg, pdf or csv, or a FILE that ends in one of them";
                Ok(vec![(own.context(hint)?, self.output.clone())])
            }
            [format] => {
                if let Some(own) = own
                    && own != format
                {
                    bail!("-o {}: --format says {}", self.output.display(), format.suffix());
                }
                Ok(vec![(format, self.output.clone())])
            }
            _ => {
                ensure!(!is_stdout, "-o -: stdout takes one format");
                let with = |format: &FileFormat| {
                    let mut name = match own {
                        Some(_) => self.output.with_extension(""),
                        None => self.output.clone(),
                    }
                    .into_os_string();
                    name.push(".");
                    name.push(format.suffix());
                    (*format, PathBuf::from(name))
                };
                Ok(formats.iter().map(with).collect())
            }
        }
    }

    /// The view and its parameters; the token is the first one if none was given.
    fn spec(&self, view: View) -> Result<ViewSpec> {
        let mut spec = ViewSpec {
            pos: self.token.unwrap_or(0),
            layer: self.layer.unwrap_or(0),
            head: self.head.unwrap_or(Pick::One(0)),
            on: self.on.unwrap_or_default(),
            sorted: self.sort,
            site: self.site.map_or(Some(LensSite::ResidPost), |site| site.0),
            targets: self.targets.clone().unwrap_or_default(),
            ..ViewSpec::new(view)
        };
        spec.map = self.with_model.map(view)?;
        if view == View::EffectsRouting {
            spec.effect = MapMeasure::Loss;
        }
        match (&self.measure, view) {
            (None, _) => {}
            (Some(name), View::LensGrid | View::LensTargets) => {
                spec.lens = named(name, &LensMeasure::ALL, LensMeasure::name).context("--measure")?;
            }
            (Some(name), View::EffectsMap | View::EffectsRouting) => spec.effect = export_with_model::measure(name)?,
            (Some(name), View::AttentionGrid | View::AttentionScores) => {
                spec.measure = named(name, &Measure::ALL, Measure::name).context("--measure")?
            }
            (Some(name), View::RoutingUsage) => {
                spec.usage = Some(named(name, &UsageMeasure::OF_RUNS, UsageMeasure::name).context("--measure")?);
            }
            (Some(_), view) => bail!("--measure: --view {view} has no measures"),
        }
        Ok(spec)
    }

    /// Checks that every option given has an effect on this view and these files.
    ///
    /// # Errors
    /// For the first option that has none.
    fn check_use(&self, view: View, spec: &ViewSpec) -> Result<()> {
        use View::{
            AttentionGrid, AttentionHead, AttentionScores, EffectsContributions, EffectsMap, EffectsPatching, LensGrid,
            LensTargets, Next, RoutingLayer, RoutingPairs, RoutingToken,
        };
        let options: [(&str, bool, &[View]); 7] = [
            ("--on", self.on.is_some(), &[AttentionGrid, AttentionScores]),
            (
                "--token",
                self.token.is_some(),
                &[RoutingToken, LensTargets, Next, EffectsMap, EffectsPatching, EffectsContributions],
            ),
            ("--layer", self.layer.is_some(), &[RoutingLayer, RoutingPairs, AttentionHead]),
            ("--head", self.head.is_some(), &[AttentionHead]),
            ("--sort", self.sort, &[AttentionGrid]),
            ("--site", self.site.is_some(), &[LensGrid]),
            ("--targets", self.targets.is_some(), &[LensTargets]),
        ];
        for (option, is_given, views) in options {
            if is_given && !views.contains(&view) {
                let names: Vec<&str> = views.iter().map(|view| view.name()).collect();
                let message = format!("{option}: it applies to --view {}, not to {}", names.join(", "), view);
                return Err(wrong(message));
            }
        }
        if let Some((option, views)) = self.with_model.misplaced(view) {
            let names: Vec<&str> = views.iter().map(|view| view.name()).collect();
            return Err(wrong(format!("{option}: it applies to --view {}, not to {}", names.join(", "), view)));
        }
        if self.with_model.has_model() && spec.on == MeasuredOn::Text && view.tab() == Tab::Attention {
            return Err(wrong("--model: heads are measured by a model with --on random only".to_owned()));
        }
        if self.targets.is_some() && !matches!(spec.lens, LensMeasure::Top | LensMeasure::Rank) {
            let message = format!("--targets: it applies to --measure token and rank, not to {}", spec.lens.name());
            return Err(wrong(message));
        }
        Ok(())
    }

    /// Checks that every option about tables and pictures has an effect on these files.
    ///
    /// # Errors
    /// For the first option that has none.
    fn check_files(&self, files: &[(FileFormat, PathBuf)]) -> Result<()> {
        let has_table = files.iter().any(|(format, _)| *format == FileFormat::Csv);
        let has_picture = files.iter().any(|(format, _)| *format != FileFormat::Csv);
        let wanted: [(&str, bool, bool, &str); 6] = [
            ("--style", self.style.is_some(), has_picture, "pictures (png, svg, pdf)"),
            ("--width", self.width.is_some(), has_picture, "pictures (png, svg, pdf)"),
            ("--dpi", self.dpi.is_some(), files.iter().any(|(format, _)| *format == FileFormat::Png), "png"),
            ("--scale", self.scale.is_some(), has_picture, "pictures (png, svg, pdf)"),
            ("--dark", self.dark, has_picture, "pictures (png, svg, pdf)"),
            ("--spreadsheet-safe", self.text.spreadsheet_safe, has_table, "tables (csv)"),
        ];
        match wanted.iter().find(|(_, is_given, applies, _)| *is_given && !applies) {
            Some((option, .., what)) => Err(wrong(format!("{option}: it applies to {what}, and none is written"))),
            None => Ok(()),
        }
    }

    /// Checks that what the options choose is in the run.
    ///
    /// # Errors
    /// For the first option that chooses something else.
    fn check_range(&self, run: &Run) -> Result<()> {
        let (dims, n) = (run.meta().dims, run.tokens().len());
        let head = self.head.and_then(|head| match head {
            Pick::One(head) => Some(head),
            _ => None,
        });
        let target = self.targets.iter().flatten().map(|id| *id as usize).max();
        let ranges = [
            ("--token", "a position", self.token, n),
            ("--layer", "a layer", self.layer, dims.layers),
            ("--head", "a head", head, dims.heads),
            ("--targets", "token ids", target, dims.vocab),
        ];
        for (option, what, chosen, count) in ranges {
            if let Some(chosen) = chosen.filter(|chosen| *chosen >= count) {
                let last = count.saturating_sub(1);
                return Err(wrong(format!("{option}: expected {what} from 0 to {last}, found {chosen}")));
            }
        }
        Ok(())
    }

    fn data(&self, view: View, mut spec: ViewSpec) -> Result<(ViewData, ViewSpec)> {
        let saved = Replay::open(&trace_path(&self.trace)?)?;
        if view.needs_model() {
            let data = self.with_model.data(&saved, &spec, self.token).with_context(|| format!("--view {}", view))?;
            return Ok((data, spec));
        }
        let scores = match spec.on {
            MeasuredOn::Text => None,
            MeasuredOn::Repeated => Some(self.with_model.head_scores(&saved).context("--on random")?),
        };
        let run = Run::from(saved);
        self.check_range(&run)?;
        let last = run.tokens().len().saturating_sub(1);
        spec.pos = self.token.unwrap_or(last);
        let mut data = collect(&run, &spec, &Control::none()).with_context(|| format!("--view {view}"))?;
        data.scores = scores;
        if let Some(against) = &self.against {
            let other = Replay::open(&trace_path(against)?)?.records();
            let ids = |tokens: &[Arc<TokenRecord>]| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
            // Two texts stand side by side, what has no counterpart included: A first, then B.
            if view == View::Compare && ids(&other.tokens) != ids(&data.trace.tokens) {
                data.second = Some(std::mem::replace(&mut data.trace, other));
                return Ok((data, spec));
            }
            let prefix = CommonPrefix::of(&ids(&other.tokens), &ids(&data.trace.tokens));
            if let Some(prefix) = prefix.with_context(|| format!("--against {against}"))? {
                write_out(&format!("{prefix}\n"));
                spec.pos = spec.pos.min(prefix.length - 1);
            }
            data.compare_with(other);
        }
        Ok((data, spec))
    }
}
