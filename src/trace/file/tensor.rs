use crate::trace::{Dtype, NO_EXPERT};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};

/// Numbers of a trace tensor, widened to 32 bits.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floating-point values.
    F32(Vec<f32>),
    /// Token ids, expert indices.
    U32(Vec<u32>),
}

/// One tensor of a trace file.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceTensor {
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The stored dtype of floating-point values.
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

    /// Appends empty slots to each row of a hook with a slot for each chosen expert, until it has at least `slots`.
    pub fn widen(&mut self, slots: usize) {
        let [rows, own, width @ ..] = &self.shape[..] else { return };
        let (rows, own, width) = (*rows, *own, width.iter().product::<usize>());
        if slots <= own {
            return;
        }
        fn widened<T: Copy>(values: &[T], rows: usize, [from, to]: [usize; 2], empty: T) -> Vec<T> {
            let row = |row: usize| {
                let filled = values[row * from..(row + 1) * from].iter().copied();
                filled.chain(std::iter::repeat_n(empty, to - from))
            };
            (0..rows).flat_map(row).collect()
        }
        let sizes = [own * width, slots * width];
        self.values = match &self.values {
            Values::F32(values) => Values::F32(widened(values, rows, sizes, 0.0)),
            Values::U32(values) => Values::U32(widened(values, rows, sizes, NO_EXPERT)),
        };
        self.shape[1] = slots;
    }
}

const NOT_FLOATS: &str = "expected floating-point values, found integers";
const NOT_INTEGERS: &str = "expected integers, found floating-point values";

impl Values {
    pub(super) fn into_f32(self, name: &str) -> Result<Vec<f32>> {
        match self {
            Self::F32(values) => Ok(values),
            Self::U32(_) => bail!("`{name}`: {NOT_FLOATS}"),
        }
    }

    pub(super) fn into_u32(self, name: &str) -> Result<Vec<u32>> {
        match self {
            Self::U32(values) => Ok(values),
            Self::F32(_) => bail!("`{name}`: {NOT_INTEGERS}"),
        }
    }
}

/// A whole trace file in memory, with its tensors by name.
#[derive(Clone, Debug, Default)]
pub struct TraceFile {
    /// The metadata strings.
    pub metadata: HashMap<String, String>,
    /// The tensors by name; hooks may be missing.
    pub tensors: BTreeMap<String, TraceTensor>,
}

impl TraceFile {
    /// The tensor `name`.
    ///
    /// # Errors
    /// If the file has no such tensor.
    pub fn get(&self, name: &str) -> Result<&TraceTensor> {
        self.tensors.get(name).with_context(|| format!("the trace has no tensor `{name}`"))
    }

    /// Removes the tensor `name` and returns its numbers; `None` if the file has no such tensor.
    ///
    /// # Errors
    /// If its shape is not `shape`.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Values>> {
        let Some(tensor) = self.tensors.remove(name) else { return Ok(None) };
        ensure!(tensor.shape == shape, "`{name}`: expected shape {shape:?}, found {:?}", tensor.shape);
        Ok(Some(tensor.values))
    }
}
