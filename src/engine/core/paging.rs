//! Where the weights of a model are: in memory, or only on disk.

use crate::engine::run::Run;
use crate::protocol::Memory;
use std::time::{Duration, Instant};

/// The share of the weights that is in memory is measured at most this often.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What was last reported of the weights.
#[derive(Default)]
pub struct Paging {
    memory: Memory,
    /// When the share in memory was last measured.
    measured: Option<Instant>,
    /// Experts found in memory, and not, since the model was opened.
    counted: (u64, u64),
}

impl Paging {
    /// Where the weights are after a pass; `None` if they are not in mapped files.
    pub fn after_pass(&mut self, run: &Run) -> Option<Memory> {
        let live = run.live()?;
        let (hits, misses) = counts(run);
        if hits + misses == 0 {
            return None;
        }
        if self.measured.is_none_or(|measured| measured.elapsed() >= MEASURE_EVERY) {
            self.measured = Some(Instant::now());
            let found = live.loaded().store.residency();
            self.memory.resident = found.resident as f32 / found.sampled.max(1) as f32;
        }
        (self.memory.hits, self.memory.misses) = (hits - self.counted.0, misses - self.counted.1);
        self.counted = (hits, misses);
        Some(self.memory)
    }

    /// Ignores the experts that were read for something other than the run.
    pub fn skip(&mut self, run: &Run) {
        self.counted = counts(run);
    }
}

/// Experts found in memory, and not, since the model was opened.
fn counts(run: &Run) -> (u64, u64) {
    run.live().map_or((0, 0), |live| live.loaded().model.paging().counts())
}
