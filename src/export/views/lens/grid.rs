//! Layers × tokens, the last layer on top: the best token, or a number.

use super::places;
use crate::analysis::LensMeasure;
use crate::analysis::tables::{self, TokenText, lens_summary, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::font::{ADVANCE, label};
use crate::export::figure::{Axis, Cells, Figure, Grid, LABEL, Legend, Panel, Turn, round, short as share};
use crate::export::views::Files;
use crate::export::views::labels::{MANY, subtitle, tokens_across};
use crate::trace::{LensCell, LensKey, LensSite};
use anyhow::{Result, ensure};

pub const FILES: Files = Files { figure, table };

fn cells<'a>(data: &'a ViewData, spec: &ViewSpec) -> impl Iterator<Item = (&'a LensKey, &'a LensCell)> {
    let sites = spec.sites();
    data.lens.iter().filter(move |(key, _)| sites.contains(&key.site)).map(|(key, cell)| (key, &**cell))
}

fn sites(spec: &ViewSpec) -> String {
    spec.sites().iter().map(LensSite::to_string).collect::<Vec<_>>().join(" and ")
}

/// Layers × tokens, the last layer on top: the best token, or a number.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let (trace, n, vocab) = (&data.trace, data.trace.tokens.len(), data.trace.meta.dims.vocab);
    let mut places = places(cells(data, spec));
    places.reverse();
    ensure!(!places.is_empty(), "the lens of {} is not in this run", sites(spec));
    let all = places.len() * n;
    let (mut values, mut texts, mut under) = (vec![f32::NAN; all], vec![String::new(); all], vec![String::new(); all]);
    for (key, cell) in cells(data, spec).filter(|(key, _)| key.pos < n) {
        let row = places.iter().position(|place| *place == (key.layer, key.site));
        if let (Some(row), Some(best)) = (row, cell.top.first()) {
            let at = row * n + key.pos;
            under[at] = share(best.prob);
            values[at] = match spec.lens {
                LensMeasure::Kl => cell.kl,
                LensMeasure::Entropy => cell.entropy,
                LensMeasure::Top | LensMeasure::Rank => spec.lens.shade(cell, vocab),
            };
            texts[at] = match spec.lens {
                LensMeasure::Top => label(&best.piece),
                LensMeasure::Kl => format!("{:.2}", cell.kl),
                LensMeasure::Entropy => format!("{:.2}", cell.entropy),
                LensMeasure::Rank => cell.final_rank.to_string(),
            };
        }
    }
    let cell = match n {
        // With room for the probability below the token.
        0..=400 if spec.lens == LensMeasure::Top => (54.0, 26.0),
        0..=400 => (54.0, 16.0),
        401..=1024 => (40.0, 15.0),
        1025..=MANY => (27.0, 14.0),
        _ => (5.0, 8.0),
    };
    // A token may be cut, a number must not.
    let longest = texts.iter().map(String::len).max().unwrap_or(0) as f64 * LABEL * ADVANCE + 4.0;
    let is_number = spec.lens != LensMeasure::Top && n <= MANY;
    let cell = if is_number { (longest.max(cell.0), cell.1) } else { cell };
    let rows = match spec.site {
        Some(_) => places.iter().map(|(layer, _)| layer.to_string()).collect(),
        None => places.iter().map(|(layer, site)| format!("{layer} {}", short(*site))).collect(),
    };
    // The entropy of a uniform choice, and a round number above it.
    let most = (vocab as f32).ln();
    let end = round::up(f64::from(most)) as f32;
    let is_nats = matches!(spec.lens, LensMeasure::Kl | LensMeasure::Entropy);
    let range = (0.0, if is_nats { end } else { 1.0 });
    let mut grid = Grid::new((places.len(), n), cell, Cells::Heat { values, range, texts });
    if spec.lens == LensMeasure::Top {
        grid.cuts = true;
        grid.under = if n <= 400 { under } else { Vec::new() };
    }
    grid.wraps = true;
    grid.rows = Axis { name: "layer".to_owned(), labels: rows, turn: Turn::Flat };
    grid.cols = tokens_across(trace);
    if cell.0 >= 40.0 {
        grid.cols.turn = Turn::Stacked;
    }
    let mut notes = vec!["resid_mid: after attention; resid_post: after the experts".to_owned()];
    let (what, legend) = match spec.lens {
        LensMeasure::Top => {
            if n <= 400 {
                notes.push("below each token its probability, where there is room".to_owned());
            }
            ("best next token", Legend::Ramp("probability of the best token".to_owned(), 0.0, 1.0))
        }
        LensMeasure::Rank => {
            let name = format!("{}, logarithmic", spec.lens.quantity());
            ("rank of the final answer (1 = best)", Legend::Ramp(name, vocab as f32, 1.0))
        }
        measure @ (LensMeasure::Kl | LensMeasure::Entropy) => {
            notes.push(format!(
                "a uniform choice of {vocab} tokens has an entropy of {most:.2} nats; more than {end} nats has the last colour"
            ));
            (measure.quantity(), Legend::Ramp(measure.quantity().to_owned(), 0.0, end))
        }
    };
    Ok(Figure {
        title: format!("Logit lens of {}: {what}", sites(spec)),
        subtitle: subtitle(trace),
        legends: vec![legend],
        panels: vec![Panel::Grid(grid)],
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

/// Rows as in `lens.csv`, or as in `lens_summary.csv` where a number is shown.
fn table(data: &ViewData, spec: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let cells = cells(data, spec);
    match spec.lens {
        LensMeasure::Top => write_csv(cells.flat_map(|(key, cell)| tables::lens(*key, cell, text)), out),
        _ => write_csv(cells.map(|(key, cell)| lens_summary(*key, cell)), out),
    }
}
