//! The trace file: safetensors with `format = mixscope-trace` in its metadata.

mod read;
mod reader;
mod records;
mod tables;
mod write;

pub use reader::TraceReader;
pub use records::{hook_values, token_ids};
pub use tables::{LensTable, Spelling, Tables};
pub use write::TracePlan;

use super::Dtype;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// The trace version that is written, and the largest that is read.
const VERSION: u32 = 1;
/// What the metadata key `format` says.
pub const FORMAT: &str = "mixscope-trace";

/// Numbers of a trace tensor, widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floating point, whatever it was stored as.
    F32(Vec<f32>),
    /// Token ids, expert indices.
    U32(Vec<u32>),
}

/// One tensor of a trace file.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceTensor {
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// How the file stores the numbers; integers are always u32.
    pub dtype: Dtype,
    /// The numbers.
    pub values: Values,
}

impl TraceTensor {
    /// The numbers of a floating-point tensor.
    ///
    /// # Errors
    /// If it holds integers.
    pub fn f32(&self) -> Result<&[f32]> {
        match &self.values {
            Values::F32(values) => Ok(values),
            Values::U32(_) => bail!("{NOT_FLOATS}"),
        }
    }

    /// The numbers of an integer tensor.
    ///
    /// # Errors
    /// If it holds floating-point values.
    pub fn u32(&self) -> Result<&[u32]> {
        match &self.values {
            Values::U32(values) => Ok(values),
            Values::F32(_) => bail!("{NOT_INTEGERS}"),
        }
    }
}

const NOT_FLOATS: &str = "expected floating-point values, found integers";
const NOT_INTEGERS: &str = "expected integers, found floating-point values";

impl Values {
    fn into_f32(self, name: &str) -> Result<Vec<f32>> {
        match self {
            Self::F32(values) => Ok(values),
            Self::U32(_) => bail!("`{name}`: {NOT_FLOATS}"),
        }
    }

    fn into_u32(self, name: &str) -> Result<Vec<u32>> {
        match self {
            Self::U32(values) => Ok(values),
            Self::F32(_) => bail!("`{name}`: {NOT_INTEGERS}"),
        }
    }
}

/// A trace file read whole, tensors by name.
#[derive(Clone, Debug, Default)]
pub struct TraceFile {
    /// The metadata strings.
    pub metadata: HashMap<String, String>,
    /// The tensors; any subset of the hooks.
    pub tensors: BTreeMap<String, TraceTensor>,
}

impl TraceFile {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// If the file has none.
    pub fn get(&self, name: &str) -> Result<&TraceTensor> {
        self.tensors.get(name).with_context(|| format!("the trace holds no `{name}`"))
    }

    /// Takes the tensor called `name` out, if the file has it, after holding its shape against `shape`.
    ///
    /// # Errors
    /// If the shape is another.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Values>> {
        let Some(tensor) = self.tensors.remove(name) else { return Ok(None) };
        ensure!(tensor.shape == shape, "`{name}`: expected shape {shape:?}, found {:?}", tensor.shape);
        Ok(Some(tensor.values))
    }
}

/// Writes a file whole or not at all: `fill` writes a temporary file in the same folder, which then takes the name.
///
/// # Errors
/// If the folder can't be written to, the disk is full, or `fill` fails; `path` is then as it was.
pub fn replace_file(path: &Path, fill: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temp = builder.tempfile_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    fill(&mut temp).with_context(|| format!("cannot write {}", path.display()))?;
    temp.flush().with_context(|| format!("cannot write {}", path.display()))?;
    temp.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
