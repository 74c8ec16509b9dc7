//! The pictures of a run.

use super::Watch;
use crate::analysis::view::{View, ViewData, ViewSpec};
use crate::analysis::{HeadStats, Pick};
use crate::engine::{Run, pattern};
use crate::export::{Look, picture};
use crate::trace::{HookKind, HookValues, LensCell, LensKey, Records, replace_file};
use anyhow::{Context, Result};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The name of the picture of a head.
pub fn name(layer: usize, head: usize) -> String {
    format!("attention-L{layer:02}H{head:02}.png")
}

/// The names of the pictures of heads in `folder`.
///
/// # Errors
/// If the folder can't be listed.
pub fn of_heads(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Only exact names: a picture with a similar name may be the user's own.
    let is_one = |file: &String| {
        let numbers = file.strip_prefix("attention-L").and_then(|file| file.strip_suffix(".png")?.split_once('H'));
        let Some((layer, head)) = numbers else { return false };
        layer.parse().is_ok_and(|layer| head.parse().is_ok_and(|head| *file == name(layer, head)))
    };
    Ok(names.filter(is_one).collect())
}

/// Up to four of `heads`: the one that looks most at the previous token, the one that looks most at the first token, the
/// best induction head, and the one with the lowest entropy.
pub(super) fn telling(run: &Run, heads: &[(usize, usize)], watch: Watch) -> Result<Vec<(usize, usize)>> {
    let ids: Vec<u32> = run.tokens().iter().map(|token| token.id).collect();
    let mut best: [Option<(f32, (usize, usize))>; 4] = [None; 4];
    for (i, (layer, head)) in heads.iter().enumerate() {
        watch.at("heads scored", i, heads.len())?;
        let pattern = pattern(run, *layer, *head)?;
        let stats = HeadStats::of(&pattern, &ids);
        let scores = [stats.previous, stats.first, stats.induction, Some(-stats.entropy)];
        for (best, score) in best.iter_mut().zip(scores) {
            if let Some(score) = score
                && best.is_none_or(|(so_far, _)| score > so_far)
            {
                *best = Some((score, (*layer, *head)));
            }
        }
    }
    let mut found: Vec<(usize, usize)> = best.into_iter().flatten().map(|(_, head)| head).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Which pictures can be drawn, apart from those of heads.
#[derive(Clone, Copy, Debug)]
pub struct Has {
    /// routing.png.
    pub routing: bool,
    /// lens.png.
    pub lens: bool,
}

/// Draws routing.png, lens.png and one picture per head; returns their names.
pub fn write(
    run: &Run,
    layers: &Range<usize>,
    heads: &[(usize, usize)],
    cells: Vec<(LensKey, Arc<LensCell>)>,
    has: Has,
    folder: &Path,
) -> Result<Vec<String>> {
    let mut data = ViewData { lens: cells, ..ViewData::of(restricted(run.records(), layers)) };
    let draw = |data: &ViewData, spec: &ViewSpec, name: &str| {
        let bytes = picture(data, spec, &Look::default()).with_context(|| format!("cannot draw {name}"))?;
        replace_file(&folder.join(name), |file| Ok(file.write_all(&bytes)?))
    };
    let mut names = Vec::new();
    for (is_there, kind, name) in
        [(has.routing, View::RoutingMap, "routing.png"), (has.lens, View::LensGrid, "lens.png")]
    {
        if is_there {
            draw(&data, &ViewSpec::new(kind), name)?;
            names.push(name.to_owned());
        }
    }
    for (layer, head) in heads {
        data.pattern = Some(pattern(run, *layer, *head)?);
        names.push(name(*layer, *head));
        let spec = ViewSpec { layer: *layer, head: Pick::One(*head), ..ViewSpec::new(View::AttentionHead) };
        draw(&data, &spec, &names[names.len() - 1])?;
    }
    Ok(names)
}

/// The run with the routing of `layers` only, as a trace file of these layers holds it.
fn restricted(mut trace: Records, layers: &Range<usize>) -> Records {
    let all = trace.meta.dims.layers;
    if *layers == (0..all) {
        return trace;
    }
    use HookKind as K;
    for token in &mut trace.tokens {
        let mut values = HookValues::new(all);
        for layer in layers.clone() {
            for kind in [K::RouterLogits, K::ExpertWeights, K::ExpertIndices, K::MixingWeights] {
                if let Some(row) = token.values.get(kind.at(layer)) {
                    values.insert(kind.at(layer), row.clone());
                }
            }
        }
        Arc::make_mut(token).values = Arc::new(values);
    }
    trace
}
