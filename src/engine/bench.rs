//! What a token costs on this machine, and the least that it could cost: its weights have to be read once.

use super::run::{Capture, Live};
use crate::control::Control;
use crate::model::Loaded;
use crate::model::kernels::stream;
use crate::trace::{Device, Sampling, Source};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of the streaming read that is timed before and after every step; far more than any cache holds.
const STREAM: usize = 1 << 29;

/// What was measured. Times are medians.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// A streaming read of memory on all threads, bytes per second; `None` where the weights are not read there.
    pub bandwidth: Option<f64>,
    /// Bytes of the weights that a token touches.
    pub token_bytes: u64,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Decoding steps after the prompt.
    pub steps: usize,
    /// The costs with no hook kept.
    pub bare: Costs,
    /// The costs with the hooks of a default run kept.
    pub captured: Costs,
    /// How much longer a step takes with hooks kept than without, from steps measured in turn; 0.03 is 3 %.
    pub capture_overhead: f64,
}

/// What reading a prompt and decoding cost.
#[derive(Clone, Debug, Serialize)]
pub struct Costs {
    /// Tokens of the prompt per second.
    pub prefill_per_second: f64,
    /// One decoding step, ms.
    pub step_ms: f64,
    /// The streaming read's time for a token's weights as a share of the step's: 1 is the floor. `None` as `bandwidth`.
    pub of_floor: Option<f64>,
}

/// One arm of the measurement: a run with or without hooks, and its times.
struct Arm {
    live: Live,
    prefill: f64,
    steps: Vec<f64>,
    shares: Vec<f64>,
}

/// Reads a made-up prompt of `prompt` tokens and decodes `steps` more, with and without hooks in turn. Calls `warm`
/// after the weights were read once, before memory for the measurement is allocated.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) on cancellation, or if the context is too short.
pub fn bench(
    loaded: &Arc<Loaded>,
    (prompt, steps): (usize, usize),
    control: &Control,
    warm: &mut dyn FnMut(),
) -> Result<Bench> {
    let dims = loaded.meta.dims;
    ensure!(
        prompt > 0 && steps > 0 && prompt.saturating_add(steps) <= dims.context,
        "--prompt-tokens {prompt} and --steps {steps}: expected at least one of each and at most {} in all, the model's context",
        dims.context
    );
    let range = dims.vocab.saturating_sub(3).clamp(1, 4000);
    // A walk through the vocabulary: repetitions, but no period.
    let ids: Vec<u32> = (0..prompt).map(|i| ((3 + (i * i / 3 + 7 * i) % range) % dims.vocab) as u32).collect();
    let nothing = Capture::of([], 0..0, dims.layers);
    let captures = [nothing, Capture::for_views(dims.layers)];
    let live = |capture: &Capture| Live::new(loaded.clone(), capture.clone(), 64);
    // The first pass reads the weights from disk.
    for capture in &captures {
        live(capture).extend(&ids, Source::Prompt, control)?;
    }
    let mut arms = Vec::new();
    for capture in &captures {
        let mut live = live(capture);
        let started = Instant::now();
        live.extend(&ids, Source::Prompt, control)?;
        let prefill = prompt as f64 / started.elapsed().as_secs_f64();
        arms.push(Arm { live, prefill, steps: Vec::new(), shares: Vec::new() });
    }
    warm();
    let has_floor = loaded.meta.device == Device::Cpu;
    let words = if has_floor { words()? } else { Vec::new() };
    let read = || {
        let started = Instant::now();
        std::hint::black_box(stream(std::hint::black_box(&words)));
        has_floor.then(|| STREAM as f64 / started.elapsed().as_secs_f64())
    };
    read();
    let (mut bandwidths, mut overheads) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        for arm in &mut arms {
            control.check()?;
            let before = read();
            let started = Instant::now();
            arm.live.step(&Sampling::default(), control)?;
            let step = started.elapsed().as_secs_f64();
            arm.steps.push(step * 1e3);
            if let Some((before, after)) = before.zip(read()) {
                let bandwidth = f64::midpoint(before, after);
                bandwidths.push(bandwidth);
                arm.shares.push(loaded.meta.touched_bytes as f64 / bandwidth / step);
            }
        }
        if let [Some(bare), Some(captured)] = [0, 1].map(|i: usize| arms[i].steps.last()) {
            overheads.push(captured / bare - 1.0);
        }
    }
    let costs = |arm: &mut Arm| Costs {
        prefill_per_second: arm.prefill,
        step_ms: median(&mut arm.steps).unwrap_or(f64::NAN),
        of_floor: median(&mut arm.shares),
    };
    let [bare, captured] = [0, 1].map(|i: usize| costs(&mut arms[i]));
    Ok(Bench {
        bandwidth: median(&mut bandwidths),
        token_bytes: loaded.meta.touched_bytes,
        prompt,
        steps,
        bare,
        captured,
        capture_overhead: median(&mut overheads).unwrap_or(f64::NAN),
    })
}

/// What is read: as much as no cache holds.
fn words() -> Result<Vec<u64>> {
    let mut words = Vec::new();
    words.try_reserve_exact(STREAM / 8).context(
        "there is no memory for the streaming read that is timed (512 MiB); free some, or raise the limit (ulimit -v)",
    )?;
    words.resize(STREAM / 8, 1);
    Ok(words)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
