//! Rows as cells: the part of serde that tables need. A row is a struct of numbers, texts and missing values.

use super::column::Buffer;
use serde::ser::{Error as _, Impossible, Serialize, SerializeStruct, Serializer};
use std::fmt;

/// A value that no column can hold.
#[derive(Debug)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl serde::ser::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! refuse {
    ($(fn $name:ident($($arg:ident: $of:ty),*) -> $ok:ty;)+) => {
        $(fn $name(self, $($arg: $of),*) -> Result<$ok, Unfit> {
            $(let _ = $arg;)*
            Err(Unfit::custom(concat!("no `", stringify!($name), "` here")))
        })+
    };
}

/// What neither a row nor a value can be.
macro_rules! refuse_all {
    () => {
        refuse! {
            fn serialize_i8(value: i8) -> ();
            fn serialize_i16(value: i16) -> ();
            fn serialize_i32(value: i32) -> ();
            fn serialize_i64(value: i64) -> ();
            fn serialize_char(value: char) -> ();
            fn serialize_bytes(value: &[u8]) -> ();
            fn serialize_unit() -> ();
            fn serialize_unit_struct(name: &'static str) -> ();
            fn serialize_seq(len: Option<usize>) -> No;
            fn serialize_tuple(len: usize) -> No;
            fn serialize_tuple_struct(name: &'static str, len: usize) -> No;
            fn serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> No;
            fn serialize_map(len: Option<usize>) -> No;
            fn serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> No;
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Unfit> {
            Err(Unfit::custom("a table has no newtype variants"))
        }
    };
}

type No = Impossible<(), Unfit>;

/// Puts the fields of a row into columns.
pub struct Cells<'a> {
    columns: std::slice::IterMut<'a, Buffer>,
}

impl<'a> Cells<'a> {
    /// The columns of a table, in order.
    pub fn new(columns: &'a mut [Buffer]) -> Self {
        Self { columns: columns.iter_mut() }
    }
}

impl Serializer for Cells<'_> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = Self;
    type SerializeStructVariant = No;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unfit> {
        Ok(self)
    }

    refuse! {
        fn serialize_bool(value: bool) -> ();
        fn serialize_u8(value: u8) -> ();
        fn serialize_u16(value: u16) -> ();
        fn serialize_u32(value: u32) -> ();
        fn serialize_u64(value: u64) -> ();
        fn serialize_f32(value: f32) -> ();
        fn serialize_f64(value: f64) -> ();
        fn serialize_str(value: &str) -> ();
        fn serialize_none() -> ();
        fn serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
    }
    refuse_all!();

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Unfit> {
        Err(Unfit::custom("a row is no single value"))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Unfit> {
        Err(Unfit::custom("a row is no single value"))
    }
}

impl SerializeStruct for Cells<'_> {
    type Ok = ();
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        let column = self.columns.next().ok_or_else(|| Unfit(format!("`{name}` is a column too many")))?;
        value.serialize(Cell(column)).map_err(|error| Unfit(format!("`{name}`: {error}")))
    }

    fn end(self) -> Result<(), Unfit> {
        Ok(())
    }
}

/// One value.
struct Cell<'a>(&'a mut Buffer);

impl Serializer for Cell<'_> {
    type Ok = ();
    type Error = Unfit;
    type SerializeSeq = No;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    fn serialize_u8(self, value: u8) -> Result<(), Unfit> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unfit> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unfit> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unfit> {
        self.0.integer(value).map_err(Unfit::custom)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Unfit> {
        self.0.float(value).map_err(Unfit::custom)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Unfit> {
        self.0.double(value).map_err(Unfit::custom)
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unfit> {
        self.serialize_str(if value { "true" } else { "false" })
    }

    fn serialize_str(self, value: &str) -> Result<(), Unfit> {
        self.0.text(value).map_err(Unfit::custom)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Unfit> {
        self.serialize_str(variant)
    }

    fn serialize_none(self) -> Result<(), Unfit> {
        self.0.missing();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unfit> {
        value.serialize(self)
    }

    refuse! {
        fn serialize_struct(name: &'static str, len: usize) -> No;
    }
    refuse_all!();
}
