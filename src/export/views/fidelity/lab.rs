//! The precision lab as a picture: policies × layers.

use crate::analysis::diff::Mode;
use crate::analysis::tables::{TokenText, lab_policies, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::analysis::{Lab, LabLayer, LabRow};
use crate::export::figure::font::drawable;
use crate::export::figure::{Axis, Cells, Figure, Grid, Legend, Look, Panel, round};
use crate::export::views::labels::beginning;
use crate::export::views::{Files, PictureFormat, recipe};
use crate::trace::HookKind;
use anyhow::{Context, Result, ensure};

pub const FILES: Files = Files { figure, table };

fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    draw(lab_of(data)?)
}

/// Rows as in `lab.csv` of `mixscope lab`.
fn table(data: &ViewData, _: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    write_csv(lab_policies(lab_of(data)?, text), out)
}

fn lab_of(data: &ViewData) -> Result<&Lab> {
    data.lab.as_deref().context("no precision lab was run")
}

/// Up to this many layers, panels are next to each other.
const SIDE_BY_SIDE: usize = 12;

/// Flips and equal values by policy and layer, and the mean losses, as a picture. The same lab and look always give the same
/// bytes.
///
/// # Errors
/// If the lab has no row, or the picture would be too large.
pub fn lab_picture(lab: &Lab, look: &Look, format: PictureFormat) -> Result<Vec<u8>> {
    format.write(&draw(lab)?.page(look, recipe::of_lab(lab))?)
}

fn draw(lab: &Lab) -> Result<Figure> {
    ensure!(lab.layers() > 0, "the lab has no layers");
    let most = |mode: Mode| {
        let all = lab.rows.iter().flat_map(|row| row.layers(mode));
        all.map(|layer| layer.flips).max().unwrap_or(0).max(1) as f32
    };
    let high = round::up(f64::from(most(Mode::EndToEnd).max(most(Mode::Isolated)))) as f32;
    let flips = |layer: &LabLayer| layer.flips as f32;
    let count = |value: f32| format!("{value:.0}");
    let equal = |hook: HookKind| move |layer: &LabLayer| layer.equal(hook).map_or(f32::NAN, |e| e.share() as f32);
    // A share below 1 is never shown as 100.
    let percent = |value: f32| format!("{:.0}", if value < 1.0 { (value * 100.0).min(99.0) } else { 100.0 });
    let tokens = lab.tokens.len();
    let mut end_to_end = panel(lab, Mode::EndToEnd, (0.0, high), flips, count);
    end_to_end.caption = format!("flips among {tokens} tokens, end to end");
    end_to_end.side_name = "mean loss, nats".to_owned();
    end_to_end.side = lab.rows.iter().map(|row| loss(lab, row)).collect();
    let mut isolated = panel(lab, Mode::Isolated, (0.0, high), flips, count);
    isolated.caption = format!("flips among {tokens} tokens, each layer alone");
    isolated.marked = wide(lab);
    let mut residual = panel(lab, Mode::EndToEnd, (0.0, 1.0), equal(HookKind::ResidPost), percent);
    residual.caption = "equal values of resid_post, %, end to end".to_owned();
    let mut mixture = panel(lab, Mode::Isolated, (0.0, 1.0), equal(HookKind::MlpOut), percent);
    mixture.caption = "equal values of mlp_out, %, each layer alone".to_owned();
    let start = beginning(lab.tokens.iter().map(|token| &token.piece));
    let (model, base, dtype) = (drawable(&lab.model), lab.base, lab.dtype);
    Ok(Figure {
        title: format!("Precision lab: what other policies than {base} change"),
        subtitle: format!("{model} · base {base} {dtype} · {tokens} tokens · “{start}”"),
        legends: vec![
            Legend::Ramp("tokens whose experts flip".to_owned(), 0.0, high),
            Legend::Ramp("share of equal values".to_owned(), 0.0, 1.0),
            Legend::Corner("alone: a flip at a margin that rounding can't explain".to_owned()),
        ],
        panels: [end_to_end, isolated, residual, mixture].map(Panel::Grid).into(),
        across: if lab.layers() > SIDE_BY_SIDE { 1 } else { 2 },
        notes: vec![format!("each layer alone: it reads what it reads under {}; equal: bit for bit", lab.base)],
    })
}

/// Policies down, layers across; the base is blank.
fn panel(
    lab: &Lab,
    mode: Mode,
    range: (f32, f32),
    value: impl Fn(&LabLayer) -> f32,
    text: impl Fn(f32) -> String,
) -> Grid {
    let layers = lab.layers();
    let of_row = |row: &LabRow| -> Vec<f32> {
        let is_base = row.policy == lab.base;
        (0..layers).map(|l| row.layers(mode).get(l).filter(|_| !is_base).map_or(f32::NAN, &value)).collect()
    };
    let values: Vec<f32> = lab.rows.iter().flat_map(of_row).collect();
    let texts = values.iter().map(|value| text(*value)).collect();
    let mut grid = Grid::new((lab.rows.len(), layers), (34.0, 20.0), Cells::Heat { values, range, texts });
    grid.rows.labels = lab.rows.iter().map(|row| row.policy.to_string()).collect();
    grid.cols = Axis::numbers("layer", 0..layers);
    grid
}

/// Rows and columns of layers with a flip beyond rounding, each layer alone. End to end it means little, because
/// differences accumulate.
fn wide(lab: &Lab) -> Vec<(usize, usize)> {
    let layers =
        |row: &LabRow| row.isolated.iter().map(|layer| layer.flips > layer.within_rounding).collect::<Vec<_>>();
    let rows = lab.rows.iter().map(layers).enumerate();
    rows.flat_map(|(row, wide)| wide.into_iter().enumerate().filter(|(_, wide)| *wide).map(move |(l, _)| (row, l)))
        .collect()
}

/// `2.3457 +0.0012`
fn loss(lab: &Lab, row: &LabRow) -> String {
    let mean = row.mean_loss.map(|mean| format!("{mean:.4}")).unwrap_or_default();
    match lab.loss_change(row) {
        Some(change) if row.policy != lab.base => format!("{mean} {change:+.4}"),
        _ => mean,
    }
}
