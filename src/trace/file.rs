//! The trace file: safetensors with `format = mixscope-trace` in its metadata.

use super::{Dtype, Hook, HookKind, Row, Trace};
use anyhow::{Context, Result, ensure};
use half::{bf16, f16};
use safetensors::tensor::{Dtype as StDtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Largest trace version this program reads.
const VERSION: u32 = 1;

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
            Values::U32(_) => anyhow::bail!("expected floating-point values, found integers"),
        }
    }

    /// The numbers of an integer tensor.
    ///
    /// # Errors
    /// If it holds floating-point values.
    pub fn u32(&self) -> Result<&[u32]> {
        match &self.values {
            Values::U32(values) => Ok(values),
            Values::F32(_) => anyhow::bail!("expected integers, found floating-point values"),
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
    /// Reads `path`.
    ///
    /// # Errors
    /// If it can't be read, is not safetensors, or is a trace of a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not a readable trace", path.display()))
    }

    /// Reads the bytes of a trace file, or of any safetensors file with f32, f16, bf16, u32 or i64 tensors.
    ///
    /// # Errors
    /// As [`TraceFile::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        if let Some(version) = metadata.get("version") {
            let newer = version.parse::<u32>().map_or(true, |version| version > VERSION);
            ensure!(!newer, "it has version {version}, this program reads version {VERSION}: update mixscope");
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let data = view.data();
            let (dtype, values) = match view.dtype() {
                StDtype::F32 => (Dtype::F32, Values::F32(words(data, f32::from_le_bytes))),
                StDtype::BF16 => (Dtype::Bf16, Values::F32(words(data, |b| bf16::from_le_bytes(b).to_f32()))),
                StDtype::F16 => (Dtype::F16, Values::F32(words(data, |b| f16::from_le_bytes(b).to_f32()))),
                StDtype::U32 => (Dtype::F32, Values::U32(words(data, u32::from_le_bytes))),
                StDtype::I64 => {
                    let wide = words(data, i64::from_le_bytes);
                    let narrow: Result<Vec<u32>, _> = wide.into_iter().map(u32::try_from).collect();
                    (Dtype::F32, Values::U32(narrow.with_context(|| format!("tensor `{name}`: index out of range"))?))
                }
                other => anyhow::bail!("tensor `{name}` has dtype {other:?}; expected F32, F16, BF16, U32 or I64"),
            };
            tensors.insert(name.to_owned(), TraceTensor { shape: view.shape().to_vec(), dtype, values });
        }
        Ok(Self { metadata, tensors })
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// If the file has none.
    pub fn get(&self, name: &str) -> Result<&TraceTensor> {
        self.tensors.get(name).with_context(|| format!("the trace holds no `{name}`"))
    }
}

fn words<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
}

/// Writes one hook of all positions, assembled from the records.
fn write_hook(trace: &Trace, hook: Hook, dtype: StDtype, shape: &[usize], out: &mut impl Write) -> Result<()> {
    let put = |out: &mut dyn Write, value: f32| match dtype {
        StDtype::BF16 => out.write_all(&bf16::from_f32(value).to_le_bytes()),
        StDtype::F16 => out.write_all(&f16::from_f32(value).to_le_bytes()),
        _ => out.write_all(&value.to_le_bytes()),
    };
    let rows = || trace.tokens.iter().filter_map(|token| token.values.get(hook));
    if hook.kind == HookKind::Pattern {
        // Records hold [heads, query + 1]; the file holds [heads, query, key] with zeros for the future.
        for head in 0..shape[0] {
            for (query, row) in rows().enumerate() {
                let Row::F32(row) = row else { continue };
                for value in &row[head * (query + 1)..(head + 1) * (query + 1)] {
                    put(out, *value)?;
                }
                for _ in query + 1..shape[2] {
                    put(out, 0.0)?;
                }
            }
        }
        return Ok(());
    }
    for row in rows() {
        match row {
            Row::F32(values) => values.iter().try_for_each(|value| put(out, *value))?,
            Row::U32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?,
        }
    }
    Ok(())
}

/// The row-major shape of `hook` over `pos` positions.
fn shape(trace: &Trace, hook: Hook, pos: usize) -> Vec<usize> {
    use HookKind as K;
    let d = trace.meta.dims;
    match hook.kind {
        K::Embed | K::LnFinal | K::ResidPre | K::Ln1 | K::AttnOut | K::ResidMid | K::Ln2 | K::MlpOut | K::ResidPost => {
            vec![pos, d.d_model]
        }
        K::Logits => vec![pos, d.vocab],
        K::Q | K::RotQ | K::Z => vec![pos, d.heads, d.d_head],
        K::K | K::V | K::RotK => vec![pos, d.kv_heads, d.d_head],
        K::Pattern => vec![d.heads, pos, pos],
        K::RouterLogits | K::ExpertWeights => vec![pos, d.experts],
        K::ExpertIndices | K::MixingWeights => vec![pos, d.top_k],
        K::ExpertOut => vec![pos, d.top_k, d.d_model],
    }
}

/// Writes every hook that was captured at every position and that `keep` wants to `path`, through a temporary file
/// beside it. `provenance` tells how the run was made.
///
/// # Errors
/// If the file can't be written.
pub fn write_trace(
    trace: &Trace,
    provenance: &serde_json::Value,
    path: &Path,
    keep: impl Fn(HookKind, usize) -> bool,
) -> Result<()> {
    let meta = &trace.meta;
    let pos = trace.tokens.len();
    let texts: Vec<&str> = trace.tokens.iter().map(|token| &*token.piece).collect();
    let metadata = BTreeMap::from([
        ("format", "mixscope-trace".to_owned()),
        ("version", VERSION.to_string()),
        ("model", meta.name.clone()),
        ("config", meta.config.to_string()),
        ("precision", meta.policy.to_string()),
        ("token_texts", serde_json::to_string(&texts)?),
        ("provenance", provenance.to_string()),
        ("validation", serde_json::to_string(&meta.report)?),
    ]);
    let exact = match meta.activation_dtype() {
        Dtype::F32 => StDtype::F32,
        Dtype::F16 => StDtype::F16,
        Dtype::Bf16 => StDtype::BF16,
    };
    let mut hooks: Vec<(Hook, StDtype, Vec<usize>)> = Vec::new();
    for hook in Hook::all(meta.dims.layers) {
        let wanted = pos > 0 && keep(hook.kind, hook.layer as usize);
        if !wanted || !trace.tokens.iter().all(|token| token.values.get(hook).is_some()) {
            continue;
        }
        // Under `f32-router` the router's logits are the one tensor that is not rounded.
        let f32_router = hook.kind == HookKind::RouterLogits && meta.policy == super::Policy::F32Router;
        let dtype = match hook.kind {
            HookKind::ExpertIndices => StDtype::U32,
            kind if kind.always_f32() || f32_router => StDtype::F32,
            _ => exact,
        };
        hooks.push((hook, dtype, shape(trace, hook, pos)));
    }
    // Wide numbers first keep every tensor aligned.
    hooks.sort_by_key(|(_, dtype, _)| std::cmp::Reverse(dtype.bitsize()));

    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::to_value(metadata)?);
    let mut end = 0;
    let mut describe = |name: String, dtype: StDtype, shape: &[usize]| {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        header.insert(name, serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
    };
    describe("tokens".to_owned(), StDtype::U32, &[pos]);
    for (hook, dtype, shape) in &hooks {
        describe(hook.to_string(), *dtype, shape);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    replace_file(path, |temp| {
        let mut out = BufWriter::with_capacity(1 << 16, temp);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        trace.tokens.iter().try_for_each(|token| out.write_all(&token.id.to_le_bytes()))?;
        for (hook, dtype, shape) in &hooks {
            write_hook(trace, *hook, *dtype, shape, &mut out)?;
        }
        Ok(out.flush()?)
    })
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
