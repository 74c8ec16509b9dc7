//! The tables that mixscope writes and copies: one row type per table, with its columns, and the one writer of CSV.
//!
//! A function makes the rows from records; its caller chooses where they are written. `run`, `export`, `lab` and the
//! clipboard write the same rows. To add a table: a row type with the `table!` macro, a function that makes its rows, a
//! line in [`all`].

mod attention;
mod attribution;
mod compare;
mod csv;
mod effects;
mod experiments;
mod findings;
mod lab;
mod lens;
mod next;
mod pairs;
#[cfg(feature = "tui")]
mod parquet;
mod routing;
mod row;
pub mod sweep;
mod text;
mod tokens;
mod two_runs;
mod usage;

pub use attention::{AttentionRow, HeadScoreRow, attention, head_scores};
pub use attribution::{AttributionRow, attribution};
pub use compare::CompareRow;
pub use csv::{CsvWriter, write_csv};
pub use effects::{RerouteRow, ShareRow};
pub use experiments::{AblationRow, EffectLayerRow, EffectPositionRow, PatchRow};
pub use findings::{FindingRow, findings};
pub use lab::{
    LabEndToEndRow, LabFlipRow, LabLayerRow, LabPolicyRow, LabTokenRow, lab_end_to_end, lab_flips, lab_layers,
    lab_policies, lab_tokens,
};
pub use lens::{LensRow, LensSummaryRow, TargetRow, lens, lens_summary, targets};
pub use next::{CandidateRow, candidates};
pub use pairs::{PairRow, pairs};
#[cfg(feature = "tui")]
pub use parquet::{ParquetWriter, write_parquet};
pub use routing::{RoutingRow, routing};
pub use row::{Column, Row, Table};
pub use text::TokenText;
pub use tokens::{TokenRow, tokens};
pub use two_runs::{FlipRow, LossRow};
pub use usage::{UsageRow, usage};

/// Every table that can be a file, in the order of the documentation.
pub fn all() -> Vec<&'static Table> {
    vec![
        TokenRow::TABLE,
        RoutingRow::TABLE,
        AttentionRow::TABLE,
        LensRow::TABLE,
        LensSummaryRow::TABLE,
        CandidateRow::TABLE,
        AttributionRow::TABLE,
        UsageRow::TABLE,
        PairRow::TABLE,
        HeadScoreRow::TABLE,
        TargetRow::TABLE,
        FindingRow::TABLE,
        FlipRow::TABLE,
        LossRow::TABLE,
        LabPolicyRow::TABLE,
        LabLayerRow::TABLE,
        LabFlipRow::TABLE,
        LabTokenRow::TABLE,
        EffectPositionRow::TABLE,
        EffectLayerRow::TABLE,
        AblationRow::TABLE,
        PatchRow::TABLE,
        RerouteRow::TABLE,
        ShareRow::TABLE,
        CompareRow::TABLE,
        sweep::GroupRow::TABLE,
        sweep::ExpertRow::TABLE,
        sweep::LayerRow::TABLE,
        sweep::PairRow::TABLE,
        sweep::TransitionRow::TABLE,
        sweep::RepeatRow::TABLE,
        sweep::PositionRow::TABLE,
        sweep::VocabularyRow::TABLE,
        sweep::ContextRow::TABLE,
        sweep::ChanceRow::TABLE,
        sweep::GridRow::TABLE,
    ]
}

/// Experts as a cell: `5 2`.
fn spaced(experts: &[u32]) -> String {
    experts.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}
