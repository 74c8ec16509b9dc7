//! Views of a sweep as pictures and tables.

use super::figure::{Axis, Bars, Cells, Figure, Grid, Legend, Look, Panel, pdf, png, round, svg};
use crate::analysis::sweep::{Sweep, SweepGrid, SweepMeasure, SweepSpec, SweepView};
use crate::analysis::tables::sweep::{contexts, grid_rows, vocabulary};
use crate::analysis::tables::{TokenText, write_csv};
use crate::analysis::view::FileFormat;
use crate::trace::Piece;
use anyhow::{Context, Result, ensure};

/// Rows of a list in a picture.
const ROWS: usize = 30;

/// A view of a sweep as a file of a format. With `other`, Compare shows the difference of both sweeps. Tokens that occur less
/// than `least` times are left out of the vocabulary.
///
/// # Errors
/// If the sweep has no such group, layer or expert, or the picture would be too large.
pub fn sweep_file(
    sweep: &Sweep,
    other: Option<&Sweep>,
    spec: &SweepSpec,
    least: u64,
    format: FileFormat,
    look: &Look,
    text: TokenText,
) -> Result<Vec<u8>> {
    check(sweep, other, spec)?;
    if format == FileFormat::Csv {
        return table(sweep, other, spec, least, text);
    }
    let page = figure(sweep, other, spec, least)?.page(look, recipe(sweep, spec))?;
    match format {
        FileFormat::Svg => svg(&page),
        FileFormat::Pdf => pdf(&page),
        _ => png(&page),
    }
}

/// What a caption of the picture has to say.
///
/// # Errors
/// As [`sweep_file`].
pub fn sweep_caption(sweep: &Sweep, other: Option<&Sweep>, spec: &SweepSpec, least: u64) -> Result<String> {
    Ok(figure(sweep, other, spec, least)?.caption())
}

fn check(sweep: &Sweep, other: Option<&Sweep>, spec: &SweepSpec) -> Result<()> {
    let shape = sweep.about.model.shape;
    ensure!(spec.layer < shape.layers, "layer {}: expected one from 0 to {}", spec.layer, shape.layers - 1);
    ensure!(spec.expert < shape.experts, "expert {}: expected one from 0 to {}", spec.expert, shape.experts - 1);
    let has = |sweep: &Sweep, group: &Option<String>| {
        let missing = group.as_ref().filter(|name| !sweep.groups.contains_key(*name));
        let names = || sweep.groups.keys().take(20).cloned().collect::<Vec<_>>().join(", ");
        ensure!(missing.is_none(), "there is no group `{}`; there are {}", missing.unwrap_or(&String::new()), names());
        Ok(())
    };
    has(sweep, &spec.group)?;
    has(other.unwrap_or(sweep), &spec.against)?;
    if let Some(other) = other {
        let [a, b] = [shape, other.about.model.shape].map(|shape| (shape.layers, shape.experts));
        ensure!(
            a == b,
            "the sweeps are of models of {} × {} and {} × {} experts: they can't be compared",
            a.0,
            a.1,
            b.0,
            b.1
        );
    }
    Ok(())
}

fn recipe(sweep: &Sweep, spec: &SweepSpec) -> Vec<(&'static str, String)> {
    let about = &sweep.about;
    let mut command = format!("mixscope export SWEEP --view sweep.{}", spec.view.name());
    if spec.view.has_measures() && spec.measure != SweepMeasure::Specialisation {
        command += &format!(" --measure {}", spec.measure.name());
    }
    vec![
        ("Model", about.model.name.clone()),
        ("Precision", format!("{} {}", about.model.precision, about.model.compute_dtype)),
        ("Corpus", format!("{} texts, {} tokens, sha256 {}", about.corpus.texts, sweep.tokens(), about.corpus.hash)),
        ("Command", command),
    ]
}

fn subtitle(sweep: &Sweep) -> String {
    let about = &sweep.about;
    format!(
        "{} · {} · {} texts · {} tokens",
        about.model.name,
        about.model.precision,
        about.corpus.texts,
        sweep.tokens()
    )
}

fn figure(sweep: &Sweep, other: Option<&Sweep>, spec: &SweepSpec, least: u64) -> Result<Figure> {
    let (title, legends, panels, notes) = match spec.view {
        SweepView::Vocabulary => {
            let entries = sweep.vocabulary_of(spec, least);
            let row = |entry: &crate::analysis::sweep::VocabularyEntry| {
                let name = TokenText::Exact.text(&piece(sweep, entry.id));
                let share = entry.chosen as f64 / entry.count as f64;
                (format!("{name:?}"), share, format!("{} of {}", entry.chosen, entry.count))
            };
            let rows: Vec<(String, f64, String)> = entries.iter().take(ROWS).map(row).collect();
            ensure!(!rows.is_empty(), "no token that occurs at least {least} times chose this expert");
            let heads = ("token".to_owned(), "share of its occurrences that chose the expert".to_owned());
            let title = format!("Tokens of L{}.E{}: {}", spec.layer, spec.expert, spec.kind.name());
            let note = format!("tokens that occur at least {least} times, the {ROWS} most specialised");
            (title, Vec::new(), vec![Panel::Bars(Bars { rows, length: 320.0, heads })], vec![note])
        }
        SweepView::Contexts => {
            let line = |sample: &crate::analysis::sweep::Sample| {
                let text =
                    |ids: &[u32]| ids.iter().map(|id| TokenText::Exact.text(&piece(sweep, *id))).collect::<String>();
                let (before, token) = (text(&sample.ids[..sample.at]), text(&sample.ids[sample.at..=sample.at]));
                format!("{before}[{token}]{}", text(&sample.ids[sample.at + 1..]))
            };
            let lines: Vec<String> = sweep.contexts_of(spec).iter().map(line).collect();
            ensure!(!lines.is_empty(), "no context of this expert was kept");
            let title = format!("Contexts of L{}.E{}, {}", spec.layer, spec.expert, spec.picked.name());
            (title, Vec::new(), Vec::new(), lines)
        }
        _ => {
            let grid = sweep.grid(spec, other).context("the group has no token in this phase")?;
            let random = grid.at_random.map(|random| format!("at random {random:.4}"));
            let legend = Legend::Ramp(legend(spec, &grid), ends(&grid).0, ends(&grid).1);
            (
                format!("Sweep: {}", grid.title),
                vec![legend],
                vec![Panel::Grid(panel(&grid))],
                random.into_iter().collect(),
            )
        }
    };
    Ok(Figure { title, subtitle: subtitle(sweep), legends, panels, across: 1, notes })
}

fn piece(sweep: &Sweep, id: u32) -> Piece {
    sweep.pieces.get(&id).cloned().unwrap_or_else(|| Piece::from(format!("<id {id}>")))
}

fn legend(spec: &SweepSpec, grid: &SweepGrid) -> String {
    match (grid.is_signed, spec.view.has_measures()) {
        (true, _) => format!("difference of {}", spec.measure.name()),
        (false, true) => spec.measure.name().to_owned(),
        (false, false) => "share".to_owned(),
    }
}

/// The ends of the scale.
fn ends(grid: &SweepGrid) -> (f32, f32) {
    let most = round::up(grid.most()) as f32;
    (if grid.is_signed { -most } else { 0.0 }, most)
}

fn panel(grid: &SweepGrid) -> Grid {
    let size = (grid.rows.1.len(), grid.columns.1.len());
    // Layers go upward, as in a model.
    let is_upward = grid.rows.0 == "layer";
    let rows: Vec<usize> = if is_upward { (0..size.0).rev().collect() } else { (0..size.0).collect() };
    let all = rows.iter().flat_map(|row| (0..size.1).map(move |column| (*row, column)));
    let values: Vec<f32> = all.map(|(row, column)| grid.value(row, column).map_or(f32::NAN, |x| x as f32)).collect();
    let digits = if grid.most() > 99.0 { 1 } else { 3 };
    let texts = values.iter().map(|value| format!("{value:.digits$}")).collect();
    let mut panel = Grid::new(size, (46.0, 22.0), Cells::Heat { values, range: ends(grid), texts });
    let labels = rows.iter().map(|row| grid.rows.1[*row].clone()).collect();
    panel.rows = Axis { name: grid.rows.0.to_owned(), labels, ..Axis::default() };
    panel.cols = Axis { name: grid.columns.0.to_owned(), labels: grid.columns.1.clone(), ..Axis::default() };
    panel.square = size.1 > 16;
    panel
}

fn table(sweep: &Sweep, other: Option<&Sweep>, spec: &SweepSpec, least: u64, text: TokenText) -> Result<Vec<u8>> {
    let mut out = text.start().to_vec();
    let (layer, expert, phase) = (spec.layer, spec.expert, spec.phase.name());
    match spec.view {
        SweepView::Vocabulary => {
            let rows = vocabulary(sweep, least, text).filter(|row| {
                row.phase == phase && row.kind == spec.kind.name() && row.layer == layer && row.expert == expert
            });
            write_csv(rows, &mut out)?;
        }
        SweepView::Contexts => {
            let rows = contexts(sweep, text).filter(|row| {
                row.phase == phase && row.layer == layer && row.expert == expert && row.picked == spec.picked.name()
            });
            write_csv(rows, &mut out)?;
        }
        _ => {
            let grid = sweep.grid(spec, other).context("the group has no token in this phase")?;
            write_csv(grid_rows(&grid), &mut out)?;
        }
    }
    Ok(out)
}
