//! Sweeps of recorded routing, without a model.

use super::files::{self, Files};
use super::{Folder, Stderr, SweepCommand, harmless, print, signals};
use crate::analysis::sweep::{About, CorpusAbout, ModelAbout, Shape, Shard, Sweep};
use crate::app::files::Reporter as _;
use crate::control::{Control, Stopped};
use crate::engine::{Corpus, recorded_sizes, sweep_recorded};
use crate::model::bare_piece;
use anyhow::Result;
use std::sync::atomic::Ordering::Relaxed;

/// Positions that are told apart, unless --window says otherwise: the context of OLMoE.
const WINDOW: usize = 4096;
/// No vocabulary is larger.
const VOCAB: usize = 1 << 22;
/// The model's name where none is known.
const NAME: &str = "recorded";

/// Counts recorded routing of a model with so many experts.
///
/// # Errors
/// If a file is no recorded routing, or the files can't be written.
pub fn count(
    command: &SweepCommand,
    corpus: &Corpus,
    shard: Option<Shard>,
    experts: usize,
    files: &Files,
) -> Result<()> {
    let (names, stderr) = (files.names(shard), Stderr::new(command.quiet));
    let (layers, top_k) = recorded_sizes(corpus)?;
    let _folder = Folder::prepare(&files.out, &names, |_| Ok(Vec::new()), command.force)?;
    let window = command.window.unwrap_or(WINDOW);
    let about = About {
        mixscope: env!("CARGO_PKG_VERSION").to_owned(),
        model: ModelAbout {
            name: NAME.to_owned(),
            hash: String::new(),
            precision: NAME.to_owned(),
            compute_dtype: NAME.to_owned(),
            near_tie_dtype: NAME.to_owned(),
            device: NAME.to_owned(),
            shape: Shape { layers, experts, top_k, vocab: VOCAB, window },
        },
        corpus: CorpusAbout::default(),
        options: command.options(window),
        shard,
        cursor: None,
    };
    let mut sweep = Sweep::new(about);
    let stopped = signals::finish_on_interrupt();
    let is_stopped = || stopped.load(Relaxed);
    sweep.about.corpus = sweep_recorded(corpus, &mut sweep, &Control::cancelled_by(&is_stopped)).map_err(|failed| {
        // Nothing is kept: counting again takes little time.
        if failed.is::<Stopped>() { signals::interrupted("before the end") } else { failed }
    })?;
    sweep.spell(bare_piece);
    files.write(&sweep, &stderr)?;
    stderr.say(&format!("wrote {} to {}", names.join(", "), files.out.display()));
    print(&harmless(&files::summary(&sweep)))
}
