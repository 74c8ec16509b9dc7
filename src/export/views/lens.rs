//! What the model would have said after each layer.

use super::{MANY, band_width, record, subtitle, token_name, tokens_across};
use crate::analysis::LensMeasure;
use crate::analysis::tables::{self, TokenText, lens_summary, write_csv};
use crate::analysis::view::{Trajectory, ViewData, ViewSpec};
use crate::export::figure::font::{ADVANCE, label};
use crate::export::figure::{Axis, Cells, Figure, Grid, LABEL, Legend, Lines, Panel, Scale, Series, Turn};
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

/// A residual of the forward pass.
type Place = (usize, LensSite);

fn cells<'a>(data: &'a ViewData, spec: &ViewSpec) -> impl Iterator<Item = (&'a LensKey, &'a LensCell)> {
    let sites = spec.sites();
    data.lens.iter().filter(move |(key, _)| sites.contains(&key.site)).map(|(key, cell)| (key, &**cell))
}

fn sites(spec: &ViewSpec) -> String {
    spec.sites().iter().map(LensSite::to_string).collect::<Vec<_>>().join(" and ")
}

/// The residuals of these cells, in the order of the forward pass.
fn places<'a>(cells: impl Iterator<Item = (&'a LensKey, &'a LensCell)>) -> Vec<Place> {
    Vec::from_iter(cells.map(|(key, _)| (key.layer, key.site)).collect::<BTreeSet<Place>>())
}

fn step_label((layer, site): &Place) -> String {
    match site {
        LensSite::ResidMid => format!("{layer} mid"),
        LensSite::ResidPost => layer.to_string(),
    }
}

/// Layers × tokens, the last layer on top: the best token, or a number.
pub fn grid(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, n, vocab) = (&data.trace, data.trace.tokens.len(), data.trace.meta.dims.vocab);
    let mut places = places(cells(data, spec));
    places.reverse();
    ensure!(!places.is_empty(), "the lens of {} is not in this run", sites(spec));
    let (mut values, mut texts) = (vec![f32::NAN; places.len() * n], vec![String::new(); places.len() * n]);
    for (key, cell) in cells(data, spec).filter(|(key, _)| key.pos < n) {
        let row = places.iter().position(|place| *place == (key.layer, key.site));
        if let (Some(row), Some(best)) = (row, cell.top.first()) {
            values[row * n + key.pos] = spec.lens.shade(cell, vocab);
            texts[row * n + key.pos] = match spec.lens {
                LensMeasure::Top => label(&best.piece),
                LensMeasure::Kl => format!("{:.2}", cell.kl),
                LensMeasure::Entropy => format!("{:.2}", cell.entropy),
                LensMeasure::Rank => cell.final_rank.to_string(),
            };
        }
    }
    let cell = match n {
        0..=400 => (54.0, 16.0),
        401..=1024 => (40.0, 15.0),
        1025..=MANY => (27.0, 14.0),
        _ => (5.0, 8.0),
    };
    // A token may be cut, a number not.
    let longest = texts.iter().map(String::len).max().unwrap_or(0) as f64 * LABEL * ADVANCE + 4.0;
    let is_number = spec.lens != LensMeasure::Top && n <= MANY;
    let cell = if is_number { (longest.max(cell.0), cell.1) } else { cell };
    let rows = match spec.site {
        Some(_) => places.iter().map(|(layer, _)| layer.to_string()).collect(),
        None => places.iter().map(|(layer, site)| format!("{layer} {}", short(*site))).collect(),
    };
    let mut grid = Grid::new((places.len(), n), cell, Cells::Heat { values, range: (0.0, 1.0), texts });
    grid.rows = Axis { name: "layer".to_owned(), labels: rows, turn: Turn::Flat };
    grid.cols = tokens_across(trace);
    if cell.0 >= 40.0 {
        grid.cols.turn = Turn::Stacked;
    }
    let width = band_width(n, cell.0, places.len() as f64 * cell.1);
    let most = (vocab as f32).ln();
    let mut notes = vec!["resid_mid: after attention; resid_post: after the experts".to_owned()];
    let (what, legend) = match spec.lens {
        LensMeasure::Top => ("best next token", Legend::Ramp("its probability".to_owned(), 0.0, 1.0)),
        LensMeasure::Rank => {
            let name = format!("{}, logarithmic", spec.lens.quantity());
            ("rank of the final answer (1 = best)", Legend::Ramp(name, vocab as f32, 1.0))
        }
        measure @ (LensMeasure::Kl | LensMeasure::Entropy) => {
            notes.push(format!(
                "colours end at {most:.2} nats, the entropy of a uniform choice of {vocab} tokens; more has the last one"
            ));
            (measure.quantity(), Legend::Ramp(measure.quantity().to_owned(), 0.0, most))
        }
    };
    Ok(Figure {
        title: format!("Logit lens of {}: {what}", sites(spec)),
        subtitle: subtitle(trace),
        legends: vec![legend],
        panels: grid.bands(width).into_iter().map(Panel::Grid).collect(),
        across: 1,
        notes,
    })
}

fn short(site: LensSite) -> &'static str {
    match site {
        LensSite::ResidMid => "mid",
        LensSite::ResidPost => "post",
    }
}

/// One position by layer: probability and rank of the targets, or KL or entropy.
pub fn targets(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let token = token_name(record(data, spec.pos)?, spec.pos);
    let (what, steps, panels) = match spec.lens {
        LensMeasure::Top | LensMeasure::Rank => ("targets", ways(data)?, curves(data)?),
        measure => (measure.quantity(), places(of_position(data, spec)), vec![nats(data, spec)?]),
    };
    let labels: Vec<String> = steps.iter().map(step_label).collect();
    let plot = ((steps.len() as f64 * 34.0).clamp(420.0, 1600.0), 240.0);
    let lines = |(caption, y, scale, series): Curves| {
        let x = Axis { name: "layer (mid: after attention)".to_owned(), labels: labels.clone(), turn: Turn::Flat };
        Panel::Lines(Lines { caption, x, y, scale, series, plot })
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

/// The residuals that the targets' ways go through.
fn ways(data: &ViewData) -> Result<Vec<Place>> {
    ensure!(!data.trajectories.is_empty(), "no target's way through the layers is in this run");
    let points = data.trajectories.iter().flat_map(|way| way.points.iter().map(|point| (point.0, point.1)));
    Ok(Vec::from_iter(points.collect::<BTreeSet<Place>>()))
}

fn curves(data: &ViewData) -> Result<Vec<Curves>> {
    let steps = ways(data)?;
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
    let high = points.iter().copied().fold(0.0, f64::max).ceil().max(1.0);
    let name = if spec.lens == LensMeasure::Kl { "KL" } else { "entropy" };
    let series = vec![Series { label: name.to_owned(), points }];
    Ok((spec.lens.quantity().to_owned(), "nats".to_owned(), Scale::Linear(high), series))
}

/// Rows as in `lens.csv`, or as in `lens_summary.csv` where a number is shown.
pub fn grid_table(data: &ViewData, spec: &ViewSpec, text: TokenText, out: impl Write) -> Result<()> {
    let cells = cells(data, spec);
    match spec.lens {
        LensMeasure::Top => write_csv(cells.flat_map(|(key, cell)| tables::lens(*key, cell, text)), out),
        _ => write_csv(cells.map(|(key, cell)| lens_summary(*key, cell)), out),
    }
}

/// Rows of the targets; for KL and entropy rows of the position as in `lens_summary.csv`.
pub fn targets_table(data: &ViewData, spec: &ViewSpec, text: TokenText, out: impl Write) -> Result<()> {
    if matches!(spec.lens, LensMeasure::Kl | LensMeasure::Entropy) {
        return write_csv(of_position(data, spec).map(|(key, cell)| lens_summary(*key, cell)), out);
    }
    write_csv(data.trajectories.iter().flat_map(|target| tables::targets(target, text)), out)
}
