//! The one writer of CSV: for files, exports and the clipboard.

use super::row::{Row, Table};
use anyhow::Result;
use csv::{Terminator, Writer, WriterBuilder};
use std::io::Write;

/// Writes a table row by row: RFC 4180, a header row, floats in the fewest digits that give them back exactly.
pub struct CsvWriter<W: Write> {
    writer: Writer<W>,
    table: &'static Table,
    rows: usize,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header row.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn new(table: &'static Table, out: W) -> Result<Self> {
        let mut writer = WriterBuilder::new().has_headers(false).terminator(Terminator::CRLF).from_writer(out);
        writer.write_record(table.columns.iter().map(|column| column.name))?;
        Ok(Self { writer, table, rows: 0 })
    }

    /// Writes a row of the table.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn add<R: Row>(&mut self, row: R) -> Result<()> {
        debug_assert_eq!(R::TABLE.name, self.table.name, "a row of another table");
        self.rows += 1;
        Ok(self.writer.serialize(row)?)
    }

    /// Writes rows of the table.
    ///
    /// # Errors
    /// As [`CsvWriter::add`].
    pub fn extend<R: Row>(&mut self, rows: impl IntoIterator<Item = R>) -> Result<()> {
        rows.into_iter().try_for_each(|row| self.add(row))
    }

    /// How many rows were written, the header not included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The output. A few kilobytes may not have reached it yet.
    pub fn output(&self) -> &W {
        self.writer.get_ref()
    }

    /// Writes what is still buffered and returns the output.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// Writes a whole table.
///
/// # Errors
/// If `out` can't be written to.
pub fn write_csv<R: Row>(rows: impl IntoIterator<Item = R>, out: impl Write) -> Result<()> {
    let mut writer = CsvWriter::new(R::TABLE, out)?;
    writer.extend(rows)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tables::row::table;

    table! {
        "awkward";
        /// An awkward row.
        pub struct Awkward<'a> {
            /// A number.
            a: f32,
            /// A text
            /// of two lines.
            b: &'a str,
        }
    }

    #[test]
    fn floats_survive_and_awkward_texts_are_quoted() {
        let x = 0.1f32 + 0.2f32;
        let rows = [Awkward { a: x, b: "say \"hi\",\nthen go" }, Awkward { a: 1.0e-30, b: "é" }];
        let mut out = Vec::new();
        write_csv(rows.clone(), &mut out).unwrap();
        assert!(out.starts_with(b"a,b\r\n"), "{out:?}");
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let read: Vec<(f32, String)> = reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(read, rows.map(|row| (row.a, row.b.to_owned())));
    }

    #[test]
    fn the_documentation_of_a_row_describes_its_table() {
        let table = Awkward::TABLE;
        assert_eq!((table.name, table.about), ("awkward", "An awkward row."));
        assert_eq!(table.columns[1].about, "A text of two lines.");
        let lines = "| column | meaning |\n|---|---|\n| `a` | A number. |\n| `b` | A text of two lines. |\n";
        assert_eq!(table.markdown(), lines);
    }
}
