//! What was validated, as text.

use crate::analysis::tables::{TokenText, findings, write_csv};
use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::figure::Figure;
use crate::export::figure::font::drawable;
use crate::export::views::Files;
use crate::export::views::labels::subtitle;
use anyhow::{Result, ensure};

pub const FILES: Files = Files { figure, table };

/// What was validated, as text.
fn figure(data: &ViewData, _: &ViewSpec) -> Result<Figure> {
    let meta = &data.trace.meta;
    ensure!(!meta.report.findings.is_empty(), "what was validated is not in this trace");
    let line = |finding: &crate::trace::Finding| drawable(&format!("{:<6} {finding}", finding.level.name()));
    Ok(Figure {
        title: "What was validated when the model was opened".to_owned(),
        subtitle: subtitle(&data.trace),
        legends: Vec::new(),
        panels: Vec::new(),
        across: 1,
        notes: meta.report.findings.iter().map(line).collect(),
    })
}

/// One row for each finding.
fn table(data: &ViewData, _: &ViewSpec, _: TokenText, out: &mut Vec<u8>) -> Result<()> {
    write_csv(findings(&data.trace.meta.report), out)
}
