use super::row::table;
use crate::trace::{Level, Report};

table! {
    "fidelity";
    /// One row for each thing that was checked while the model was opened.
    pub struct FindingRow<'a> {
        /// `ok`, `note` (changes nothing), `warn` (something contradicts something else) or `refuse`.
        level: Level,
        /// The file, tensor or key that was checked.
        subject: &'a str,
        /// What was expected.
        expected: &'a str,
        /// What was found.
        found: &'a str,
        /// What to do about it; empty if nothing.
        advice: &'a str,
    }
}

/// The rows of `fidelity`.
pub fn findings(report: &Report) -> impl Iterator<Item = FindingRow<'_>> {
    report.findings.iter().map(|finding| FindingRow {
        level: finding.level,
        subject: &finding.subject,
        expected: &finding.expected,
        found: &finding.found,
        advice: &finding.advice,
    })
}
