//! Writes GGUF version 3. Nothing is checked: a test can write what no reader should accept.
#![allow(dead_code, reason = "each program that includes it uses some of it")]

use std::io::{self, Write};

/// The alignment of a file that does not say `general.alignment`.
pub const ALIGNMENT: u64 = 32;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(Vec<u8>),
    /// Id of the elements' type, and the elements.
    Array(u32, Vec<Value>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl Value {
    pub fn type_id(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(..) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    /// An array of what the elements are; an empty one is of strings.
    pub fn array<T: Into<Value>>(elements: impl IntoIterator<Item = T>) -> Self {
        let elements: Vec<Value> = elements.into_iter().map(Into::into).collect();
        Self::Array(elements.first().map_or(8, Value::type_id), elements)
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::U8(v) => out.write_all(&v.to_le_bytes()),
            Self::I8(v) => out.write_all(&v.to_le_bytes()),
            Self::U16(v) => out.write_all(&v.to_le_bytes()),
            Self::I16(v) => out.write_all(&v.to_le_bytes()),
            Self::U32(v) => out.write_all(&v.to_le_bytes()),
            Self::I32(v) => out.write_all(&v.to_le_bytes()),
            Self::F32(v) => out.write_all(&v.to_le_bytes()),
            Self::Bool(v) => out.write_all(&[u8::from(*v)]),
            Self::String(v) => write_string(v, out),
            Self::Array(type_id, elements) => {
                out.write_all(&type_id.to_le_bytes())?;
                out.write_all(&(elements.len() as u64).to_le_bytes())?;
                elements.iter().try_for_each(|element| element.write(out))
            }
            Self::U64(v) => out.write_all(&v.to_le_bytes()),
            Self::I64(v) => out.write_all(&v.to_le_bytes()),
            Self::F64(v) => out.write_all(&v.to_le_bytes()),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.as_bytes().to_vec())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    pub name: String,
    /// Fastest first: a matrix of `[out, in]` is `[in, out]` here.
    pub dims: Vec<u64>,
    pub ggml_type: u32,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<TensorInfo>,
    /// Another one than [`ALIGNMENT`] has to be in the metadata too.
    pub alignment: u64,
}

impl Header {
    /// Writes everything before the data section. Returns where in it each tensor begins; tensors are in order, and
    /// [`padding`] follows each of them.
    pub fn write(&self, out: &mut impl Write) -> io::Result<Vec<u64>> {
        let mut header = b"GGUF".to_vec();
        header.extend(3u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            write_string(key.as_bytes(), &mut header)?;
            header.extend(value.type_id().to_le_bytes());
            value.write(&mut header)?;
        }
        let mut offset = 0;
        let mut offsets = Vec::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            write_string(tensor.name.as_bytes(), &mut header)?;
            header.extend((tensor.dims.len() as u32).to_le_bytes());
            header.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            header.extend(tensor.ggml_type.to_le_bytes());
            header.extend(u64::to_le_bytes(offset));
            offsets.push(offset);
            offset += tensor.bytes + padding(tensor.bytes, self.alignment);
        }
        header.resize(header.len() + padding(header.len() as u64, self.alignment) as usize, 0);
        out.write_all(&header)?;
        Ok(offsets)
    }
}

/// Zero bytes after something of `bytes` bytes.
pub fn padding(bytes: u64, alignment: u64) -> u64 {
    bytes.next_multiple_of(alignment) - bytes
}

/// A whole file in memory; a `general.alignment` in the metadata is followed. `bytes` of each tensor is set here.
pub fn file(metadata: Vec<(String, Value)>, tensors: Vec<(TensorInfo, Vec<u8>)>) -> Vec<u8> {
    let alignment = metadata.iter().find_map(|(key, value)| match value {
        Value::U32(value) if key == "general.alignment" => Some(u64::from(*value)),
        _ => None,
    });
    let (mut infos, data): (Vec<TensorInfo>, Vec<Vec<u8>>) = tensors.into_iter().unzip();
    for (info, data) in infos.iter_mut().zip(&data) {
        info.bytes = data.len() as u64;
    }
    let header = Header { metadata, tensors: infos, alignment: alignment.unwrap_or(ALIGNMENT) };
    let mut file = Vec::new();
    header.write(&mut file).expect("writing to memory");
    for data in data {
        file.extend_from_slice(&data);
        file.resize(file.len() + padding(data.len() as u64, header.alignment) as usize, 0);
    }
    file
}

fn write_string(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}
