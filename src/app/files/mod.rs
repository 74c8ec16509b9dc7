//! A run as a folder of files: what `mixscope run` writes, and the explorer on request.

mod attribution;
mod fields;
mod pictures;

pub use fields::{Fields, capture};
pub use pictures::{name as picture_name, of_heads as pictures_of_heads};

use crate::engine::{Run, need_model, pattern};
use crate::export::Text;
use crate::export::csv::{self, AttentionTable};
use crate::trace::protocol::Prompt;
use crate::trace::{HookKind, LensCell, LensKey, LensSite, Meta, Sampling, TracePlan, replace_file, size};
use anyhow::Result;
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Name of the trace in the folder.
pub const TRACE: &str = "trace.safetensors";
/// Names of the tables that are written by default.
pub const TABLES: [&str; 6] =
    ["tokens.csv", "routing.csv", "attention.csv", "lens.csv", "lens_summary.csv", "candidates.csv"];
/// Patterns larger than this are left out of a trace unless they are asked for, bytes.
pub const PATTERN_LIMIT: usize = 256 << 20;
/// A table of attention larger than this is worth a word before it is written, bytes.
const LARGE_TABLE: u64 = 64 << 20;
/// Bytes of a row of attention.csv, about.
const ATTENTION_ROW: u64 = 26;

/// Whoever is told how far the writing is.
pub trait Tell {
    /// A sentence that stays.
    fn say(&mut self, text: &str);

    /// How much of something is done.
    fn progress(&mut self, what: &str, done: usize, total: usize);
}

/// What is written of a run.
pub struct RunFiles {
    /// Whether tables are.
    pub csv: bool,
    /// Whether pictures are.
    pub png: bool,
    /// What the trace keeps; `None` writes none.
    pub trace: Option<Fields>,
    /// Layers of all files.
    pub layers: Range<usize>,
    /// (layer, head) of attention.csv and the pictures; `None` = all in the table, the telling ones as pictures.
    pub heads: Option<Vec<(usize, usize)>>,
    /// Tokens of each lens cell and position.
    pub lens_k: usize,
    /// Whether attribution.csv is written.
    pub attribution: bool,
    /// How token texts are written in tables.
    pub text: Text,
}

impl RunFiles {
    /// Everything of a run, with the `lens_k` best tokens where there are many.
    pub fn all(meta: &Meta, lens_k: usize) -> Self {
        Self {
            csv: true,
            png: true,
            trace: Some(Fields::all()),
            layers: 0..meta.dims.layers,
            heads: None,
            lens_k,
            attribution: false,
            text: Text::default(),
        }
    }

    /// Writes the files into `folder`; returns the names of the pictures of heads.
    ///
    /// # Errors
    /// If a file can't be written, or the run does not hold what it is made of.
    pub fn write(&self, run: &dyn Run, provenance: &Value, folder: &Path, tell: &mut dyn Tell) -> Result<Vec<String>> {
        let keeps_lens = self.trace.as_ref().is_some_and(|fields| fields.lens);
        let cells = if self.csv || self.png || keeps_lens { self.lens(run, tell)? } else { Vec::new() };
        if self.csv {
            self.tables(run, &cells, folder, tell)?;
        }
        if let Some(fields) = &self.trace {
            let keep = |kind: HookKind, layer: usize| {
                fields.hooks.contains(&kind) && (kind.is_global() || self.layers.contains(&layer))
            };
            let lens = if fields.lens { &cells[..] } else { &[] };
            let trace = run.trace();
            let plan = TracePlan::new(&trace, provenance, fields.candidates, lens, keep)?;
            tell.say(&format!("{TRACE}: {} ({})", size(plan.size()), fields.describe()));
            plan.write(&folder.join(TRACE))?;
        }
        if self.png {
            let heads = match &self.heads {
                Some(heads) => heads.clone(),
                None => pictures::telling(run, &self.all_heads(run.meta()), tell)?,
            };
            return pictures::write(run, &self.layers, &heads, cells, folder);
        }
        Ok(Vec::new())
    }

    fn all_heads(&self, meta: &Meta) -> Vec<(usize, usize)> {
        self.layers.clone().flat_map(|layer| (0..meta.dims.heads).map(move |head| (layer, head))).collect()
    }

    fn tables(
        &self,
        run: &dyn Run,
        cells: &[(LensKey, Arc<LensCell>)],
        folder: &Path,
        tell: &mut dyn Tell,
    ) -> Result<()> {
        let (trace, text) = (run.trace(), self.text);
        table(folder, "tokens.csv", |out| csv::tokens(&trace, text, out))?;
        table(folder, "routing.csv", |out| csv::routing(&trace, self.layers.clone(), out))?;
        table(folder, "candidates.csv", |out| csv::candidates(&trace, self.lens_k, text, out))?;
        let heads = self.heads.clone().unwrap_or_else(|| self.all_heads(run.meta()));
        let n = trace.tokens.len() as u64;
        let bytes = (n * (n + 1) / 2).saturating_mul(heads.len() as u64 * ATTENTION_ROW);
        if bytes > LARGE_TABLE {
            let count = heads.len();
            tell.say(&format!("attention.csv: about {} for {count} heads; --heads and --layers choose", size(bytes)));
        }
        table(folder, "attention.csv", |out| {
            let mut attention = AttentionTable::new(out)?;
            for (i, (layer, head)) in heads.iter().enumerate() {
                tell.progress("heads", i, heads.len());
                attention.head(*layer, *head, &pattern(run, *layer, *head)?)?;
            }
            attention.finish()
        })?;
        let pairs = || cells.iter().map(|(key, cell)| (key, &**cell));
        table(folder, "lens.csv", |out| csv::lens(pairs(), text, out))?;
        table(folder, "lens_summary.csv", |out| csv::lens_summary(pairs(), out))?;
        if self.attribution {
            let session = need_model(run)?;
            table(folder, "attribution.csv", |out| attribution::write(session, &self.layers, text, out, tell))?;
        }
        Ok(())
    }

    fn lens(&self, run: &dyn Run, tell: &mut dyn Tell) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
        let n = run.tokens().len();
        let mut cells = Vec::new();
        for pos in 0..n {
            tell.progress("lens positions", pos, n);
            let sites = [LensSite::ResidMid, LensSite::ResidPost];
            let keys: Vec<LensKey> =
                self.layers.clone().flat_map(|layer| sites.map(|site| LensKey { pos, layer, site })).collect();
            cells.extend(run.lens_cells(&keys, self.lens_k, &|| false)?);
        }
        Ok(cells)
    }
}

/// How a run was made, for its trace.
pub fn provenance(meta: &Meta, prompt: Option<&Prompt>, sampling: &Sampling) -> Value {
    let (text, chat) = match prompt {
        Some(Prompt::Text(text)) => (Some(text), false),
        Some(Prompt::Chat(text)) => (Some(text), true),
        Some(Prompt::Ids(_)) | None => (None, false),
    };
    json!({
        "engine": "mixscope", "version": env!("CARGO_PKG_VERSION"), "device": "cpu", "title": meta.title,
        "precision": meta.policy, "compute_dtype": meta.compute_dtype, "weights_dtype": meta.weights_dtype,
        "prompt": text, "chat": chat, "sampling": sampling,
    })
}

fn table(folder: &Path, name: &str, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    replace_file(&folder.join(name), |file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        fill(&mut out)?;
        Ok(out.flush()?)
    })
}
