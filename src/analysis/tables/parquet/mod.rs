//! The one writer of Parquet: the same rows as CSV, with types. Unsigned integers are written as INT64, which every reader
//! takes.

mod cell;
mod column;

use super::row::{Row, Table};
use anyhow::Result;
use cell::Cells;
use column::Buffer;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::io::Write;
use std::sync::Arc;

/// Rows that are in memory together.
const GROUP: usize = 1 << 18;

/// Writes a table row by row.
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Buffer>,
    waiting: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file. The same rows give the same bytes.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn new(table: &'static Table, out: W) -> Result<Self> {
        let columns: Vec<Buffer> = table.columns.iter().map(Buffer::of).collect();
        let fields = columns.iter().zip(table.columns).map(|(buffer, column)| buffer.field(column.name));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let program = concat!("mixscope version ", env!("CARGO_PKG_VERSION")).to_owned();
        let properties =
            WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by(program).build();
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { file, columns, waiting: 0 })
    }

    /// Writes a row of the table.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn add<R: Row>(&mut self, row: &R) -> Result<()> {
        row.serialize(Cells::new(&mut self.columns))?;
        self.waiting += 1;
        if self.waiting == GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let mut group = self.file.next_row_group()?;
        let mut columns = self.columns.iter_mut();
        while let (Some(mut writer), Some(column)) = (group.next_column()?, columns.next()) {
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        self.waiting = 0;
        Ok(())
    }

    /// Writes what is still buffered and the end of the file.
    ///
    /// # Errors
    /// If the output can't be written to.
    pub fn finish(mut self) -> Result<()> {
        if self.waiting > 0 {
            self.flush()?;
        }
        self.file.close()?;
        Ok(())
    }
}

/// Writes a whole table.
///
/// # Errors
/// If `out` can't be written to.
pub fn write_parquet<R: Row>(rows: impl IntoIterator<Item = R>, out: impl Write + Send) -> Result<()> {
    let mut writer = ParquetWriter::new(R::TABLE, out)?;
    rows.into_iter().try_for_each(|row| writer.add(&row))?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tables::row::table;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    table! {
        "awkward";
        /// An awkward row.
        pub struct Awkward<'a> {
            /// A number.
            a: f32,
            /// A number that may be missing.
            b: Option<u64>,
            /// A text.
            c: &'a str,
            /// A number that is always missing.
            d: Option<f64>,
        }
    }

    #[test]
    fn rows_survive_with_their_types() {
        let x = 0.1f32 + 0.2f32;
        let rows =
            [Awkward { a: x, b: Some(1 << 40), c: "é\n", d: None }, Awkward { a: 1e-30, b: None, c: "", d: None }];
        let mut out = Vec::new();
        write_parquet(rows.clone(), &mut out).unwrap();
        let mut again = Vec::new();
        write_parquet(rows, &mut again).unwrap();
        assert_eq!(out, again);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&out).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let read: Vec<Vec<Field>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().get_column_iter().map(|(_, field)| field.clone()).collect())
            .collect();
        assert_eq!(read[0], [Field::Float(x), Field::Long(1 << 40), Field::Str("é\n".into()), Field::Null]);
        assert_eq!(read[1], [Field::Float(1e-30), Field::Null, Field::Str(String::new()), Field::Null]);
    }
}
