//! What the model would have said after each layer.

use super::{MANY, band_width, record, subtitle, token_label, tokens_across};
use crate::export::csv::{Text, lens, table};
use crate::export::figure::font::label;
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Lines, Panel, Scale, Series, Turn};
use crate::trace::view::{ViewData, ViewSpec};
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};
use std::io::Write;

fn cells(data: &ViewData, site: LensSite) -> impl Iterator<Item = (&LensKey, &LensCell)> {
    data.lens.iter().filter(move |(key, _)| key.site == site).map(|(key, cell)| (key, &**cell))
}

fn place(site: LensSite) -> &'static str {
    match site {
        LensSite::ResidMid => "after attention (resid_mid)",
        LensSite::ResidPost => "after the experts (resid_post)",
    }
}

/// Layers × tokens: the best token.
pub fn grid(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, n) = (&data.trace, data.trace.tokens.len());
    let mut layers: Vec<usize> = cells(data, spec.site).map(|(key, _)| key.layer).collect();
    layers.sort_unstable();
    layers.dedup();
    ensure!(!layers.is_empty(), "the lens of {} is not in this run", spec.site);
    let (mut values, mut texts) = (vec![f32::NAN; layers.len() * n], vec![String::new(); layers.len() * n]);
    for (key, cell) in cells(data, spec.site).filter(|(key, _)| key.pos < n) {
        if let (Ok(row), Some(best)) = (layers.binary_search(&key.layer), cell.top.first()) {
            values[row * n + key.pos] = best.prob;
            texts[row * n + key.pos] = label(&best.piece);
        }
    }
    let cell = match n {
        0..=400 => (54.0, 16.0),
        401..=1024 => (40.0, 15.0),
        1025..=MANY => (27.0, 14.0),
        _ => (5.0, 8.0),
    };
    let rows = layers.iter().map(usize::to_string).collect();
    let mut grid = Grid::new((layers.len(), n), cell, Cells::Heat { values, range: (0.0, 1.0), texts });
    grid.rows = Axis { name: "layer".to_owned(), labels: rows, turn: Turn::Flat };
    grid.cols = tokens_across(trace);
    if cell.0 >= 40.0 {
        grid.cols.turn = Turn::Stacked;
    }
    let width = band_width(n, cell.0, layers.len() as f64 * cell.1);
    Ok(Figure {
        title: format!("Logit lens {}: best next token by layer and position", place(spec.site)),
        subtitle: subtitle(trace),
        legends: vec![Legend::Ramp("its probability".to_owned(), 0.0, 1.0)],
        panels: grid.bands(width).into_iter().map(Panel::Grid).collect(),
        across: 1,
        notes: Vec::new(),
    })
}

/// Probability and rank of the targets by layer.
pub fn targets(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    ensure!(!data.trajectories.is_empty(), "no target's way through the layers is in this run");
    let token = record(data, spec.pos)?;
    let mut steps: Vec<(usize, LensSite)> =
        data.trajectories.iter().flat_map(|way| way.points.iter().map(|point| (point.0, point.1))).collect();
    steps.sort_unstable();
    steps.dedup();
    let step_label = |(layer, site): &(usize, LensSite)| match site {
        LensSite::ResidMid => format!("{layer} mid"),
        LensSite::ResidPost => layer.to_string(),
    };
    let labels: Vec<String> = steps.iter().map(step_label).collect();
    let series = |value: fn(u32, f32) -> f64| {
        let of = |way: &crate::trace::view::Trajectory| {
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
    let plot = ((steps.len() as f64 * 34.0).clamp(420.0, 1600.0), 240.0);
    let lines = |caption: &str, y: &str, scale, series| {
        let x = Axis { name: "layer (mid: after attention)".to_owned(), labels: labels.clone(), turn: Turn::Flat };
        Panel::Lines(Lines { caption: caption.to_owned(), x, y: y.to_owned(), scale, series, plot })
    };
    Ok(Figure {
        title: format!("Logit lens at token {}: targets by layer", token_label(token, spec.pos)),
        subtitle: subtitle(&data.trace),
        legends: Vec::new(),
        panels: vec![
            lines("probability", "probability", Scale::Linear(1.0), series(|_, prob| f64::from(prob))),
            lines(
                "rank (1 = best), logarithmic",
                "rank",
                Scale::Ranks(f64::from(worst.max(10))),
                series(|rank, _| f64::from(rank)),
            ),
        ],
        across: 1,
        notes: Vec::new(),
    })
}

/// Rows as in `lens.csv`.
pub fn grid_table(data: &ViewData, spec: &ViewSpec, text: Text, out: impl Write) -> Result<()> {
    lens(cells(data, spec.site), text, out)
}

/// `token_id,token,layer,site,rank,prob`.
pub fn targets_table(data: &ViewData, text: Text, out: impl Write) -> Result<()> {
    let mut writer = table(out, &["token_id", "token", "layer", "site", "rank", "prob"])?;
    for way in &data.trajectories {
        for (layer, site, rank, prob) in &way.points {
            writer.serialize((way.id, text.cell(&way.piece), layer, site.to_string(), rank, prob))?;
        }
    }
    Ok(writer.flush()?)
}
