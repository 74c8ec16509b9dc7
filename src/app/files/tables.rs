//! The tables of a run.

use super::{RunFiles, Watch, Written, pictures};
use crate::analysis::Pick;
use crate::analysis::tables::{
    self, AttentionRow, AttributionRow, CandidateRow, CsvWriter, LensRow, LensSummaryRow, RoutingRow, Row, Table,
    TokenRow, TokenText,
};
use crate::engine::{Live, Run, attribution, pattern};
use crate::trace::{LensCell, LensKey, replace_file, size};
use anyhow::{Context, Result};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Names of the tables that are written by default.
pub const TABLES: [&str; 6] = [
    TokenRow::TABLE.name,
    RoutingRow::TABLE.name,
    AttentionRow::TABLE.name,
    LensRow::TABLE.name,
    LensSummaryRow::TABLE.name,
    CandidateRow::TABLE.name,
];
/// A larger table of attention is announced before it is written, bytes.
const LARGE_TABLE: u64 = 64 << 20;
/// The size of a row of attention.csv, roughly, bytes.
const ATTENTION_ROW: u64 = 26;

/// The rows of a table that is being written.
type Rows<'a> = CsvWriter<&'a mut dyn Write>;

impl RunFiles {
    /// Writes the tables of the run.
    pub(super) fn tables(
        &self,
        run: &Run,
        cells: &[(LensKey, Arc<LensCell>)],
        heads: &[(usize, usize)],
        folder: &Path,
        written: &mut Written,
        watch: Watch,
    ) -> Result<()> {
        let (records, text) = (run.records(), self.text);
        let mut has = |table: &Table, is_there: bool| {
            if !is_there && self.lenient {
                written.notes.push(format!("{} is left out: the run does not hold it", table.name));
            }
            is_there || !self.lenient
        };
        let tokens = || records.tokens.iter().enumerate();
        table((folder, text), TokenRow::TABLE, |rows| rows.extend(tables::tokens(&records, text)))?;
        if has(RoutingRow::TABLE, self.has_routing(run)) {
            table((folder, text), RoutingRow::TABLE, |rows| {
                tokens().try_for_each(|(pos, token)| {
                    self.routed(run).try_for_each(|layer| rows.extend(tables::routing(token, pos, layer)?))
                })
            })?;
        }
        if has(CandidateRow::TABLE, !records.tokens.iter().any(|token| token.next.is_absent())) {
            table((folder, text), CandidateRow::TABLE, |rows| {
                rows.extend(tokens().flat_map(|(pos, token)| tables::candidates(token, pos, text).take(self.lens_k)))
            })?;
        }
        if has(LensRow::TABLE, !cells.is_empty()) {
            table((folder, text), LensRow::TABLE, |rows| {
                rows.extend(cells.iter().flat_map(|(key, cell)| tables::lens(*key, cell, text)))
            })?;
            table((folder, text), LensSummaryRow::TABLE, |rows| {
                rows.extend(cells.iter().map(|(key, cell)| tables::lens_summary(*key, cell)))
            })?;
        }
        if has(AttentionRow::TABLE, !heads.is_empty()) {
            self.attention(run, heads, folder, written, watch)?;
        }
        if self.attribution {
            let live = run.need_live()?;
            table((folder, text), AttributionRow::TABLE, |rows| self.attribution(live, rows, watch))?;
        }
        Ok(())
    }

    fn attention(
        &self,
        run: &Run,
        heads: &[(usize, usize)],
        folder: &Path,
        written: &mut Written,
        watch: Watch,
    ) -> Result<()> {
        let n = run.tokens().len() as u64;
        let bytes = |heads: usize| (n * (n + 1) / 2).saturating_mul(heads as u64 * ATTENTION_ROW);
        let all = heads.len();
        let chosen = if bytes(all) <= LARGE_TABLE {
            heads.to_vec()
        } else if self.lenient {
            let chosen = pictures::telling(run, heads, watch)?;
            let (count, whole) = (chosen.len(), size(bytes(all)));
            written.notes.push(format!("attention.csv holds {count} of {all} heads; all would be about {whole}"));
            chosen
        } else {
            watch.reporter.say(&format!(
                "attention.csv: about {} for {all} heads; --heads and --layers choose",
                size(bytes(all))
            ));
            heads.to_vec()
        };
        // Head by head, so that one pattern at a time is in memory.
        table((folder, self.text), AttentionRow::TABLE, |rows| {
            for (i, (layer, head)) in chosen.iter().enumerate() {
                watch.at("heads", i, chosen.len())?;
                rows.extend(tables::attention(*layer, Pick::One(*head), &pattern(run, *layer, *head)?))?;
            }
            Ok(())
        })
    }

    /// Attributes the logit of the next token at every position; at the last position that of the most probable one.
    fn attribution(&self, live: &Live, rows: &mut Rows, watch: Watch) -> Result<()> {
        let tokens = live.tokens();
        for (pos, token) in tokens.iter().enumerate() {
            watch.at("attributed positions", pos, tokens.len())?;
            let came = tokens.get(pos + 1).map(|next| next.id);
            let target = came.or_else(|| token.next.top.first().map(|best| best.id));
            let target = target.context("no candidate was kept at the last position")?;
            let found = attribution(live, pos, target, self.layers.clone(), watch.control)?;
            rows.extend(tables::attribution(&found, self.text))?;
        }
        Ok(())
    }
}

/// Writes one table into `folder`, whole or not at all.
fn table(
    (folder, text): (&Path, TokenText),
    table: &'static Table,
    fill: impl FnOnce(&mut Rows) -> Result<()>,
) -> Result<()> {
    replace_file(&folder.join(table.name), |file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.write_all(text.start())?;
        let mut rows: Rows = CsvWriter::new(table, &mut out as &mut dyn Write)?;
        fill(&mut rows)?;
        rows.finish()?;
        Ok(out.flush()?)
    })
}
