//! `mixscope patch`: where the difference between two prompts is carried.

use super::setup::{Opened, Work, target, write_table};
use crate::analysis::tables::PatchRow;
use crate::app::files::Reporter as _;
use crate::cli::folder::Folder;
use crate::cli::{ModelArgs, TextArgs, harmless, print, signals, values};
use crate::control::Stopped;
use crate::engine::{PatchOver, PatchPlan, Patching, patch};
use crate::trace::Prompt;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Sites that are printed.
const SHOWN: usize = 10;
const HELP: &str = "\
The measure is logit(target) - logit(foil) after the last position. Each value of the clean run is put into the run of the
corrupted prompt in turn; recovery is (measure - corrupted) / (clean - corrupted).
Files in DIR:
  patch.csv  layer,position,part,index,measure,recovery
Ctrl-c writes the sites that are done and ends with status 130. The sites that recover most go to stdout.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Values {
    #[value(name = "resid_pre")]
    ResidPre,
    #[value(name = "attn_out")]
    AttnOut,
    #[value(name = "mlp_out")]
    MlpOut,
    Heads,
    Experts,
}

/// Put values of a clean run into the run of a corrupted prompt, one after the other.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Patch {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt whose values are taken.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    clean: String,
    /// The prompt that gets them, of as many tokens.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = values::text)]
    corrupt: String,
    /// The values: position by position, or heads or experts at all positions.
    #[arg(long, value_enum)]
    over: Values,
    /// Token that the clean prompt makes probable: a text that is one token (a word as after a space), or an id.
    #[arg(long, value_name = "TOK", allow_hyphen_values = true)]
    target: String,
    /// Token that the corrupted prompt makes probable.
    #[arg(long, value_name = "TOK", allow_hyphen_values = true)]
    foil: String,
    /// Folder for the file; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    text: TextArgs,
    /// Overwrite the file of an earlier map.
    #[arg(long)]
    force: bool,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl Patch {
    pub fn main(self) -> Result<()> {
        let over = match self.over {
            Values::ResidPre => PatchOver::ResidPre,
            Values::AttnOut => PatchOver::AttnOut,
            Values::MlpOut => PatchOver::MlpOut,
            Values::Heads => PatchOver::Heads,
            Values::Experts => PatchOver::Experts,
        };
        self.model.check()?;
        let file = <PatchRow as crate::analysis::tables::Row>::TABLE.name;
        let _folder = Folder::prepare(&self.out, &[file.to_owned()], |_| Ok(Vec::new()), self.force)?;
        let opened = Opened::new(&self.model, false, self.quiet)?;
        let ids = |option: &str, text: &str| {
            opened.loaded.tokens(Prompt::Text(text.to_owned())).with_context(|| option.to_owned())
        };
        let (clean_ids, corrupt_ids) = (ids("--clean", &self.clean)?, ids("--corrupt", &self.corrupt)?);
        let clean = opened.baseline(&clean_ids, Some(over.hook()))?;
        let corrupted = opened.baseline(&corrupt_ids, None)?;
        let target = target(&corrupted, Some(&self.target), Some(&self.foil), &opened.stderr)?;
        let plan = PatchPlan { clean: &clean, corrupted: &corrupted, over, target };
        let mut found: Vec<Patching> = Vec::new();
        let work = Work::new("sites", &opened.stderr);
        let done = work.run(|control| patch(&plan, control, &mut |patching| found.push(patching)));
        if let Err(failed) = done {
            if !failed.is::<Stopped>() || found.is_empty() {
                return Err(failed);
            }
            self.write(over, &mut found)?;
            return Err(signals::interrupted(&format!("after {} sites", found.len())));
        }
        self.write(over, &mut found)?;
        opened.stderr.say(&format!("wrote {file} to {}", self.out.display()));
        let [whole, none] = done?;
        print(&harmless(&report(found, over, [whole, none])))
    }

    fn write(&self, over: PatchOver, found: &mut [Patching]) -> Result<()> {
        found.sort_by_key(|found| (found.layer, found.position, found.index));
        let row = |found: &Patching| {
            let Patching { layer, position, index, measure, recovery } = *found;
            PatchRow { layer, position, part: over.part(), index, measure, recovery }
        };
        write_table(&self.out, self.text.of(), found.iter().map(row))
    }
}

/// The sites that recover most.
fn report(mut found: Vec<Patching>, over: PatchOver, [clean, corrupted]: [f64; 2]) -> String {
    found.sort_by(|a, b| b.recovery.abs().total_cmp(&a.recovery.abs()));
    let mut out = format!("logit difference: clean {clean:.4}, corrupted {corrupted:.4}\n");
    let _ = writeln!(out, "by recovery, largest first:");
    for Patching { layer, position, index, measure, recovery } in found.iter().take(SHOWN) {
        let place = match (position, index) {
            // As an edit spells it.
            (Some(position), _) => format!("L{layer}.{}@{position}", over.part()),
            (_, Some(index)) if matches!(over, PatchOver::Heads) => format!("L{layer}.H{index}"),
            (_, Some(index)) => format!("L{layer}.E{index}"),
            _ => format!("L{layer}"),
        };
        let _ = writeln!(out, "{place:<24} recovery {recovery:>8.4}, logit difference {measure:>9.4}");
    }
    out
}
