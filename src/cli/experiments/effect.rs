//! `mixscope effect`: what edits do to one prompt.

use super::setup::{Opened, TargetArgs, Work, ms, text_of, write_table};
use crate::analysis::tables::{EffectLayerRow, EffectPositionRow, TokenText};
use crate::analysis::{self, NULL_MEASURES};
use crate::app::files::Reporter as _;
use crate::cli::edits::{EditArgs, loaded as load_edits};
use crate::cli::folder::Folder;
use crate::cli::prompt::{ChatArgs, PromptArgs};
use crate::cli::{ModelArgs, TextArgs, error, harmless, print, signals, values};
use crate::engine::{EffectPlan, NoCounterpart, effect};
use crate::export::{EffectInfo, effect_json};
use crate::trace::{Piece, Sampling, replace_file};
use anyhow::Result;
use clap::Args;
use clap::error::ErrorKind;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

const FILES: [&str; 3] = ["effect.json", "effect_positions.csv", "effect_layers.csv"];
const HELP: &str = "\
The edited run B is compared with the run without edits A, over the same tokens. Changes are B - A.
Files in DIR, if --out is given:
  effect.json           edits with their sites (token and layer each), loss_change, kl, target_logit_change,
                        target_logprob_change, logit_difference_change, flips, by position and layer, null
  effect_positions.csv  position,token_id,token,loss_change,kl,sites,text
  effect_layers.csv     layer,sites,flips,near_tie_flips,residual_change";

/// Edit the pass and measure what that does.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Effect {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    chat: ChatArgs,
    #[command(flatten)]
    edits: EditArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// Generate up to N tokens with and without the edits, greedily, to find the first that differs.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::count)]
    steps: usize,
    /// Draw N random edits of the same kind and size (experts that fire about as often, other heads of the layer) and
    /// report their mean, standard deviation and the place of the real one among them.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::count)]
    null: usize,
    /// Seed of the random edits.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = values::seed)]
    seed: u64,
    /// Folder for the files; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    text: TextArgs,
    /// Print the content of effect.json instead of text.
    #[arg(long)]
    json: bool,
    /// Overwrite files of an earlier effect.
    #[arg(long)]
    force: bool,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl Effect {
    pub fn main(self) -> Result<()> {
        let prompt = self.prompt.need(&self.chat)?;
        let edits = self.edits.read()?;
        if edits.is_empty() {
            let message = "expected at least one edit: --edit 'ban L3.E5', or --edits FILE";
            return Err(error(ErrorKind::MissingRequiredArgument, message));
        }
        self.model.check()?;
        let files: Vec<String> = FILES.map(str::to_owned).to_vec();
        let none = |_: &std::path::Path| Ok(Vec::new());
        let folder = self.out.as_ref().map(|out| Folder::prepare(out, &files, none, self.force)).transpose()?;
        let (opened, ids) = Opened::for_prompt(&self.model, &prompt, self.quiet)?;
        let (meta, stderr) = (opened.meta(), &opened.stderr);
        let mut timings = vec![("load", opened.took)];
        if let Some(warning) = values::context_warning(meta.dims.context, ids.len(), self.steps) {
            stderr.say(&warning);
        }
        // Edits of later positions have no place here, whatever is generated: both runs are compared over the prompt.
        let edits = load_edits(edits, meta, ids.len().saturating_add(self.steps))?;
        let Some(edits) = edits else { return Ok(()) };
        let started = Instant::now();
        let a = opened.baseline(&ids, None)?;
        timings.push(("baseline", ms(started)));
        let target = opened.target(&a, &self.target)?;
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let plan = EffectPlan { edits: &edits, target, steps: self.steps, sampling, null: (self.null, self.seed) };
        let started = Instant::now();
        let work = Work::new("runs", stderr);
        let found = work.run(|control| effect(&a, &plan, control)).map_err(|failed| {
            let is_wrong = failed.is::<NoCounterpart>();
            if is_wrong { error(ErrorKind::ValueValidation, format!("{failed:#}")) } else { failed }
        })?;
        timings.push(("effect", ms(started)));
        let drawn = found.null.as_ref().map_or(0, |null| null.draws.len());
        if drawn < self.null && !work.is_stopped() {
            stderr.say(&format!("--null: there are only {drawn} different random edits of this kind and size"));
        }
        let json = effect_json(
            &found,
            &EffectInfo { meta: a.meta(), prompt: text_of(&prompt), ids: &ids, timings: &timings },
        )?;
        if let (Some(out), Some(_)) = (&self.out, &folder) {
            let text = self.text.of();
            write_table(out, text, found.positions.iter().map(|found| EffectPositionRow::new(found, text)))?;
            write_table(out, text, found.layers.iter().map(|layer| EffectLayerRow::from(*layer)))?;
            replace_file(&out.join("effect.json"), |file| Ok(file.write_all(json.as_bytes())?))?;
            stderr.say(&format!("wrote {} to {}", files.join(", "), out.display()));
        }
        print(&if self.json { json } else { harmless(&report(&found)) })?;
        if work.is_stopped() {
            return Err(signals::interrupted(&format!("after {drawn} random edits")));
        }
        Ok(())
    }
}

/// The effect as text.
fn report(found: &analysis::Effect) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    for note in &found.edits {
        let nothing = match (note.sites, found.steps) {
            (0, _) => ": it changed nothing",
            (_, 0) => "",
            _ => ", those of generated tokens included",
        };
        let s = if note.sites == 1 { "" } else { "s" };
        line(format!("{:<28} {} site{s}{nothing}", note.edit, note.sites));
    }
    let measures = &found.measures;
    if let (Some([a, b]), Some(change)) = (found.losses, measures.loss_change) {
        line(format!("loss                         {a:.4} -> {b:.4} nats a token ({})", signed(change)));
    }
    line(format!(
        "KL(A || B)                   {} nats, mean over {} positions",
        signed(measures.kl).trim_start_matches('+'),
        found.positions.len()
    ));
    for (what, of) in [("target", Some(&found.target)), ("foil", found.foil.as_ref())] {
        let Some(of) = of else { continue };
        line(format!(
            "{what:<6} {:<21} logit {:.3} -> {:.3} ({:+.3}), probability {:.4} -> {:.4}, rank {} -> {}",
            format!("`{}`", one_line(&of.token)),
            of.logit[0],
            of.logit[1],
            of.logit[1] - of.logit[0],
            of.logprob[0].exp(),
            of.logprob[1].exp(),
            of.rank[0],
            of.rank[1]
        ));
    }
    if let Some(change) = measures.logit_difference_change {
        line(format!("logit difference             {}", signed(change)));
    }
    let near: usize = found.layers.iter().map(|layer| layer.near_tie_flips).sum();
    line(format!("flips in other places        {} ({near} of them within rounding)", measures.flips));
    let by_layer: Vec<String> = found.layers.iter().map(|layer| format!("{:.3}", layer.residual_change)).collect();
    line(format!("change of resid_post         {} (share of its norm, by layer)", by_layer.join(" ")));
    if found.steps > 0 {
        line(match &found.first_difference {
            Some(first) => {
                let [a, b] = &first.tokens;
                format!(
                    "generated                    first differs at {}: `{}` became `{}`",
                    first.position,
                    one_line(&a.1),
                    one_line(&b.1)
                )
            }
            None => format!("generated                    {} tokens, none differs", found.steps),
        });
    }
    if let Some(null) = &found.null {
        line(format!(
            "among {} random edits of the same kind (mean ± standard deviation; place by size):",
            null.draws.len()
        ));
        for measure in NULL_MEASURES {
            if let (Some(place), Some(real)) = (null.place(measures, measure), measures.value(measure)) {
                line(format!(
                    "  {measure:<26} {} against {} ± {}, place {} of {}",
                    signed(real),
                    signed(place.mean),
                    signed(place.sd).trim_start_matches('+'),
                    place.place,
                    place.of + 1
                ));
            }
        }
    }
    out
}

/// The text of a token on one line.
fn one_line(piece: &Piece) -> String {
    TokenText::Exact.text(piece)
}

/// A number with its sign, small ones in powers of ten.
fn signed(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        small if small < 1e-3 => format!("{x:+.1e}"),
        _ => format!("{x:+.4}"),
    }
}
