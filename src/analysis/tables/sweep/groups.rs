use super::{parts, share};
use crate::analysis::sweep::Sweep;
use crate::analysis::tables::row::table;

table! {
    "groups.csv";
    /// One row for each group and phase: what was read, and how well the model predicted it.
    pub struct GroupRow<'a> {
        /// Name of the group: a file, a folder, or the value of a field.
        group: &'a str,
        /// `prefill` (tokens of the corpus) or `decode` (tokens that the model generated after them).
        phase: &'static str,
        /// Texts of the group that are not empty.
        texts: u64,
        /// Parts of them: a long text is read in several.
        parts: u64,
        /// Windows that were read.
        windows: u64,
        /// Tokens that were read, beginning-of-text tokens included.
        tokens: u64,
        /// Of those, tokens with a loss: all but the first of each window.
        scored: u64,
        /// Mean loss of these, -log p given the tokens before in the window, nats; empty without a model.
        loss: Option<f64>,
        /// Share of these that the model predicted first, 0 to 1.
        accuracy: Option<f64>,
    }
}

/// The rows of `groups.csv`.
pub fn groups(sweep: &Sweep) -> impl Iterator<Item = GroupRow<'_>> {
    parts(sweep).map(|(group, phase, counts)| GroupRow {
        group,
        phase: phase.name(),
        texts: sweep.groups[group].texts,
        parts: sweep.groups[group].parts,
        windows: counts.windows,
        tokens: counts.tokens,
        scored: counts.scored,
        loss: counts.loss.mean(counts.scored),
        accuracy: share(counts.right, counts.scored),
    })
}
