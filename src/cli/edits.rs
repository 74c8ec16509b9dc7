//! Edits of the pass: from options and files.

use super::error;
use super::stderr::Stderr;
use crate::app::files::Reporter as _;
use crate::model::Edits;
use crate::trace::{Edit, Meta, Records, parse_edits};
use anyhow::{Context, Result};
use clap::Args;
use clap::error::ErrorKind;
use std::path::PathBuf;

#[derive(Args)]
pub struct EditArgs {
    /// Edit the pass: ban L3.E5, zero L5.H2, scale L3.E5 0.5, force L3.E1,E4, bias L3.E5 +1.0, topk L3 1, mean L5.H2,
    /// cut L5.H2 12->3, add L10.resid_post FILE:NAME 4.0, patch L4.resid_pre@7 FILE@3, replay L* FILE; @7, @7..12, @last,
    /// @prompt or @generated after the target limits it to these positions. May be given several times; edits apply in
    /// their order, those of --edits first.
    #[arg(long, value_name = "EDIT", value_parser = |text: &str| text.parse::<Edit>())]
    edit: Vec<Edit>,
    /// Edits from a file: one a line, # begins a comment; or JSON as in run.json, or EasySteer's layer_configs.
    #[arg(long, value_name = "FILE")]
    edits: Vec<PathBuf>,
}

impl EditArgs {
    /// The edits that the options give.
    ///
    /// # Errors
    /// If a file can't be read or holds something else.
    pub fn read(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for path in &self.edits {
            let name = path.display();
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the edits in {name}"))?;
            let found = parse_edits(&text).map_err(|found| wrong(&format!("--edits: {name}: {found:#}")))?;
            edits.extend(found);
        }
        edits.extend(self.edit.iter().cloned());
        Ok(edits)
    }
}

/// The edits of runs of up to `tokens` tokens of a model, with what their files hold; `None` if there is none.
///
/// # Errors
/// If the model or the run lacks what an edit names, or a file can't be read or does not fit.
pub fn loaded(edits: Vec<Edit>, meta: &Meta, tokens: usize) -> Result<Option<Edits>> {
    for edit in &edits {
        edit.check(meta.dims)
            .and_then(|()| edit.check_positions(tokens))
            .map_err(|found| wrong(&format!("{found:#}")))?;
    }
    let edits = Edits::new(edits, meta.dims)?;
    Ok((!edits.is_empty()).then_some(edits))
}

/// Reports how many places each edit changed.
pub fn report(run: &Records, stderr: &Stderr) {
    for note in run.edit_notes() {
        stderr.say(&match note.sites {
            0 => format!("{}: 0 sites: it changed nothing", note.edit),
            1 => format!("{}: 1 site (a token in a layer)", note.edit),
            sites => format!("{}: {sites} sites (a token in a layer each)", note.edit),
        });
    }
}

fn wrong(message: &str) -> anyhow::Error {
    error(ErrorKind::ValueValidation, message)
}
