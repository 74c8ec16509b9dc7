//! `mixscope lab`: one prompt under several precision policies, as text and files.

mod text;

use super::edits::{EditArgs, loaded as load_edits};
use super::experiments::setup::{Opened, ms, text_of};
use super::folder::Folder;
use super::values::{self, context_warning};
use super::{ChatArgs, ModelArgs, PromptArgs, TextArgs, error, harmless, print};
use crate::analysis::Lab as Found;
use crate::app::files::Reporter;
use crate::control::Control;
use crate::engine::{lab, lab_policies};
use crate::export::{LAB_TABLES, LabInfo, Look, PictureFormat, lab_json, lab_picture, lab_tables};
use crate::trace::Prompt;
use crate::trace::{Policy, replace_file};
use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use text::lab_text;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Format {
    Csv,
    Json,
    Png,
    Svg,
    Pdf,
}

const FILES: &str = "\
Policies:
{policies}
Each is compared with the base: end to end, and each layer alone, fed the base's input of that
layer, so that differences don't accumulate. A flip is a token whose set of experts differs. It is
within rounding if the margin between the last chosen and the first rejected expert is at most 4
ulp (units in the last place) of the coarser dtype; near_ties counts these. In an exact tie the
scores are equal, and only the order in which a program looks at them decides. Equal values are
equal bit for bit.

Files in DIR (CSV: UTF-8, header row, RFC 4180, floats in the fewest digits that give them back):
  lab.csv         policy,mean_loss,loss_change,
                  flips,near_ties,attn_out,router_logits,mlp_out,resid_post (end to end),
                  isolated_flips,isolated_near_ties,isolated_attn_out,… (each layer alone),
                  choices,differs_at,token_id,token,base_token_id,base_token,text,base_text
                  attn_out to resid_post: shares of equal values; differs_at: the first generated
                  token that differs from the base's, from 0
  lab_layers.csv  policy,mode,layer,flips,choices,near_ties,
                  attn_out_equal,attn_out_values,router_logits_equal,router_logits_values,…
                  mode: end_to_end or isolated
  lab_flips.csv   policy,layer,position,token_id,token,margin_base,margin,left,came,exact_tie,text
                  end to end; left, came: experts that only the base, that only the policy chose
  lab_tokens.csv  policy,position,token_id,token,nll,text
  lab.json        everything, with version, model, config, prompt, generated texts, timings and
                  validation
  lab.png, .svg, .pdf  flips and equal values by policy and layer, and the losses
Read tables with pandas.read_csv(FILE, keep_default_na=False): a token may be spelled NA or null.

The table goes to stdout, progress to stderr.";

#[derive(Args)]
#[command(after_help = files_and_policies())]
#[command(mut_arg("precision", as_base))]
pub struct Lab {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    chat: ChatArgs,
    #[command(flatten)]
    edits: EditArgs,
    /// Tokens to generate under each policy after the prompt, greedily.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = values::count)]
    steps: usize,
    /// Policies to compare with the base [default: all that differ from it and from each other on this model].
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    policies: Option<Vec<Policy>>,
    /// Folder for the files; created if it does not exist. Without it, the lab is only printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Files to write, with commas between them.
    #[arg(long, requires = "out", value_enum, value_delimiter = ',', default_values_t = [Format::Csv, Format::Json, Format::Png])]
    format: Vec<Format>,
    #[command(flatten)]
    text: TextArgs,
    /// Print the content of lab.json instead of text.
    #[arg(long)]
    json: bool,
    /// Overwrite files of an earlier lab.
    #[arg(long, requires = "out")]
    force: bool,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

/// `--precision` as `--base`: the policy under which the model is opened is the base.
fn as_base(precision: clap::Arg) -> clap::Arg {
    precision.long("base").alias("precision").value_name("POLICY").help("Precision policy to compare the others with")
}

fn files_and_policies() -> String {
    let policies: Vec<String> =
        Policy::all().map(|policy| format!("  {:<21}{}", policy.name(), policy.about())).collect();
    FILES.replace("{policies}", &(policies.join("\n") + "\n"))
}

impl Lab {
    pub fn main(self) -> Result<()> {
        let base = self.model.precision;
        if self.policies.as_ref().is_some_and(|asked| asked.iter().all(|policy| *policy == base)) {
            let message = format!("--policies: expected at least one other than the base {base}");
            return Err(error(ErrorKind::InvalidValue, message));
        }
        if self.text.spreadsheet_safe && (self.out.is_none() || !self.format.contains(&Format::Csv)) {
            let message = "--spreadsheet-safe: it applies to tables, which --out and --format csv write";
            return Err(error(ErrorKind::InvalidValue, message.to_owned()));
        }
        let prompt = self.prompt.need(&self.chat)?;
        let edits = self.edits.read()?;
        self.model.check()?;
        let files = self.files();
        let prepare = |out: &PathBuf| Folder::prepare(out, &files, |_| Ok(Vec::new()), self.force);
        let _folder = self.out.as_ref().map(prepare).transpose()?;
        let (opened, ids) = Opened::for_prompt(&self.model, &prompt, self.quiet)?;
        let Opened { loaded, stderr, took } = &opened;
        let mut timings = vec![("load", *took)];
        if let (Some(warning), false) = (loaded.prompt_warning(&ids), matches!(prompt, Prompt::Ids(_))) {
            stderr.say(&format!("warning: {warning}"));
        }
        if let Some(warning) = context_warning(loaded.meta.dims.context, ids.len(), self.steps) {
            stderr.say(&warning);
        }
        let edits = load_edits(edits, &loaded.meta, ids.len().saturating_add(self.steps))?;
        let (policies, left_out) = match &self.policies {
            Some(asked) => (asked.clone(), Vec::new()),
            None => lab_policies(&loaded.meta, base),
        };
        for policy in &policies {
            policy.check_on(loaded.meta.device)?;
        }

        let started = Instant::now();
        let progress = |done: usize, all: usize| stderr.progress("token-layers", done, all);
        let found = lab(
            loaded,
            &ids,
            self.steps,
            base,
            &policies,
            edits.as_ref().map(|edits| (edits, ids.len())),
            &Control::watched_by(&progress),
        )?;
        timings.push(("lab", ms(started)));

        let text = |tokens: Vec<u32>| {
            loaded.tokenizer.as_ref().map_or(Ok(String::new()), |tokenizer| tokenizer.decode(&tokens))
        };
        let generated = found.rows.iter().map(|row| text(row.generated.iter().map(|token| token.id).collect()));
        let generated = generated.collect::<Result<Vec<String>>>()?;
        let meta = &loaded.meta;
        let info = LabInfo {
            name: &meta.name,
            config: &meta.config,
            dims: meta.dims,
            weights_dtype: &meta.weights_dtype,
            device: meta.device,
            prompt: text_of(&prompt),
            left_out: &left_out,
            edits: edits.iter().flat_map(|edits| edits.list()).map(ToString::to_string).collect(),
            generated: &generated,
            timings: &timings,
            report: &meta.report,
        };
        let json = lab_json(&found, &info)?;
        stderr.clear();
        if let Some(out) = &self.out {
            self.write(out, &found, &json)?;
            stderr.say(&format!("wrote {} to {}", files.join(", "), out.display()));
        }
        if self.json {
            return print(&String::from_utf8(json)?);
        }
        print(&harmless(&lab_text(&found, &left_out)))
    }

    /// Names of the files to write, by the options.
    fn files(&self) -> Vec<String> {
        let of = |format: &Format| match format {
            Format::Csv => LAB_TABLES.to_vec(),
            Format::Json => vec!["lab.json"],
            Format::Png => vec!["lab.png"],
            Format::Svg => vec!["lab.svg"],
            Format::Pdf => vec!["lab.pdf"],
        };
        let mut files: Vec<String> = self.format.iter().flat_map(of).map(str::to_owned).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    fn write(&self, out: &Path, found: &Found, json: &[u8]) -> Result<()> {
        let put = |name: &str, bytes: &[u8]| replace_file(&out.join(name), |file| Ok(file.write_all(bytes)?));
        let draw = |name: &str, format: PictureFormat| {
            let bytes = lab_picture(found, &Look::default(), format);
            put(name, &bytes.with_context(|| format!("cannot draw {name}"))?)
        };
        for format in &self.format {
            match format {
                Format::Csv => {
                    for (name, bytes) in lab_tables(found, self.text.of())? {
                        put(name, &bytes)?;
                    }
                }
                Format::Json => put("lab.json", json)?,
                Format::Png => draw("lab.png", PictureFormat::Png)?,
                Format::Svg => draw("lab.svg", PictureFormat::Svg)?,
                Format::Pdf => draw("lab.pdf", PictureFormat::Pdf)?,
            }
        }
        Ok(())
    }
}
