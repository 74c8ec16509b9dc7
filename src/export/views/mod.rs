//! Views of a run as pictures and tables.

mod attention;
mod fidelity;
mod lab;
mod lens;
mod load;
mod next;
mod routing;

pub use lab::{lab_drawing, lab_picture};

use super::figure::font::{drawable, fit, label};
use super::figure::{Axis, Figure, Look, Turn};
use crate::analysis::Lab;
use crate::analysis::tables::{TokenText, lab_policies, write_csv};
use crate::analysis::view::{ViewData, ViewKind, ViewSpec};
use crate::trace::{Records, TokenRecord};
use anyhow::{Context, Result, ensure};

/// Longest prompt in a title, characters.
const PROMPT: usize = 60;
/// Longest token in a label, characters; its position follows it.
const PIECE: usize = 14;
/// Width from which a row of tokens goes on below, points.
const BAND: f64 = 1200.0;
/// Tokens from which cells shrink to dots.
const MANY: usize = 2048;

/// A view as a PNG file. The same data and look always give the same bytes.
///
/// # Errors
/// If `data` lacks what the view is made of, or the picture would be too large.
pub fn picture(data: &ViewData, spec: &ViewSpec, look: &Look) -> Result<Vec<u8>> {
    figure(data, spec)?.png(look)
}

/// A view as an SVG file, complete in itself; text is drawn by the viewer in a font of its own.
///
/// # Errors
/// As [`picture`].
pub fn drawing(data: &ViewData, spec: &ViewSpec, look: &Look) -> Result<Vec<u8>> {
    figure(data, spec)?.svg(look)
}

/// A view as a CSV file; [`tables`](crate::analysis::tables) describes the columns. routing.token, routing.layer and
/// routing.map have those of `routing.csv`, attention.head those of `attention.csv`, next those of `candidates.csv`,
/// fidelity.lab those of `lab.csv`. lens has those of `lens.csv`. Where the lens shows KL, entropy or ranks, lens and
/// lens.targets have those of `lens_summary.csv`.
///
/// # Errors
/// As [`picture`].
pub fn table(data: &ViewData, spec: &ViewSpec, text: TokenText) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match spec.kind {
        ViewKind::RoutingToken | ViewKind::RoutingLayer | ViewKind::RoutingMap => {
            routing::rows(data, spec, &mut out)?;
        }
        ViewKind::RoutingLoad => load::load_table(data, &mut out)?,
        ViewKind::RoutingPairs => load::pairs_table(data, spec, &mut out)?,
        ViewKind::AttentionHead => attention::head_table(data, spec, &mut out)?,
        ViewKind::AttentionGrid => attention::grid_table(data, spec, &mut out)?,
        ViewKind::LensGrid => lens::grid_table(data, spec, text, &mut out)?,
        ViewKind::LensTargets => lens::targets_table(data, spec, text, &mut out)?,
        ViewKind::Next => next::rows(data, spec, text, &mut out)?,
        ViewKind::FidelityValidated => fidelity::validated_table(data, &mut out)?,
        ViewKind::FidelityFlips => fidelity::flips_table(data, text, &mut out)?,
        ViewKind::FidelityLoss => fidelity::loss_table(data, text, &mut out)?,
        ViewKind::FidelityLab => write_csv(lab_policies(lab_of(data)?, text), &mut out)?,
    }
    Ok(out)
}

fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    ensure!(!data.trace.tokens.is_empty(), "the run has no token yet");
    match spec.kind {
        ViewKind::RoutingToken => routing::token(data, spec),
        ViewKind::RoutingLayer => routing::layer(data, spec),
        ViewKind::RoutingMap => routing::map(data),
        ViewKind::RoutingLoad => load::load(data),
        ViewKind::RoutingPairs => load::pairs(data, spec),
        ViewKind::AttentionHead => attention::head(data, spec),
        ViewKind::AttentionGrid => attention::grid(data, spec),
        ViewKind::LensGrid => lens::grid(data, spec),
        ViewKind::LensTargets => lens::targets(data, spec),
        ViewKind::Next => next::bars(data, spec),
        ViewKind::FidelityValidated => fidelity::validated(data),
        ViewKind::FidelityFlips => fidelity::flips(data),
        ViewKind::FidelityLoss => fidelity::loss(data),
        ViewKind::FidelityLab => lab::figure(lab_of(data)?),
    }
}

fn lab_of(data: &ViewData) -> Result<&Lab> {
    data.lab.as_deref().context("no precision lab was run")
}

/// `demo · hf bf16 · 48 tokens · “Once upon a time…”`
fn subtitle(trace: &Records) -> String {
    let meta = &trace.meta;
    let n = trace.tokens.len();
    let start = beginning(trace.tokens.iter().map(|token| &*token.piece));
    // Not by its name, which may be a path of somebody's machine.
    let model = drawable(&meta.title);
    let tokens = if n == 1 { "1 token".to_owned() } else { format!("{n} tokens") };
    format!("{model} · {} {} · {tokens} · “{start}”", meta.policy, meta.compute_dtype)
}

/// How a text of these tokens begins.
fn beginning<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    let mut start = String::new();
    for (pos, piece) in pieces.enumerate() {
        // A marker at the start such as <s> is no part of the text.
        let is_marker = pos == 0 && piece.starts_with('<') && piece.ends_with('>');
        if start.trim().chars().count() > PROMPT {
            break;
        }
        if !is_marker {
            start += &label(piece).replace('·', " ");
        }
    }
    fit(start.trim(), PROMPT)
}

/// `·drum 12`
fn token_label(token: &TokenRecord, pos: usize) -> String {
    format!("{} {pos}", fit(&label(&token.piece), PIECE))
}

/// `token 12 ‘·drum’`
fn token_name(token: &TokenRecord, pos: usize) -> String {
    format!("token {pos} ‘{}’", fit(&label(&token.piece), PIECE))
}

/// Tokens across, read upward.
fn tokens_across(trace: &Records) -> Axis {
    let labels = trace.tokens.iter().enumerate().map(|(pos, token)| token_label(token, pos)).collect();
    Axis { name: "token, position".to_owned(), labels, turn: Turn::Upward }
}

fn record(data: &ViewData, pos: usize) -> Result<&TokenRecord> {
    let n = data.trace.tokens.len();
    let token = data.trace.tokens.get(pos);
    token.map(|token| &**token).ok_or_else(|| anyhow::anyhow!("position {pos} is outside the run of {n} tokens"))
}

/// How wide bands of tokens are, so that a long run gives a page and no ribbon.
fn band_width(cols: usize, cell: f64, height: f64) -> f64 {
    (cols as f64 * cell * (height + 80.0) * 1.5).sqrt().max(BAND)
}
