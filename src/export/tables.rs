//! The tables of the precision lab as files.

use crate::analysis::Lab;
use crate::analysis::tables::{
    LabFlipRow, LabLayerRow, LabPolicyRow, LabTokenRow, Row, TokenText, lab_flips, lab_layers, lab_policies,
    lab_tokens, write_csv,
};
use anyhow::Result;

/// Names of the tables of a lab.
pub const LAB_TABLES: [&str; 4] =
    [LabPolicyRow::TABLE.name, LabLayerRow::TABLE.name, LabFlipRow::TABLE.name, LabTokenRow::TABLE.name];

/// The tables of a lab as CSV, by their file names.
///
/// # Errors
/// Never in practice: only if a row can't be written to memory.
pub fn lab_tables(lab: &Lab, text: TokenText) -> Result<[(&'static str, Vec<u8>); 4]> {
    fn csv<R: Row>(rows: impl Iterator<Item = R>, text: TokenText) -> Result<(&'static str, Vec<u8>)> {
        let mut out = text.start().to_vec();
        write_csv(rows, &mut out)?;
        Ok((R::TABLE.name, out))
    }
    Ok([
        csv(lab_policies(lab, text), text)?,
        csv(lab_layers(lab), text)?,
        csv(lab_flips(lab, text), text)?,
        csv(lab_tokens(lab, text), text)?,
    ])
}
