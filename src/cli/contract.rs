//! A validation report as a table.

use crate::trace::{Finding, Report};
use unicode_width::UnicodeWidthStr;

/// Widest cell that the columns are aligned to; a wider one moves the rest of its line.
const WIDEST: usize = 38;
const HEADS: [&str; 3] = ["what", "expected", "found"];

/// One line per finding: verdict, subject, expected, found. Advice has a line of its own.
pub fn contract_text(report: &Report) -> String {
    // Names and texts from files must not look like lines of the report.
    let cell = |text: &str| text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    let of = |finding: &Finding| [cell(&finding.subject), cell(&finding.expected), cell(&finding.found)];
    let rows: Vec<[String; 3]> = report.findings.iter().map(of).collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].width()).filter(|width| *width <= WIDEST);
        widths.max().unwrap_or(0).max(HEADS[column].len())
    };
    let widths = [width(0), width(1)];
    let line = |verdict: &str, [what, expected, found]: [&str; 3]| {
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.width()));
        let (after_what, after_expected) = (pad(what, widths[0]), pad(expected, widths[1]));
        format!("  {verdict:<6} {what}{after_what}  {expected}{after_expected}  {found}\n")
    };
    let mut text = line("", HEADS);
    for (finding, row) in report.findings.iter().zip(&rows) {
        text += &line(finding.level.name(), row.each_ref().map(String::as_str));
        if !finding.advice.is_empty() {
            text += &format!("         → {}\n", cell(&finding.advice));
        }
    }
    text
}
