//! Two runs side by side, token by token: of the same text, or of two prompts.

use super::losses;
use crate::analysis::diff::{RunDiff, same_experts};
use crate::analysis::tables::{CompareRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{Aligned, align};
use crate::export::figure::font::{fit, label};
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Lines, Panel, Scale, Series, Shared, Turn};
use crate::export::views::Files;
use crate::export::views::labels::{PIECE, TOKENS, subtitle};
use crate::export::views::routing::layer_axis;
use crate::trace::{Records, TokenRecord};
use anyhow::{Context, Result, ensure};

pub const FILES: Files = Files { figure, table };

/// Width of a row of the comparison in a plot, points.
const STEP: f64 = 16.0;

/// A, B and their rows. With a second prompt, A is the run and B the second.
struct Sides<'a> {
    a: &'a Records,
    b: &'a Records,
    rows: Vec<Aligned>,
    kl: Option<&'a [Option<f64>]>,
}

impl<'a> Sides<'a> {
    fn of(data: &'a ViewData) -> Result<Self> {
        let ids = |records: &Records| records.tokens.iter().map(|token| token.id).collect::<Vec<u32>>();
        let (a, b, rows) = match &data.second {
            Some(second) => (&data.trace, second, align(&ids(&data.trace), &ids(second))),
            None => {
                let a = data.against.as_ref().context("there is no second run to compare with")?;
                let shared = a.tokens.len().min(data.trace.tokens.len());
                (a, &data.trace, (0..shared).map(|pos| (Some(pos), Some(pos))).collect())
            }
        };
        let shape = |records: &Records| {
            let dims = records.meta.dims;
            (dims.layers, dims.experts, dims.vocab)
        };
        ensure!(
            shape(a) == shape(b),
            "the runs are of models of other shapes (layers, experts, vocabulary): A {:?}, B {:?}",
            shape(a),
            shape(b)
        );
        let kl = data.distance.as_deref().map(|found| found.kl.as_slice()).filter(|kl| kl.len() == rows.len());
        Ok(Self { a, b, rows, kl })
    }

    fn records(&self, (a, b): Aligned) -> [Option<&'a TokenRecord>; 2] {
        let of = |records: &'a Records, at: Option<usize>| records.tokens.get(at?).map(|token| &**token);
        [of(self.a, a), of(self.b, b)]
    }

    /// `·France│·Italy 3`
    fn labels(&self) -> Vec<String> {
        let named =
            |token: Option<&TokenRecord>| token.map_or("–".to_owned(), |token| fit(&label(&token.piece), PIECE));
        let name = |row: &Aligned| {
            let [a, b] = self.records(*row);
            let pos = row.0.or(row.1).unwrap_or(0);
            if a.map(|token| token.id) == b.map(|token| token.id) {
                return format!("{} {pos}", named(a));
            }
            format!("{}|{} {pos}", named(a), named(b))
        };
        self.rows.iter().map(name).collect()
    }
}

fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let sides = Sides::of(data)?;
    let (n, layers) = (sides.rows.len(), sides.a.meta.dims.layers);
    let labels = sides.labels();
    let loss = |at: usize| -> Vec<f64> {
        let of = |row: &Aligned| sides.records(*row)[at].and_then(|token| token.score);
        sides.rows.iter().map(|row| of(row).map_or(f64::NAN, |score| f64::from(score.nll))).collect()
    };
    let plot = ((n as f64 * STEP).clamp(420.0, 1600.0), 200.0);
    let panel = |caption: &str, series: Vec<(&str, Vec<f64>)>| {
        let values = series.iter().flat_map(|(_, points)| points).copied().filter(|x| x.is_finite());
        let high = values.fold(0.0, f64::max).max(1e-6);
        Panel::Lines(Lines {
            caption: caption.to_owned(),
            x: Axis { name: TOKENS.to_owned(), labels: labels.clone(), turn: Turn::Upward },
            y: format!("{caption}, nats"),
            scale: Scale::Linear(high),
            series: series.into_iter().map(|(label, points)| Series { label: label.to_owned(), points }).collect(),
            plot,
            shared: Shared::default(),
        })
    };
    let mut panels = vec![panel("loss of each token", vec![("A", loss(0)), ("B", loss(1))])];
    if let Some(kl) = sides.kl {
        let kl = kl.iter().map(|kl| kl.unwrap_or(f64::NAN)).collect();
        panels.push(panel("KL(A ‖ B) of the next token", vec![("KL", kl)]));
    }
    let (values, down): (Vec<f32>, Vec<usize>) = (flips(&sides, layers), (0..layers).rev().collect());
    let mut grid = Grid::new((layers, n), (STEP, 16.0), Cells::Heat { values, range: (0.0, 1.0), texts: Vec::new() });
    grid.caption = "sets of experts".to_owned();
    grid.rows = layer_axis(&down);
    grid.cols = Axis { name: TOKENS.to_owned(), labels, turn: Turn::Upward };
    grid.wraps = true;
    panels.push(Panel::Grid(grid));
    let mut notes = Vec::new();
    notes.push(format!("B: {}", subtitle(sides.b)));
    if data.second.is_none() {
        let shared = sides.rows.len();
        let mut found = RunDiff::new(layers, sides.a.meta.router_dtype().coarser(sides.b.meta.router_dtype()));
        found.extend(&sides.a.tokens[..shared], &sides.b.tokens[..shared]);
        notes.push(losses(&found));
    }
    if let Some(found) = data.distance.as_deref().filter(|_| sides.kl.is_some()) {
        let by_layer: Vec<String> = found.residual.iter().map(|share| format!("{:.2} %", share * 100.0)).collect();
        notes.push(format!("change of resid_post by layer from 0, as a share of its norm: {}", by_layer.join(", ")));
    }
    Ok(Figure {
        title: "Two runs side by side: A and B".to_owned(),
        subtitle: format!("A: {}", subtitle(sides.a)),
        legends: vec![Legend::Key("sets of experts".to_owned(), vec![("the same", 0.0), ("different", 1.0)])],
        panels,
        across: 1,
        notes,
    })
}

/// 1 where the sets of chosen experts differ `[layer from the last down, row]`.
fn flips(sides: &Sides, layers: usize) -> Vec<f32> {
    let of = |layer: usize, row: &Aligned| {
        let [a, b] = sides.records(*row);
        let same = a.zip(b).and_then(|(a, b)| same_experts(a, b, layer));
        same.map_or(f32::NAN, |same| f32::from(u8::from(!same)))
    };
    (0..layers).rev().flat_map(|layer| sides.rows.iter().map(move |row| of(layer, row))).collect()
}

/// One row for each pair of tokens.
fn table(data: &ViewData, _: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let sides = Sides::of(data)?;
    let layers = sides.a.meta.dims.layers;
    let row = |(at, row): (usize, &Aligned)| {
        let kl = sides.kl.and_then(|kl| kl[at]);
        CompareRow::of(*row, sides.records(*row), kl, layers, text)
    };
    write_csv(sides.rows.iter().enumerate().map(row), out)
}
