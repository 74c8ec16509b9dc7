//! Heads and experts of all layers by their contribution to a logit, or to the difference of two.

use crate::analysis::ModelShares;
use crate::analysis::tables::{ShareRow, TokenText, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::font::{drawable, label};
use crate::export::figure::{Bars, Figure, Panel};
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use anyhow::{Context, Result};

pub const FILES: Files = Files { figure, table };

/// The most bars of a picture; the table holds all parts.
const MOST: usize = 30;

fn found(data: &ViewData) -> Result<&ModelShares> {
    data.shares.as_deref().context("the contributions have not been computed")
}

/// `‘ Paris’ − ‘ Rome’ after 12`
fn named(found: &ModelShares) -> String {
    let foil = found.foil.as_ref().map(|foil| format!(" − ‘{}’", label(&foil.piece))).unwrap_or_default();
    format!("‘{}’{foil} after {}", label(&found.target.piece), found.watch.position)
}

fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let found = found(data)?;
    let ranked = found.ranked();
    let row = |share: &crate::analysis::Share| {
        let value = share.value();
        let parts = share.foil.map(|foil| format!("  = {:+.3} − {foil:+.3}", share.target)).unwrap_or_default();
        (share.part.to_string(), value, format!("{value:+.4}{parts}").replace('-', "−"))
    };
    let rows: Vec<_> = ranked.iter().take(MOST).map(row).collect();
    let shown: f64 = ranked.iter().take(MOST).map(crate::analysis::Share::value).sum();
    let all: f64 = ranked.iter().map(crate::analysis::Share::value).sum();
    let what = if found.foil.is_some() { "logit(target) − logit(foil)" } else { "the target's logit" };
    Ok(Figure {
        title: drawable(&format!("Contributions of all layers to {what}: {}", named(found))),
        subtitle: subtitle(&data.trace),
        legends: Vec::new(),
        panels: vec![Panel::Bars(Bars {
            rows,
            length: 300.0,
            heads: ("part".to_owned(), format!("contribution to {what}")),
        })],
        across: 1,
        notes: vec![
            format!(
                "these {} of {} parts add up to {shown:+.3}, all to {all:+.3}",
                MOST.min(ranked.len()),
                ranked.len()
            ),
            format!("{what} is {:.3}; the difference is rounding", found.logit()),
            "with the scale of the final norm frozen; nothing is run again".to_owned(),
        ],
    })
}

/// One row for each part.
fn table(data: &ViewData, _: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    let found = found(data)?;
    let ranked = found.ranked();
    write_csv(ranked.iter().map(|share| ShareRow::of(found, share, text)), out)
}
