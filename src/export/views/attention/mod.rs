//! Attention of heads.

pub mod grid;
pub mod head;
pub mod scores;

use crate::analysis::MeasuredOn;
use crate::analysis::view::{ViewData, ViewSpec};

/// A note if cells cover more than one pair of tokens.
fn pooled(block: usize) -> Vec<String> {
    if block == 1 {
        return Vec::new();
    }
    vec![format!("pooled: each cell is the largest weight of {block} × {block} query-key pairs")]
}

/// Notes about heads that were measured on random tokens, and about those without a score.
fn about_scores(data: &ViewData, spec: &ViewSpec, without: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if let (MeasuredOn::Repeated, Some(scores)) = (spec.on, &data.scores) {
        let edits = if data.trace.meta.edits.is_empty() { "" } else { ", without the edits of the run" };
        notes.push(format!(
            "heads are measured on {} random tokens given twice{edits}, not on the text",
            scores.repeated
        ));
    }
    if without > 0 {
        notes.push(format!(
            "{without} without a number: the text has no query that {} could be measured on",
            spec.measure
        ));
    }
    notes
}

/// The queries of a mean, in words.
fn queries(stride: usize) -> String {
    if stride == 1 { "queries".to_owned() } else { format!("every {stride}th query") }
}
