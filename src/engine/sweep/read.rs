//! How the model reads windows.

use super::windows::Window;
use crate::analysis::sweep::{LayerReading, Phase, Reading};
use crate::control::Control;
use crate::model::{Distribution, Hooks, Loaded, Pass};
use crate::trace::{Hook, HookKind as K};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::mem::take;
use std::ops::Range;

/// Positions whose logits are in memory together.
const LOGITS: usize = 64;
/// A model is small if a token touches at most this many bytes of weights, which a processor's cache keeps.
const SMALL: u64 = 64 << 20;

/// What the model does with each window. Windows of a small model are read next to each other; a large one reads a layer of
/// all windows before the next, so that its weights are read once for all of them. The readings are the same.
///
/// With `decode`, so many tokens are generated after each window, greedily, unless the text ends before.
pub fn read(loaded: &Loaded, windows: Vec<Window>, decode: usize, control: &Control) -> Result<Vec<Reading>> {
    let one = |window| {
        if decode > 0 {
            generate(loaded, window, decode, control)
        } else {
            read_together(loaded, vec![window], control)
        }
    };
    if loaded.meta.touched_bytes > SMALL {
        return match decode {
            0 => read_together(loaded, windows, control),
            _ => Ok(windows.into_iter().map(one).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()),
        };
    }
    let each = windows.into_par_iter().map(one);
    Ok(each.collect::<Result<Vec<Vec<Reading>>>>()?.into_iter().flatten().collect())
}

struct Arm<'m> {
    window: Window,
    pass: Pass<'m>,
    resid: Vec<f32>,
    watch: Watch,
}

fn read_together(loaded: &Loaded, windows: Vec<Window>, control: &Control) -> Result<Vec<Reading>> {
    let (model, dims, precision) = (&loaded.model, loaded.meta.dims, loaded.precision());
    let quiet = control.quiet();
    // A layer needs no keys and values but its own.
    let mut scratch = model.new_cache();
    let begin = |window: Window| {
        let mut watch = Watch::new(loaded);
        let (pass, resid) = model.begin(&window.ids, &scratch, precision, &mut watch)?;
        Ok(Arm { window, pass, resid, watch })
    };
    let mut arms = windows.into_iter().map(begin).collect::<Result<Vec<Arm>>>()?;
    for layer in 0..dims.layers {
        for arm in &mut arms {
            let resid = take(&mut arm.resid);
            let read = arm.pass.layer(layer, resid, &mut scratch, &mut arm.watch, &quiet);
            arm.resid = read.with_context(|| named(&arm.window))?;
            scratch.truncate(0);
        }
    }
    arms.into_iter().map(|arm| finish(arm, dims.vocab, &quiet)).collect()
}

/// A window, and as a second reading the tokens that the model generates after it.
fn generate(loaded: &Loaded, window: Window, decode: usize, control: &Control) -> Result<Vec<Reading>> {
    let (model, meta, quiet) = (&loaded.model, &loaded.meta, control.quiet());
    let (precision, mut cache) = (loaded.precision(), model.new_cache());
    let (name, n) = (named(&window), window.ids.len());
    let mut watch = Watch::new(loaded);
    let (pass, mut resid) = model.begin(&window.ids, &cache, precision, &mut watch)?;
    for layer in 0..meta.dims.layers {
        resid = pass.layer(layer, resid, &mut cache, &mut watch, &quiet).with_context(|| name.clone())?;
    }
    let watched = Watch { layers: watch.layers.clone(), ..watch };
    let (prompt, pass) = finish_keeping(Arm { window, pass, resid, watch }, meta.dims.vocab, &quiet)?;
    pass.end(&mut cache);
    let mut watch = watched;
    let (mut ids, mut predicted) = (prompt.ids.clone(), prompt.predicted.clone());
    while ids.len() < n + decode && ids.len() < meta.dims.context {
        let Some(id) = predicted.last().copied() else { break };
        ids.push(id);
        let logits = model.forward(&[id], &mut cache, precision, &mut watch, &quiet).with_context(|| name.clone())?;
        ensure!(logits.iter().all(|x| x.is_finite()), "{name}: NaN or infinity in `{}`", K::Logits.at(0));
        predicted.push(Distribution::of(&logits).top(1)[0] as u32);
        if meta.eos.contains(&id) {
            break;
        }
    }
    let generated = Reading {
        phase: Phase::Decode,
        from: n,
        ids,
        predicted,
        // A token that the model chose says nothing about how well it predicts.
        nll: Vec::new(),
        layers: watch.layers,
        ..prompt.clone()
    };
    Ok(if generated.ids.len() > n { vec![prompt, generated] } else { vec![prompt] })
}

/// The reading, once all layers were read.
fn finish(arm: Arm, vocab: usize, control: &Control) -> Result<Reading> {
    Ok(finish_keeping(arm, vocab, control)?.0)
}

fn finish_keeping<'m>(arm: Arm<'m>, vocab: usize, control: &Control) -> Result<(Reading, Pass<'m>)> {
    let Arm { window, pass, resid, mut watch } = arm;
    let n = window.ids.len();
    let (mut predicted, mut nll) = (Vec::with_capacity(n), vec![0.0]);
    let outputs = pass.outputs(&resid, &mut watch, control)?;
    for from in (0..n).step_by(LOGITS) {
        let rows = from..(from + LOGITS).min(n);
        let logits = outputs.logits(rows.clone())?;
        let bad = logits.iter().position(|x| !x.is_finite());
        let at = from + bad.unwrap_or(0) / vocab;
        ensure!(bad.is_none(), "{}: NaN or infinity in `{}` at position {at}", named(&window), K::Logits.at(0));
        let of = |(row, pos): (&[f32], usize)| {
            let next = Distribution::of(row);
            let loss = window.ids.get(pos + 1).map(|id| -next.log_prob(*id as usize) as f32);
            (next.top(1)[0] as u32, loss)
        };
        let rows: Vec<(&[f32], usize)> = logits.chunks_exact(vocab).zip(rows).collect();
        for (best, loss) in rows.into_par_iter().map(of).collect::<Vec<_>>() {
            predicted.push(best);
            nll.extend(loss);
        }
    }
    let reading = Reading {
        group: window.group,
        place: window.place,
        is_first_part: window.is_first_part,
        phase: Phase::Prefill,
        ids: window.ids,
        from: 0,
        predicted,
        nll,
        layers: watch.layers,
    };
    Ok((reading, pass))
}

fn named(window: &Window) -> String {
    format!("window {} of part {} of the corpus, in `{}`", window.place.window, window.place.part, window.group)
}

/// Keeps what the routers did.
struct Watch {
    layers: Vec<LayerReading>,
    d_model: usize,
}

impl Watch {
    fn new(loaded: &Loaded) -> Self {
        let dims = loaded.meta.dims;
        Self { layers: vec![LayerReading::default(); dims.layers], d_model: dims.d_model }
    }
}

impl Hooks for Watch {
    fn wants(&self, hook: Hook) -> bool {
        matches!(hook.kind, K::RouterLogits | K::ExpertWeights | K::ExpertIndices | K::MixingWeights | K::ExpertOut)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        let layer = &mut self.layers[hook.layer as usize];
        let bad = value.iter().position(|x| !x.is_finite());
        let at = positions.start + bad.unwrap_or(0) / (value.len() / positions.len().max(1)).max(1);
        ensure!(bad.is_none(), "NaN or infinity in `{hook}` at position {at}");
        match hook.kind {
            K::RouterLogits => layer.logits.extend_from_slice(value),
            K::ExpertWeights => layer.probs.extend_from_slice(value),
            K::MixingWeights => layer.weights.extend_from_slice(value),
            _ => {
                for output in value.chunks_exact(self.d_model) {
                    layer.norms.push(norm(output));
                    layer.largest.push(output.iter().fold(0.0, |most, x| x.abs().max(most)));
                }
            }
        }
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.layers[hook.layer as usize].chosen.extend_from_slice(ids);
        Ok(())
    }
}

/// The L2 norm, in lanes of a fixed number, so that it is the same on every machine.
fn norm(values: &[f32]) -> f64 {
    let (lanes, rest) = values.as_chunks::<8>();
    let mut sums = [0f64; 8];
    for lane in lanes {
        for (sum, x) in sums.iter_mut().zip(lane) {
            *sum += f64::from(*x) * f64::from(*x);
        }
    }
    let tail: f64 = rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    (sums.iter().sum::<f64>() + tail).sqrt()
}
