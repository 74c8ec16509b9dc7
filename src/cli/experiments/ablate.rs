//! `mixscope ablate`: the effect of every part in turn.

use super::setup::{Opened, TargetArgs, Work, write_table};
use crate::analysis::tables::AblationRow;
use crate::app::files::Reporter as _;
use crate::cli::folder::Folder;
use crate::cli::prompt::{ChatArgs, PromptArgs};
use crate::cli::{ModelArgs, TextArgs, error, harmless, print, signals};
use crate::control::Stopped;
use crate::engine::{Ablation, How, Over, ablate};
use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Parts that are printed.
const SHOWN: usize = 10;
const HELP: &str = "\
Files in DIR:
  ablate.csv  layer,part,index,how,sites,loss_change,kl,target_logit_change,target_logprob_change,
              logit_difference_change,flips
Ctrl-c writes the parts that are done and ends with status 130. The parts that matter most go to stdout.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Parts {
    Experts,
    Heads,
    Attn,
    Mlp,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Change {
    Zero,
    Ban,
    Mean,
}

/// Edit every expert, head or block in turn and measure what each does.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Ablate {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    chat: ChatArgs,
    /// The parts.
    #[arg(long, value_enum)]
    over: Parts,
    /// What is done to a part: its output is zero; it can't be chosen (experts only); its output is its mean over the prompt.
    #[arg(long, value_enum, default_value = "zero")]
    how: Change,
    #[command(flatten)]
    target: TargetArgs,
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

impl Ablate {
    pub fn main(self) -> Result<()> {
        let over = match self.over {
            Parts::Experts => Over::Experts,
            Parts::Heads => Over::Heads,
            Parts::Attn => Over::Attn,
            Parts::Mlp => Over::Mlp,
        };
        let how = match self.how {
            Change::Zero => How::Zero,
            Change::Ban => How::Ban,
            Change::Mean => How::Mean,
        };
        if how == How::Ban && over != Over::Experts {
            let message = "--how ban: only experts are chosen, so only these can be banned; use zero or mean";
            return Err(error(ErrorKind::ArgumentConflict, message));
        }
        let prompt = self.prompt.need(&self.chat)?;
        self.model.check()?;
        let file = <AblationRow as crate::analysis::tables::Row>::TABLE.name;
        let _folder = Folder::prepare(&self.out, &[file.to_owned()], |_| Ok(Vec::new()), self.force)?;
        let (opened, ids) = Opened::for_prompt(&self.model, &prompt, self.quiet)?;
        let a = opened.baseline(&ids, None)?;
        let target = opened.target(&a, &self.target)?;
        let mut found: Vec<Ablation> = Vec::new();
        let work = Work::new(over.plural(), &opened.stderr);
        let done = work.run(|control| ablate(&a, (over, how), target, control, &mut |ablation| found.push(ablation)));
        found.sort_by_key(|ablation| (ablation.layer, ablation.index));
        let row =
            |found: &Ablation| AblationRow::new((found.layer, over.part(), found.index), how.name(), &found.measures);
        write_table(&self.out, self.text.of(), found.iter().map(row))?;
        opened.stderr.say(&format!("wrote {file} to {}", self.out.display()));
        print(&harmless(&report(found.clone(), target.foil.is_some())))?;
        match done {
            Err(failed) if failed.is::<Stopped>() => {
                Err(signals::interrupted(&format!("after {} {}", found.len(), over.plural())))
            }
            done => done,
        }
    }
}

/// The parts that matter most.
fn report(mut found: Vec<Ablation>, has_foil: bool) -> String {
    let size = |of: &Ablation| match has_foil {
        true => of.measures.logit_difference_change.unwrap_or(0.0).abs(),
        false => of.measures.target_logprob_change.abs(),
    };
    found.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let by = if has_foil { "the logit difference" } else { "the target's log-probability" };
    let mut out = format!("by the change of {by}, largest first:\n");
    let _ = writeln!(
        out,
        "{:<22} {:>6} {:>12} {:>9} {:>9} {:>9}",
        "edit",
        "sites",
        "loss change",
        "KL",
        if has_foil { "difference" } else { "target" },
        "flips"
    );
    for Ablation { edit, measures, .. } in found.iter().take(SHOWN) {
        let target = measures.logit_difference_change.unwrap_or(measures.target_logprob_change) + 0.0;
        let loss = measures.loss_change.map_or_else(String::new, |change| format!("{:+.4}", change + 0.0));
        let _ = writeln!(
            out,
            "{:<22} {:>6} {loss:>12} {:>9.4} {target:>+9.4} {:>9}",
            edit.to_string(),
            measures.sites,
            measures.kl,
            measures.flips
        );
    }
    out
}
