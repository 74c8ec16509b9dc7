//! The values of one column until they are written.

use crate::analysis::tables::row::Column;
use anyhow::{Result, bail};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::types::{Type, TypePtr};
use std::mem::take;
use std::sync::Arc;

enum Values {
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Texts(Vec<ByteArray>),
}

/// A column: its values, and for each row whether it has one.
pub struct Buffer {
    values: Values,
    /// 1 where a row has a value; empty if every row must have one.
    levels: Option<Vec<i16>>,
}

impl Buffer {
    /// The buffer of a column; types that are neither numbers nor missing numbers are texts.
    pub fn of(column: &Column) -> Self {
        let inner = column.of.strip_prefix("Option<").and_then(|of| of.strip_suffix('>'));
        let values = match inner.unwrap_or(column.of) {
            "usize" | "u64" | "u32" | "u16" | "u8" => Values::Integers(Vec::new()),
            "f32" => Values::Floats(Vec::new()),
            "f64" => Values::Doubles(Vec::new()),
            _ => Values::Texts(Vec::new()),
        };
        Self { values, levels: inner.map(|_| Vec::new()) }
    }

    /// The column in the schema.
    pub fn field(&self, name: &str) -> Result<TypePtr> {
        let (physical, logical) = match self.values {
            Values::Integers(_) => (Physical::INT64, None),
            Values::Floats(_) => (Physical::FLOAT, None),
            Values::Doubles(_) => (Physical::DOUBLE, None),
            Values::Texts(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let repetition = if self.levels.is_some() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let field = Type::primitive_type_builder(name, physical).with_repetition(repetition);
        Ok(Arc::new(field.with_logical_type(logical).build()?))
    }

    /// Adds an integer, or a number if the column holds those.
    pub fn integer(&mut self, value: u64) -> Result<()> {
        match &mut self.values {
            Values::Integers(values) => values.push(i64::try_from(value)?),
            _ => bail!("{value} is no value of this column"),
        }
        self.note(1);
        Ok(())
    }

    /// Adds a number.
    pub fn float(&mut self, value: f32) -> Result<()> {
        match &mut self.values {
            Values::Floats(values) => values.push(value),
            _ => bail!("{value} is no value of this column"),
        }
        self.note(1);
        Ok(())
    }

    /// Adds a number of double precision.
    pub fn double(&mut self, value: f64) -> Result<()> {
        match &mut self.values {
            Values::Doubles(values) => values.push(value),
            _ => bail!("{value} is no value of this column"),
        }
        self.note(1);
        Ok(())
    }

    /// Adds a text.
    pub fn text(&mut self, value: &str) -> Result<()> {
        match &mut self.values {
            Values::Texts(values) => values.push(ByteArray::from(value)),
            _ => bail!("`{value}` is no value of this column"),
        }
        self.note(1);
        Ok(())
    }

    /// Adds a row without a value.
    pub fn missing(&mut self) {
        self.note(0);
    }

    fn note(&mut self, level: i16) {
        if let Some(levels) = &mut self.levels {
            levels.push(level);
        }
    }

    /// Writes the values and forgets them.
    pub fn write(&mut self, out: &mut SerializedColumnWriter) -> Result<()> {
        let levels = self.levels.as_mut().map(take);
        let levels = levels.as_deref();
        match &mut self.values {
            Values::Integers(values) => out.typed::<Int64Type>().write_batch(&take(values), levels, None)?,
            Values::Floats(values) => out.typed::<FloatType>().write_batch(&take(values), levels, None)?,
            Values::Doubles(values) => out.typed::<DoubleType>().write_batch(&take(values), levels, None)?,
            Values::Texts(values) => out.typed::<ByteArrayType>().write_batch(&take(values), levels, None)?,
        };
        Ok(())
    }
}
