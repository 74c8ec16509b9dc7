//! Views of a run as pictures and tables: one file per view, and one table of them all.

mod attention;
mod effects;
mod fidelity;
mod labels;
mod lens;
mod next;
mod recipe;
mod routing;

pub use fidelity::lab::lab_picture;
pub use recipe::of_run as recipe;

use super::figure::{Figure, Look, Page, pdf, png, svg};
use crate::analysis::tables::TokenText;
use crate::analysis::view::{FileFormat, View, ViewData, ViewSpec};
use anyhow::{Result, ensure};

/// The files of a view.
struct Files {
    /// The picture.
    figure: fn(&ViewData, &ViewSpec) -> Result<Figure>,
    /// Writes the table as CSV.
    table: fn(&ViewData, &ViewSpec, TokenText, &mut Vec<u8>) -> Result<()>,
}

/// The files of every view.
fn files(view: View) -> &'static Files {
    match view {
        View::RoutingToken => &routing::token::FILES,
        View::RoutingLayer => &routing::layer::FILES,
        View::RoutingMap => &routing::map::FILES,
        View::RoutingUsage => &routing::usage::FILES,
        View::RoutingPairs => &routing::pairs::FILES,
        View::AttentionGrid => &attention::grid::FILES,
        View::AttentionScores => &attention::scores::FILES,
        View::AttentionHead => &attention::head::FILES,
        View::LensGrid => &lens::grid::FILES,
        View::LensTargets => &lens::targets::FILES,
        View::Next => &next::FILES,
        View::FidelityValidated => &fidelity::validated::FILES,
        View::FidelityFlips => &fidelity::flips::FILES,
        View::FidelityLoss => &fidelity::loss::FILES,
        View::FidelityLab => &fidelity::lab::FILES,
        View::Compare => &fidelity::compare::FILES,
        View::EffectsMap => &effects::map::FILES,
        View::EffectsRouting => &effects::routing::FILES,
        View::EffectsPatching => &effects::patching::FILES,
        View::EffectsContributions => &effects::contributions::FILES,
    }
}

/// A file format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// Pixels.
    Png,
    /// Vectors; the viewer draws text in one of its own fonts.
    Svg,
    /// Vectors, with the fonts in the file.
    Pdf,
}

impl PictureFormat {
    fn write(self, page: &Page) -> Result<Vec<u8>> {
        match self {
            Self::Png => png(page),
            Self::Svg => svg(page),
            Self::Pdf => pdf(page),
        }
    }
}

/// A view as a picture in a format.
///
/// # Errors
/// As [`picture`].
fn draw(data: &ViewData, spec: &ViewSpec, look: &Look, format: PictureFormat) -> Result<Vec<u8>> {
    format.write(&figure(data, spec)?.page(look, recipe::of_view(data, spec, look))?)
}

/// A view as a PNG file. The same data and look always give the same bytes.
///
/// # Errors
/// If `data` lacks the numbers of the view, or the picture would be too large.
pub fn picture(data: &ViewData, spec: &ViewSpec, look: &Look) -> Result<Vec<u8>> {
    draw(data, spec, look, PictureFormat::Png)
}

/// A view as an SVG file, complete in itself; the viewer draws text in one of its own fonts.
///
/// # Errors
/// As [`picture`].
pub fn drawing(data: &ViewData, spec: &ViewSpec, look: &Look) -> Result<Vec<u8>> {
    draw(data, spec, look, PictureFormat::Svg)
}

/// A view as a PDF file of one page, with the fonts in the file.
///
/// # Errors
/// As [`picture`].
pub fn document(data: &ViewData, spec: &ViewSpec, look: &Look) -> Result<Vec<u8>> {
    draw(data, spec, look, PictureFormat::Pdf)
}

/// What a caption of a picture has to say, which is not drawn on paper.
///
/// # Errors
/// As [`picture`].
pub fn caption(data: &ViewData, spec: &ViewSpec) -> Result<String> {
    Ok(figure(data, spec)?.caption())
}

/// A view as a CSV file; [`tables`](crate::analysis::tables) describes the columns.
///
/// # Errors
/// As [`picture`].
pub fn table(data: &ViewData, spec: &ViewSpec, text: TokenText) -> Result<Vec<u8>> {
    let mut out = text.start().to_vec();
    (files(spec.view).table)(data, spec, text, &mut out)?;
    Ok(out)
}

/// A view as a file of a format. A table has no look, a picture no [`TokenText`].
///
/// # Errors
/// As [`picture`].
pub fn file(data: &ViewData, spec: &ViewSpec, format: FileFormat, look: &Look, text: TokenText) -> Result<Vec<u8>> {
    match format {
        FileFormat::Png => picture(data, spec, look),
        FileFormat::Svg => drawing(data, spec, look),
        FileFormat::Pdf => document(data, spec, look),
        FileFormat::Csv => table(data, spec, text),
    }
}

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    ensure!(!data.trace.tokens.is_empty(), "the run has no token yet");
    (files(spec.view).figure)(data, spec)
}
