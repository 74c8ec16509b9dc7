//! Writing a run as a trace file.

use super::container::{FORMAT, VERSION};
use super::extra::{ExtraWriter, SPELLING};
use super::replace::replace_file;
use super::tensor::{TraceTensor, Values};
use crate::trace::{Dtype, Hook, HookKind, LensCell, LensKey, Meta, Records, Row};
use anyhow::Result;
use half::{bf16, f16};
use safetensors::tensor::Dtype as StDtype;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// A trace file that is ready to be written, with its contents and size.
pub struct TracePlan<'a> {
    trace: &'a Records,
    header: Vec<u8>,
    tensors: Vec<(Tensor, StDtype)>,
    data_bytes: u64,
}

/// Integers are written as torch indexes and gathers with: u32 is neither.
const INTEGERS: StDtype = StDtype::I64;
/// [`NO_EXPERT`](crate::trace::NO_EXPERT) in a file.
const EMPTY: i64 = -1;

/// A tensor of the file.
enum Tensor {
    /// The ids of the tokens.
    Tokens,
    /// One of the extra tables, by name.
    Table(String, TraceTensor),
    /// A hook of all positions.
    Hook(Hook),
}

impl<'a> TracePlan<'a> {
    /// Plans a file with every hook that was captured at every position and that `keep` selects, with scores and candidates
    /// if `candidates`, and with these lens cells: those of all positions, or none. `provenance` says how the run was made.
    ///
    /// # Errors
    /// If lens cells of a position are missing.
    pub fn new(
        trace: &'a Records,
        provenance: &serde_json::Value,
        candidates: bool,
        lens: &[(LensKey, Arc<LensCell>)],
        keep: impl Fn(HookKind, usize) -> bool,
    ) -> Result<Self> {
        let (meta, pos) = (&trace.meta, trace.tokens.len());
        let mut tables = ExtraWriter::default();
        tables.sources(&trace.tokens);
        tables.sinks(&meta.scores.sinks);
        if candidates {
            tables.candidates(&trace.tokens);
        }
        tables.lens(lens, pos)?;
        let texts: Vec<&str> = trace.tokens.iter().map(|token| &*token.piece).collect();
        let mut metadata = BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("version", VERSION.to_string()),
            ("model", meta.model_name().to_owned()),
            ("config", meta.config.to_string()),
            ("precision", meta.policy.to_string()),
            ("token_texts", serde_json::to_string(&texts)?),
            ("provenance", provenance.to_string()),
            ("validation", serde_json::to_string(&meta.report)?),
        ]);
        let edits = trace.edit_notes();
        if !edits.is_empty() {
            metadata.insert("edits", serde_json::to_string(&edits)?);
        }
        if !tables.spelling.is_empty() {
            let spelling: BTreeMap<u32, &str> = tables.spelling.iter().map(|(id, piece)| (*id, &**piece)).collect();
            metadata.insert(SPELLING, serde_json::to_string(&spelling)?);
        }
        let is_empty = trace.tokens.is_empty();
        let mut tensors = vec![(Tensor::Tokens, INTEGERS)];
        tensors.extend(tables.tensors.into_iter().map(|(name, tensor)| {
            let dtype = if matches!(tensor.values, Values::U32(_)) { INTEGERS } else { StDtype::F32 };
            (Tensor::Table(name, tensor), dtype)
        }));
        let wanted = |hook: &Hook| !is_empty && keep(hook.kind, hook.layer as usize) && is_whole(trace, *hook);
        tensors.extend(Hook::all(meta.dims).filter(wanted).map(|hook| (Tensor::Hook(hook), stored_dtype(meta, hook))));
        // Wide dtypes come first, which keeps every tensor aligned.
        tensors.sort_by_key(|(_, dtype)| std::cmp::Reverse(dtype.bitsize()));
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_owned(), serde_json::to_value(metadata)?);
        let mut end = 0;
        for (tensor, dtype) in &tensors {
            let (name, shape) = match tensor {
                Tensor::Tokens => ("tokens".to_owned(), vec![pos]),
                Tensor::Table(name, table) => (name.clone(), table.shape.clone()),
                Tensor::Hook(hook) => (hook.to_string(), shape(trace, *hook)),
            };
            let start = end;
            end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
            header.insert(name, serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
        }
        let data_bytes = end as u64;
        let mut header = serde_json::to_vec(&header)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(Self { trace, header, tensors, data_bytes })
    }

    /// The size of the file, bytes.
    pub fn size(&self) -> u64 {
        size_of::<u64>() as u64 + self.header.len() as u64 + self.data_bytes
    }

    /// Writes `path` through a temporary file in the same folder. The same run always gives the same bytes.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        replace_file(path, |temp| {
            let mut out = BufWriter::with_capacity(1 << 16, temp);
            out.write_all(&(self.header.len() as u64).to_le_bytes())?;
            out.write_all(&self.header)?;
            for (tensor, dtype) in &self.tensors {
                match tensor {
                    Tensor::Tokens => write_integers(self.trace.tokens.iter().map(|token| token.id), &mut out)?,
                    Tensor::Table(_, table) => match &table.values {
                        Values::F32(values) => {
                            values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
                        }
                        Values::U32(values) => write_integers(values.iter().copied(), &mut out)?,
                    },
                    Tensor::Hook(hook) => write_hook(self.trace, *hook, *dtype, &mut out)?,
                }
            }
            Ok(out.flush()?)
        })
    }
}

/// The shape of a hook of all positions. Edits change how many experts a token goes through.
fn shape(trace: &Records, hook: Hook) -> Vec<usize> {
    let mut shape = hook.kind.shape(trace.meta.dims, trace.tokens.len());
    if let Some(slots) = slots(trace, hook) {
        shape[1] = slots;
    }
    shape
}

/// The most experts of a token in the layer of a hook with a slot for each expert.
fn slots(trace: &Records, hook: Hook) -> Option<usize> {
    let width = match hook.kind {
        HookKind::ExpertIndices | HookKind::MixingWeights => 1,
        HookKind::ExpertOut => trace.meta.dims.d_model,
        _ => return None,
    };
    trace.tokens.iter().filter_map(|token| token.values.get(hook)).map(|row| row.len() / width).max()
}

/// Whether the records hold a hook at every position.
fn is_whole(trace: &Records, hook: Hook) -> bool {
    trace.tokens.iter().all(|token| token.values.get(hook).is_some())
}

/// The dtype in which a hook is stored.
fn stored_dtype(meta: &Meta, hook: Hook) -> StDtype {
    // Under `f32-router` the router's logits are the only tensor that is not rounded.
    let f32_router = hook.kind == HookKind::RouterLogits && meta.policy.keeps_router_f32();
    match (hook.kind, meta.activation_dtype()) {
        (HookKind::ExpertIndices, _) => INTEGERS,
        (kind, _) if kind.always_f32() || f32_router => StDtype::F32,
        (_, Dtype::F32) => StDtype::F32,
        (_, Dtype::F16) => StDtype::F16,
        (_, Dtype::Bf16) => StDtype::BF16,
    }
}

fn write_integers(values: impl IntoIterator<Item = u32>, out: &mut impl Write) -> Result<()> {
    for value in values {
        out.write_all(&i64::from(value).to_le_bytes())?;
    }
    Ok(())
}

/// Writes one hook of all positions, assembled from the records.
fn write_hook(trace: &Records, hook: Hook, dtype: StDtype, out: &mut impl Write) -> Result<()> {
    let put = |out: &mut dyn Write, value: f32| match dtype {
        StDtype::BF16 => out.write_all(&bf16::from_f32(value).to_le_bytes()),
        StDtype::F16 => out.write_all(&f16::from_f32(value).to_le_bytes()),
        _ => out.write_all(&value.to_le_bytes()),
    };
    let rows = || trace.tokens.iter().filter_map(|token| token.values.get(hook));
    if hook.kind == HookKind::Pattern {
        // Records hold [heads, query + 1]; the file holds [heads, query, key] with zeros for the future.
        let pos = trace.tokens.len();
        for head in 0..trace.meta.dims.heads {
            for (query, row) in rows().enumerate() {
                let Row::F32(row) = row else { continue };
                for value in &row[head * (query + 1)..(head + 1) * (query + 1)] {
                    put(out, *value)?;
                }
                for _ in query + 1..pos {
                    put(out, 0.0)?;
                }
            }
        }
        return Ok(());
    }
    let width = shape(trace, hook).iter().skip(1).product::<usize>();
    for row in rows() {
        let empty = width - row.len();
        match row {
            Row::F32(values) => {
                values.iter().try_for_each(|value| put(out, *value))?;
                (0..empty).try_for_each(|_| put(out, 0.0))?;
            }
            Row::U32(values) => {
                write_integers(values.iter().copied(), out)?;
                (0..empty).try_for_each(|_| out.write_all(&EMPTY.to_le_bytes()))?;
            }
        }
    }
    Ok(())
}
