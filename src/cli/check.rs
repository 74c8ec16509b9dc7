//! `mixscope check`: whether a model is what its config says, and whether all its weights are numbers.

use super::teller::Teller;
use super::{ModelArgs, apply_threads, harmless, print, report_text};
use crate::model::{FINITE, scan, scanned_on_opening};
use crate::trace::{Level, Report};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use std::sync::Mutex;

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Nothing on stderr but errors.
    #[arg(short, long)]
    quiet: bool,
}

impl Check {
    pub fn main(self) -> Result<()> {
        apply_threads(self.model.threads)?;
        let mut tell = Teller::new(self.quiet);
        let loaded = match self.model.open(false, &mut tell) {
            Ok(loaded) => loaded,
            Err(error) => {
                if self.json {
                    let found = json!({"model": self.model.model, "verdict": "refused", "error": format!("{error:#}")});
                    print(&format!("{}\n", serde_json::to_string_pretty(&found)?))?;
                }
                return Err(error);
            }
        };
        let mut report = loaded.meta.report.clone();
        if !scanned_on_opening(&loaded.store) {
            let total = loaded.meta.weight_bytes;
            let shared = Mutex::new(&mut tell);
            let mut found = Report::default();
            scan(&loaded.store, &mut found, &|| false, &|done| {
                // Whoever holds it is telling already.
                if let Ok(mut tell) = shared.try_lock() {
                    tell.scanned(done, total);
                }
            });
            report
                .findings
                .retain(|finding| !(finding.subject == "weights" && finding.found.starts_with("not scanned")));
            report.findings.extend(found.findings);
        }
        tell.clear();
        let bad = report.findings.iter().filter(|finding| finding.expected == FINITE).count();
        let warnings = report.of(Level::Warn).count();
        let verdict = match (bad, warnings) {
            (0, 0) => "sound: config, tensors and tokenizer agree, and all weights are finite numbers".to_owned(),
            (0, 1) => "runs, with 1 warning".to_owned(),
            (0, n) => format!("runs, with {n} warnings"),
            _ => "broken: not all weights are finite numbers".to_owned(),
        };
        if self.json {
            let found = json!({"model": loaded.meta.name, "verdict": verdict, "ok": bad == 0, "validation": report});
            print(&format!("{}\n", serde_json::to_string_pretty(&found)?))?;
        } else {
            print(&harmless(&format!("{}\n{}{verdict}\n", loaded.meta.title, report_text(&report))))?;
        }
        if bad > 0 {
            bail!("{} failed the check: {verdict}", loaded.meta.name);
        }
        Ok(())
    }
}
