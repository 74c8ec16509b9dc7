//! Sweeps: a model reads a corpus, window by window, and what its routers did is counted.

mod corpus;
mod parts;
mod read;
mod recorded;
mod utf8;
mod windows;

pub use corpus::{Corpus, GroupBy, TextOptions};
pub use recorded::{recorded_sizes, sweep_recorded};

use crate::analysis::sweep::{CorpusAbout, Cursor, Reading, Sweep};
use crate::control::Control;
use crate::model::Loaded;
use anyhow::Result;
use read::read;
use std::time::{Duration, Instant};
use windows::Windows;

/// Windows that are read together: as many as take about this long.
const BATCH: Duration = Duration::from_secs(10);
/// The most windows that are read together.
const MOST: usize = 64;

/// How far a sweep is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SweepProgress {
    /// Bytes of the corpus that were read, and of the whole corpus; `None` if it is not known.
    pub bytes: (u64, Option<u64>),
    /// Tokens that the model read since the sweep began or continued.
    pub tokens: u64,
}

/// Receives what happens in a sweep.
pub trait SweepWatch {
    /// More was read.
    fn progress(&mut self, progress: SweepProgress);

    /// Everything up to `cursor` is counted.
    ///
    /// # Errors
    /// Ends the sweep.
    fn counted(&mut self, sweep: &Sweep, cursor: &Cursor) -> Result<()>;
}

/// Reads the corpus, or the shard of it that the sweep names, and counts it in `sweep`. `from` is where an earlier sweep
/// stopped whose counts `sweep` holds.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; `sweep` then holds everything up to the last cursor that
/// `watch` saw. If a text can't be read, is not the text that was read before `from`, or an activation is not finite.
pub fn sweep(
    loaded: &Loaded,
    corpus: &Corpus,
    sweep: &mut Sweep,
    from: Option<&Cursor>,
    watch: &mut dyn SweepWatch,
    control: &Control,
) -> Result<CorpusAbout> {
    let mut windows = Windows::new(loaded, corpus, sweep.about.options.window, sweep.about.shard, from)?;
    let mut progress = SweepProgress::default();
    let decode = sweep.about.options.decode;
    let mut most = rayon::current_num_threads().max(2);
    // The readings of the last batch are counted while the next one is read.
    let mut waiting: Option<(Vec<Reading>, Cursor)> = None;
    loop {
        let batch = windows.batch(most);
        let cursor = windows.cursor();
        let started = Instant::now();
        let last = waiting.take();
        let count = || {
            let (readings, cursor) = last?;
            readings.iter().for_each(|reading| sweep.add(reading));
            Some(cursor)
        };
        let (counted, readings) = rayon::join(count, || read(loaded, batch?, decode, control));
        if let Some(cursor) = counted {
            watch.counted(sweep, &cursor)?;
        }
        let readings = readings?;
        if readings.is_empty() {
            return Ok(windows.about());
        }
        progress.tokens += readings.iter().map(|reading| (reading.ids.len() - reading.from) as u64).sum::<u64>();
        progress.bytes = windows.bytes();
        watch.progress(progress);
        let each = started.elapsed().as_secs_f64() / readings.len() as f64;
        most = ((BATCH.as_secs_f64() / each.max(1e-9)) as usize).clamp(1, MOST);
        waiting = Some((readings, cursor));
    }
}
