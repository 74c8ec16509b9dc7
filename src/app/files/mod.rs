//! A run as a folder of files, as `mixscope run` and the explorer write it.

mod fields;
mod pictures;
mod tables;

pub use fields::{Fields, capture};
pub use pictures::{name as picture_name, of_heads as pictures_of_heads};
pub use tables::TABLES;

use crate::analysis::routing::TokenRouting;
use crate::analysis::tables::TokenText;
use crate::control::{Control, Stopped};
use crate::engine::{Run, lens_cells};
use crate::trace::Prompt;
use crate::trace::{HookKind, LensCell, LensKey, LensSite, Meta, Sampling, TracePlan, size};
use anyhow::Result;
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Cells of the lens that are computed together.
const LENS_TOGETHER: usize = 480;

/// Name of the trace in the folder.
pub const TRACE: &str = "trace.safetensors";
/// Patterns larger than this are left out of a trace unless they are requested, bytes.
pub const PATTERN_LIMIT: usize = 256 << 20;

/// Receives messages while files are written.
pub trait Reporter {
    /// Shows a sentence permanently.
    fn say(&self, text: &str);

    /// Shows how many of the things called `what` are done.
    fn progress(&self, what: &str, done: usize, total: usize);
}

/// The control of the writing and the receiver of its progress.
#[derive(Clone, Copy)]
struct Watch<'a> {
    control: &'a Control<'a>,
    reporter: &'a dyn Reporter,
}

impl Watch<'_> {
    /// Reports that `done` of `total` are done and that the next one begins.
    fn at(&self, what: &str, done: usize, total: usize) -> Result<(), Stopped> {
        self.reporter.progress(what, done, total);
        self.control.check()
    }
}

/// The files to write of a run.
pub struct RunFiles {
    /// Whether tables are written.
    pub csv: bool,
    /// Whether pictures are written.
    pub png: bool,
    /// The fields of the trace; `None` writes no trace.
    pub trace: Option<Fields>,
    /// The layers in all files.
    pub layers: Range<usize>,
    /// (layer, head) of attention.csv and the pictures; `None` = all in the table, and a few characteristic ones as
    /// pictures.
    pub heads: Option<Vec<(usize, usize)>>,
    /// Tokens of each lens cell and position.
    pub lens_k: usize,
    /// Whether attribution.csv is written.
    pub attribution: bool,
    /// How token texts are written in tables.
    pub text: TokenText,
    /// Whether files are left out if the run lacks their numbers, and a large attention.csv holds only a few
    /// characteristic heads. If false, missing numbers are an error, and a large table is written whole after a
    /// message.
    pub lenient: bool,
}

/// Facts about the written files that don't follow from the options.
#[derive(Debug, Default)]
pub struct Written {
    /// Names of the pictures of heads.
    pub pictures: Vec<String>,
    /// Which files were left out or shortened, and why.
    pub notes: Vec<String>,
}

impl RunFiles {
    /// All files of a run, with the `lens_k` best tokens of each lens cell and position.
    pub fn all(meta: &Meta, lens_k: usize) -> Self {
        Self {
            csv: true,
            png: true,
            trace: Some(Fields::all()),
            layers: 0..meta.dims.layers,
            heads: None,
            lens_k,
            attribution: false,
            text: TokenText::default(),
            lenient: true,
        }
    }

    /// Writes the files into `folder`.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if a file can't be written, or the run does not
    /// hold what it is made of.
    pub fn write(
        &self,
        run: &Run,
        provenance: &Value,
        folder: &Path,
        control: &Control,
        reporter: &dyn Reporter,
    ) -> Result<Written> {
        let watch = Watch { control, reporter };
        let mut written = Written::default();
        let keeps_lens = self.trace.as_ref().is_some_and(|fields| fields.lens);
        let cells = if self.csv || self.png || keeps_lens { self.lens(run, watch)? } else { Vec::new() };
        let heads = self.heads.clone().unwrap_or_else(|| self.all_heads(run.meta()));
        if self.csv {
            self.tables(run, &cells, &heads, folder, &mut written, watch)?;
        }
        if let Some(fields) = &self.trace {
            let keep = |kind: HookKind, layer: usize| {
                fields.hooks.contains(&kind) && (kind.is_global() || self.layers.contains(&layer))
            };
            let lens = if fields.lens { &cells[..] } else { &[] };
            let trace = run.records();
            let candidates = fields.candidates && !trace.tokens.iter().any(|token| token.next.is_absent());
            let plan = TracePlan::new(&trace, provenance, candidates, lens, keep)?;
            reporter.say(&format!("{TRACE}: {} ({})", size(plan.size()), fields.describe()));
            plan.write(&folder.join(TRACE))?;
        }
        if self.png {
            control.check()?;
            let heads = match &self.heads {
                Some(heads) => heads.clone(),
                None => pictures::telling(run, &heads, watch)?,
            };
            let has = pictures::Has {
                routing: !self.lenient || self.has_routing(run),
                lens: !self.lenient || cells.iter().any(|(key, _)| key.site == LensSite::ResidPost),
            };
            written.pictures = pictures::write(run, &self.layers, &heads, cells, has, folder)?;
        }
        Ok(written)
    }

    fn has_routing(&self, run: &Run) -> bool {
        let first = run.tokens().first();
        let mut layers = self.routed(run).peekable();
        layers.peek().is_some()
            && first.is_some_and(|token| layers.all(|layer| TokenRouting::of(token, layer).is_some()))
    }

    /// The layers with a router.
    fn routed(&self, run: &Run) -> impl Iterator<Item = usize> {
        let dims = run.meta().dims;
        self.layers.clone().filter(move |layer| dims.has_router(*layer))
    }

    /// All heads of the layers with attention in the run.
    fn all_heads(&self, meta: &Meta) -> Vec<(usize, usize)> {
        let layers = self.layers.clone().filter(|layer| !self.lenient || meta.has_attention(*layer));
        layers.flat_map(|layer| (0..meta.dims.heads).map(move |head| (layer, head))).collect()
    }

    fn lens(&self, run: &Run, watch: Watch) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
        let n = run.tokens().len();
        let sites = [LensSite::ResidMid, LensSite::ResidPost];
        // Several positions at a time, because each reads the whole unembedding.
        let together = (LENS_TOGETHER / (sites.len() * self.layers.len()).max(1)).max(1);
        let mut cells = Vec::new();
        for first in (0..n).step_by(together) {
            watch.at("lens positions", first, n)?;
            let positions = first..(first + together).min(n);
            let keys: Vec<LensKey> = positions
                .flat_map(|pos| {
                    self.layers.clone().flat_map(move |layer| sites.map(|site| LensKey { pos, layer, site }))
                })
                .collect();
            cells.extend(lens_cells(run, &keys, self.lens_k, watch.control)?);
        }
        Ok(cells)
    }
}

/// The provenance of a run, for its trace.
pub fn provenance(meta: &Meta, prompt: Option<&Prompt>, sampling: &Sampling) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    if let Some(saved) = &meta.recording {
        // The trace still names the program that made the run.
        let mut made = saved.provenance.clone();
        if let Value::Object(made) = &mut made {
            made.insert("exported_by".to_owned(), json!(format!("mixscope {version}")));
        }
        return made;
    }
    let (text, chat) = match prompt {
        Some(Prompt::Text(text)) => (Some(text), false),
        Some(Prompt::Chat(text)) => (Some(text), true),
        Some(Prompt::Ids(_)) | None => (None, false),
    };
    json!({
        "engine": "mixscope", "version": version, "device": meta.device, "title": meta.title,
        "precision": meta.policy, "compute_dtype": meta.activation_dtype(), "router_dtype": meta.router_dtype(), "weights_dtype": meta.weights_dtype,
        "prompt": text, "chat": chat, "sampling": sampling,
    })
}
