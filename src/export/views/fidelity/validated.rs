//! What was validated, as text.

use crate::analysis::view::{ViewData, ViewSpec};
use crate::export::csv::{self, Text};
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

/// `level,subject,expected,found,advice`
fn table(data: &ViewData, _: &ViewSpec, _: Text, out: &mut Vec<u8>) -> Result<()> {
    let mut writer = csv::table(out, &["level", "subject", "expected", "found", "advice"])?;
    for finding in &data.trace.meta.report.findings {
        writer.serialize(finding)?;
    }
    Ok(writer.flush()?)
}
