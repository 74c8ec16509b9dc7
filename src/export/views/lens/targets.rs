//! One position by layer: probability and rank of the targets, or KL or entropy.

use super::{Place, places};
use crate::analysis::tables::{self, TokenText, lens_summary, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{LensMeasure, Trajectory};
use crate::export::figure::font::label;
use crate::export::figure::{Axis, Figure, Lines, Panel, Scale, Series, Shared, Turn};
use crate::export::views::Files;
use crate::export::views::labels::{record, subtitle, token_name};
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::sync::Arc;

pub const FILES: Files = Files { figure, table };

fn step_label((layer, site): &Place) -> String {
    match site {
        LensSite::ResidMid => format!("{layer} mid"),
        LensSite::ResidPost => layer.to_string(),
    }
}

/// One position by layer: probability and rank of the targets, or KL or entropy.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let token = token_name(record(data, spec.pos)?, spec.pos);
    let (what, steps, panels) = match spec.lens {
        LensMeasure::Top | LensMeasure::Rank => ("targets", residuals(data)?, curves(data)?),
        measure => (measure.quantity(), places(of_position(data, spec)), vec![nats(data, spec)?]),
    };
    let labels: Vec<String> = steps.iter().map(step_label).collect();
    let plot = ((steps.len() as f64 * 34.0).clamp(420.0, 1600.0), 240.0);
    let lines = |(caption, y, scale, series): Curves| {
        let x = Axis { name: "layer (mid: after attention)".to_owned(), labels: labels.clone(), turn: Turn::Flat };
        Panel::Lines(Lines { caption, x, y, scale, series, plot, shared: Shared::default() })
    };
    Ok(Figure {
        title: format!("Logit lens at {token}: {what}, by layer"),
        subtitle: subtitle(&data.trace),
        legends: Vec::new(),
        panels: panels.into_iter().map(lines).collect(),
        across: 1,
        notes: Vec::new(),
    })
}

/// Caption, name of the values, their scale, and the lines of one panel.
type Curves = (String, String, Scale, Vec<Series>);

/// The residuals of the targets' trajectories.
fn residuals(data: &ViewData) -> Result<Vec<Place>> {
    ensure!(!data.trajectories.is_empty(), "no trajectory of a target is in this run");
    let points = data.trajectories.iter().flat_map(|way| way.points.iter().map(|point| (point.0, point.1)));
    Ok(Vec::from_iter(points.collect::<BTreeSet<Place>>()))
}

fn curves(data: &ViewData) -> Result<Vec<Curves>> {
    let steps = residuals(data)?;
    let series = |value: fn(u32, f32) -> f64| {
        let of = |way: &Arc<Trajectory>| {
            let mut points = vec![f64::NAN; steps.len()];
            for (layer, site, rank, prob) in &way.points {
                if let Ok(at) = steps.binary_search(&(*layer, *site)) {
                    points[at] = value(*rank, *prob);
                }
            }
            Series { label: label(&way.piece), points }
        };
        data.trajectories.iter().map(of).collect::<Vec<_>>()
    };
    let worst = data.trajectories.iter().flat_map(|way| way.points.iter().map(|point| point.2)).max().unwrap_or(1);
    let (probs, ranks) = (series(|_, prob| f64::from(prob)), series(|rank, _| f64::from(rank)));
    let scale = Scale::Ranks(f64::from(worst.max(10)));
    Ok(vec![
        ("probability".to_owned(), "probability".to_owned(), Scale::Linear(1.0), probs),
        ("rank (1 = best), logarithmic".to_owned(), "rank".to_owned(), scale, ranks),
    ])
}

fn of_position<'a>(data: &'a ViewData, spec: &ViewSpec) -> impl Iterator<Item = (&'a LensKey, &'a LensCell)> {
    let pos = spec.pos;
    data.lens.iter().filter(move |(key, _)| key.pos == pos).map(|(key, cell)| (key, &**cell))
}

fn nats(data: &ViewData, spec: &ViewSpec) -> Result<Curves> {
    let steps = places(of_position(data, spec));
    ensure!(!steps.is_empty(), "the lens of position {} is not in this run", spec.pos);
    let mut points = vec![f64::NAN; steps.len()];
    for (key, cell) in of_position(data, spec) {
        if let Ok(at) = steps.binary_search(&(key.layer, key.site)) {
            points[at] = f64::from(if spec.lens == LensMeasure::Kl { cell.kl } else { cell.entropy });
        }
    }
    let high = points.iter().copied().filter(|nats| nats.is_finite()).fold(0.0, f64::max).max(1e-3);
    let name = if spec.lens == LensMeasure::Kl { "KL" } else { "entropy" };
    let series = vec![Series { label: name.to_owned(), points }];
    Ok((spec.lens.quantity().to_owned(), "nats".to_owned(), Scale::Linear(high), series))
}

/// Rows of the targets; for KL and entropy rows of the position as in `lens_summary.csv`.
fn table(data: &ViewData, spec: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    if matches!(spec.lens, LensMeasure::Kl | LensMeasure::Entropy) {
        return write_csv(of_position(data, spec).map(|(key, cell)| lens_summary(*key, cell)), out);
    }
    write_csv(data.trajectories.iter().flat_map(|target| tables::targets(target, text)), out)
}
