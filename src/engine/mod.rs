//! One named thread that owns the run: requests in, events out.
//!
//! Runs are computed one token at a time, so that values requested meanwhile are derived between tokens. A newer
//! request for a derived value replaces an older one of its kind. Cancellation is checked between layers. Whatever
//! happens in the thread, a panic included, is an event. Models are opened in a thread of their own, so that the
//! current model can be explored until the next is open.

mod bench;
mod collect;
mod compare;
mod core;
mod derive;
mod experiments;
mod formulas;
mod interrupts;
mod open;
mod operands;
mod panics;
mod run;
mod self_test;
mod sweep;
mod thread;

pub use self::core::{Branch, Core};
pub use bench::{Bench, Costs, bench};
pub use collect::collect;
pub use compare::{Fidelity, Guilt, Verdict, check_against, lab, lab_policies};
pub use derive::{
    HeadCache, Kept, Part, attribution, derive, distance, effect_map, head_rows, head_scores, lens_cells, model_shares,
    pattern, pattern_of, spell, tempered, trajectories, what_if,
};
pub use experiments::{
    Ablation, Baseline, EffectPlan, How, NoCounterpart, Over, PatchOver, PatchPlan, Patching, Target as EffectTarget,
    ablate, effect, measure, patch,
};
pub use open::{OpenOptions, Opened, Opener, Target, is_trace, open_model, open_target, trace_path};
#[cfg(feature = "hub")]
pub use open::{Remote, fetch, look_up};
pub use panics::failure_of;
pub use run::{Capture, Live, OnTokens, Replay, Run};
pub use self_test::{
    Agreement, Operation, RouterLoad, SelfTest, TRAINED, Text, TextLoss, Unreadable, self_test, texts,
};
pub use sweep::{Corpus, GroupBy, SweepProgress, SweepWatch, TextOptions, recorded_sizes, sweep, sweep_recorded};
pub use thread::Engine;

use crate::protocol::Event;

/// Name of the engine's thread.
pub const THREAD: &str = "mixscope-engine";

/// Receives what the engine reports.
type Emit<'a> = &'a (dyn Fn(Event) + Sync);
