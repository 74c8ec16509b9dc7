//! The files of a sweep.

use crate::analysis::sweep::{Count, Cursor, Shard, Sweep};
use crate::analysis::tables::sweep::{
    ChanceRow, ContextRow, ExpertRow, GroupRow, LayerRow, PairRow, PositionRow, RepeatRow, TransitionRow,
    VocabularyRow, chance, contexts, experts, groups, layers, pairs, positions, repeats, transitions, vocabulary,
};
use crate::analysis::tables::{ParquetWriter, Row, Table, TokenText, write_csv};
use crate::app::files::Reporter;
use crate::export::sweep_json;
use crate::trace::replace_file;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The exact counts and sums.
pub const STATE: &str = "sweep.safetensors";
/// The same of a sweep that is not done.
pub const PARTIAL: &str = "sweep.partial.safetensors";
/// The file that describes the others: written last.
const DESCRIPTION: &str = "sweep.json";
/// The tables.
const TABLES: [&Table; 10] = [
    GroupRow::TABLE,
    ExpertRow::TABLE,
    LayerRow::TABLE,
    PairRow::TABLE,
    TransitionRow::TABLE,
    RepeatRow::TABLE,
    PositionRow::TABLE,
    VocabularyRow::TABLE,
    ContextRow::TABLE,
    ChanceRow::TABLE,
];
/// Rows of the summary.
const SHOWN: usize = 12;

/// Which tables are written, and how.
#[derive(Clone, Copy)]
pub struct Tables {
    pub csv: bool,
    pub parquet: bool,
    pub text: TokenText,
    /// Tokens that occur less often are left out of the vocabulary.
    pub least: u64,
}

/// The files of a sweep in a folder.
pub struct Files {
    pub out: PathBuf,
    pub tables: Tables,
}

impl Files {
    /// Names of the files. A shard has no tables: these are made of all shards.
    pub fn names(&self, shard: Option<Shard>) -> Vec<String> {
        let mut names = Vec::new();
        for table in TABLES.into_iter().filter(|_| shard.is_none()) {
            names.extend(self.tables.csv.then(|| table.name.to_owned()));
            names.extend(self.tables.parquet.then(|| parquet_name(table)));
        }
        names.extend([STATE.to_owned(), DESCRIPTION.to_owned()]);
        names
    }

    /// Writes all files.
    ///
    /// # Errors
    /// If one can't be written.
    pub fn write(&self, sweep: &Sweep, reporter: &dyn Reporter) -> Result<()> {
        if sweep.about.shard.is_none() {
            let (text, least) = (self.tables.text, self.tables.least);
            let mut done = 0;
            let mut next = || {
                reporter.progress("tables", done, TABLES.len());
                done += 1;
            };
            self.table(|| groups(sweep), &mut next)?;
            self.table(|| experts(sweep), &mut next)?;
            self.table(|| layers(sweep), &mut next)?;
            self.table(|| pairs(sweep), &mut next)?;
            self.table(|| transitions(sweep), &mut next)?;
            self.table(|| repeats(sweep), &mut next)?;
            self.table(|| positions(sweep), &mut next)?;
            self.table(|| vocabulary(sweep, least, text), &mut next)?;
            self.table(|| contexts(sweep, text), &mut next)?;
            self.table(|| chance(sweep), &mut next)?;
        }
        save(&self.out.join(STATE), sweep, None)?;
        let json = sweep_json(sweep, &self.names(sweep.about.shard))?;
        replace_file(&self.out.join(DESCRIPTION), |file| Ok(file.write_all(&json)?))
    }

    fn table<R: Row, I: Iterator<Item = R>>(&self, rows: impl Fn() -> I, next: &mut dyn FnMut()) -> Result<()> {
        next();
        if self.tables.csv {
            replace_file(&self.out.join(R::TABLE.name), |file| {
                let mut out = BufWriter::with_capacity(1 << 16, file);
                out.write_all(self.tables.text.start())?;
                write_csv(rows(), &mut out)?;
                Ok(out.flush()?)
            })?;
        }
        if self.tables.parquet {
            replace_file(&self.out.join(parquet_name(R::TABLE)), |file| {
                let mut writer = ParquetWriter::new(R::TABLE, BufWriter::with_capacity(1 << 16, file))?;
                rows().try_for_each(|row| writer.add(&row))?;
                writer.finish()
            })?;
        }
        Ok(())
    }
}

fn parquet_name(table: &Table) -> String {
    table.name.replace(".csv", ".parquet")
}

/// Writes the exact counts and sums, and where the sweep stopped.
///
/// # Errors
/// If the file can't be written.
pub fn save(path: &Path, sweep: &Sweep, cursor: Option<&Cursor>) -> Result<()> {
    replace_file(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        sweep.write(cursor, &mut out)?;
        Ok(out.flush()?)
    })
}

/// Reads exact counts and sums.
///
/// # Errors
/// If the file is missing or is no sweep.
pub fn read(path: &Path) -> Result<Sweep> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Sweep::parse(&bytes).with_context(|| format!("{} is not a readable sweep", path.display()))
}

/// The totals, and the largest groups, as text.
pub fn summary(sweep: &Sweep) -> String {
    let mut rows: Vec<GroupRow> = groups(sweep).collect();
    rows.sort_by(|a, b| b.tokens.cmp(&a.tokens).then(a.group.cmp(b.group)));
    let width = rows.iter().take(SHOWN).map(|row| row.group.chars().count()).max().unwrap_or(0).clamp(5, 40);
    let mut out = format!(
        "{:<width$} {:>8} {:>12} {:>8} {:>9}  most specialised expert\n",
        "group", "texts", "tokens", "loss", "accuracy"
    );
    for row in rows.iter().take(SHOWN) {
        let name: String = row.group.chars().take(40).collect();
        let loss = row.loss.map_or_else(String::new, |loss| format!("{loss:.4}"));
        let accuracy = row.accuracy.map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share));
        let most = most_specialised(sweep, row);
        let _ = writeln!(out, "{name:<width$} {:>8} {:>12} {loss:>8} {accuracy:>9}  {most}", row.texts, row.tokens);
    }
    if rows.len() > SHOWN {
        let _ = writeln!(out, "and {} more in groups.csv", rows.len() - SHOWN);
    }
    out
}

/// The expert with the largest share of a group's tokens: `L3.E5 41 % (25 % at random)`.
fn most_specialised(sweep: &Sweep, row: &GroupRow) -> String {
    let Some(counts) = sweep.groups.get(row.group).and_then(|group| group.phases.values().next()) else {
        return String::new();
    };
    let shape = counts.shape();
    let shares = (0..shape.layers).flat_map(|layer| {
        let tokens = counts.one(Count::Tokens, layer).max(1) as f64;
        counts.of(Count::Chosen, layer).iter().enumerate().map(move |(expert, n)| (*n as f64 / tokens, layer, expert))
    });
    let most = shares.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let at_random = 100.0 * shape.top_k as f64 / shape.experts as f64;
    most.map_or_else(String::new, |(share, layer, expert)| {
        format!("L{layer}.E{expert} {:.0} % of tokens ({at_random:.0} % at random)", 100.0 * share)
    })
}
