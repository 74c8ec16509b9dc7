//! The values of a GGUF header, read without trusting their lengths.

use anyhow::{Context, Result, bail, ensure};
use std::fmt;

/// Bytes of a key or a tensor's name (the format's own limit).
const MAX_NAME: u64 = 1 << 16;

/// A metadata value; text and arrays stay where they are in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Any float.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text as it is in the file, which may not be UTF-8.
    Text(&'a [u8]),
    /// Values of one type.
    Array(Array<'a>),
}

impl<'a> Value<'a> {
    /// A whole number that is not negative.
    pub fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(n),
            Self::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            Self::Float(x) => Some(x),
            _ => None,
        }
    }

    /// Text.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(is) => Some(is),
            _ => None,
        }
    }

    /// An array.
    pub fn array(self) -> Option<Array<'a>> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array(array) => write!(f, "an array of {}", array.len()),
            Self::Text(bytes) => {
                write!(f, "`{}`", bytes.escape_ascii().to_string().chars().take(40).collect::<String>())
            }
            Self::Unsigned(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::Float(x) => x.fmt(f),
            Self::Bool(is) => is.fmt(f),
        }
    }
}

/// An array that was checked to lie within the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    kind: u32,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (kind, mut reader) = (self.kind, Reader { bytes: self.bytes, at: 0 });
        (0..self.len).map_while(move |_| reader.value(kind).ok())
    }
}

/// Reads the parts of a header one after the other.
pub struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let taken = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.with_context(|| {
            format!("it says that {len} bytes follow at byte {}, but the file ends at {}", self.at, self.bytes.len())
        })?;
        self.at += len;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn text(&mut self) -> Result<&'a [u8]> {
        let len = self.u64()?;
        self.take(usize::try_from(len).with_context(|| format!("a text claims {len} bytes"))?)
    }

    pub fn name(&mut self) -> Result<&'a str> {
        let name = self.text()?;
        ensure!(name.len() as u64 <= MAX_NAME, "a name has {} bytes", name.len());
        std::str::from_utf8(name).context("a name is not UTF-8")
    }

    pub fn entry(&mut self) -> Result<(&'a str, Value<'a>)> {
        let key = self.name()?;
        let kind = self.u32()?;
        let value = self.value(kind).with_context(|| format!("the value of `{}`", key.escape_default()))?;
        Ok((key, value))
    }

    pub fn value(&mut self, kind: u32) -> Result<Value<'a>> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => Value::Array(self.values()?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => bail!("its type {other} is unknown"),
        })
    }

    /// Reads an array, but keeps only its place in the file.
    fn values(&mut self) -> Result<Array<'a>> {
        let kind = self.u32()?;
        let claimed = self.u64()?;
        let len = usize::try_from(claimed).with_context(|| format!("an array claims {claimed} values"))?;
        let from = self.at;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..len {
                    self.text()?;
                }
                return Ok(Array { kind, len, bytes: &self.bytes[from..self.at] });
            }
            9 => bail!("an array of arrays, which no model file has"),
            other => bail!("an array of the unknown type {other}"),
        };
        let bytes = len.checked_mul(size).with_context(|| format!("an array claims {len} values"))?;
        Ok(Array { kind, len, bytes: self.take(bytes)? })
    }
}
