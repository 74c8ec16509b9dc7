//! The candidates for the next token.

use crate::analysis::tables::{TokenText, candidates, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::font::{fit, label};
use crate::export::figure::{Bars, Figure, Panel};
use crate::export::views::Files;
use crate::export::views::labels::{PIECE, record, subtitle, token_name};
use anyhow::{Result, ensure};

pub const FILES: Files = Files { figure, table };

/// The most bars of a picture; the table holds all candidates.
const MOST: usize = 40;

/// Probabilities of the candidates.
fn figure(data: &ViewData, spec: &ViewSpec) -> Result<Figure> {
    let token = record(data, spec.pos)?;
    let top = &token.next.top;
    ensure!(!top.is_empty(), "the candidates after position {} are not in this run", spec.pos);
    let mut mass = 0.0;
    let mut rows = Vec::new();
    for (i, candidate) in top.iter().take(MOST).enumerate() {
        mass += candidate.prob;
        let name = format!("{}  {}", fit(&label(&candidate.piece), PIECE + 6), i + 1);
        rows.push((name, f64::from(candidate.prob), format!("{:.4}  Σ {mass:.4}", candidate.prob)));
    }
    Ok(Figure {
        title: format!("Next token after {}", token_name(token, spec.pos)),
        subtitle: subtitle(&data.trace),
        legends: Vec::new(),
        panels: vec![Panel::Bars(Bars {
            rows,
            length: 360.0,
            heads: ("candidate, rank".to_owned(), "probability".to_owned()),
        })],
        across: 1,
        notes: vec![
            "at each bar: the probability, and the sum of all down to it".to_owned(),
            format!("entropy of the whole distribution {:.3} nats; before temperature", token.next.entropy),
        ],
    })
}

/// Rows as in `candidates.csv`, of one position.
fn table(data: &ViewData, spec: &ViewSpec, text: TokenText, out: &mut Vec<u8>) -> Result<()> {
    write_csv(candidates(record(data, spec.pos)?, spec.pos, text), out)
}
