//! What the files hold that edits name.

mod format;
mod npy;
mod steering;
mod vector;

pub use steering::Steering;

use crate::trace::{
    Change, Dims, Edit, EditSource, HookKind as K, NO_EXPERT, Patched, Scope, TraceReader, TraceTensor,
};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// What the file of an edit holds for it. Clones share it.
#[derive(Clone, Debug)]
pub enum Data {
    /// The edit names no file.
    None,
    /// A vector.
    Vector(Arc<[f32]>),
    /// Rows of a hook.
    Rows(Arc<Rows>),
    /// Chosen experts.
    Chosen(Arc<Chosen>),
    /// Experts that are switched off and on.
    Steering(Arc<Steering>),
}

impl Data {
    /// Whether both were read together, or neither was read.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Vector(a), Self::Vector(b)) => a == b,
            (Self::Rows(a), Self::Rows(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Chosen(a), Self::Chosen(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Steering(a), Self::Steering(b)) => a == b,
            _ => false,
        }
    }
}

/// Rows of one hook of another run, by layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    layers: BTreeMap<usize, Layer>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Layer {
    /// `[pos, width]`.
    values: Vec<f32>,
    width: usize,
    /// The experts whose outputs the rows hold `[pos, k]`; empty for other hooks.
    chosen: Vec<u32>,
}

impl Rows {
    /// Keeps the rows of a layer; `values` is `[pos, width]`, `chosen` `[pos, k]` or empty.
    pub fn insert(&mut self, layer: usize, values: Vec<f32>, width: usize, chosen: Vec<u32>) {
        self.layers.insert(layer, Layer { values, width, chosen });
    }

    /// The row of a position; `None` if the other run did not have it.
    pub fn row(&self, position: usize, layer: usize) -> Option<&[f32]> {
        let of = self.layers.get(&layer)?;
        let row = of.values.get(position.checked_mul(of.width)?..)?.get(..of.width)?;
        // Empty slots hold no values.
        let (chosen, all) = (self.chosen(position, layer), of.chosen.len() * of.width / of.values.len().max(1));
        of.width.checked_div(all).map_or(Some(row), |slot| row.get(..slot * chosen.len()))
    }

    /// The experts whose outputs a row holds.
    pub fn chosen(&self, position: usize, layer: usize) -> &[u32] {
        let chosen = self.layers.get(&layer).and_then(|of| {
            let k = of.chosen.len() * of.width / of.values.len().max(1);
            let row = of.chosen.get(position * k..(position + 1) * k)?;
            Some(&row[..row.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(row.len())])
        });
        chosen.unwrap_or_default()
    }
}

/// The experts that another run chose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    layers: BTreeMap<usize, ChosenLayer>,
    /// Whether that run was made under edits, which can change how many experts a token goes through.
    is_edited: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ChosenLayer {
    k: usize,
    /// `[pos, k]`, best first.
    experts: Vec<u32>,
    /// `[pos, k]`, or empty.
    weights: Vec<f32>,
}

impl Chosen {
    /// Checks that the other run chose `count` experts a position in `layer`, or was made under edits.
    pub fn check(&self, layer: usize, count: usize) -> Result<()> {
        let Some(found) = self.layers.get(&layer).map(|of| of.k).filter(|k| *k != count && !self.is_edited) else {
            return Ok(());
        };
        bail!(
            "expected {count} experts a position in layer {layer}, found {found}: the file is of another model, or a part of \
             one; if it is meant so, put `topk L{layer} {found}` before this edit"
        )
    }

    /// The experts of a position, best first; `None` if the other run did not have the position.
    pub fn experts(&self, position: usize, layer: usize) -> Option<&[u32]> {
        let of = self.layers.get(&layer)?;
        let row = of.experts.get(position * of.k..(position + 1) * of.k)?;
        let filled = row.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(row.len());
        (filled > 0).then_some(&row[..filled])
    }

    /// The experts of a position with their recorded mixing weights.
    pub fn weights(&self, position: usize, layer: usize) -> impl Iterator<Item = (&u32, &f32)> {
        let rows = self.layers.get(&layer).and_then(|of| {
            let range = position * of.k..(position + 1) * of.k;
            Some((of.experts.get(range.clone())?, of.weights.get(range)?))
        });
        rows.into_iter().flat_map(|(experts, weights)| experts.iter().zip(weights))
    }
}

/// When a file was written last, and its length; `None` if it can't be read.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &str) -> Stamp {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

/// The files that edits name, as they were when they were read.
#[derive(Clone, Debug, Default)]
pub struct Stamps(BTreeMap<String, Stamp>);

impl Stamps {
    /// Of the files that these edits name. To be taken before they are read.
    pub fn of<'a>(edits: impl Iterator<Item = &'a Edit>) -> Self {
        Self(edits.filter_map(Edit::source).map(|source| (source.path.clone(), stamp(&source.path))).collect())
    }

    /// Whether no file was written again since. A file that is gone is as it was read.
    pub fn are_current(&self) -> bool {
        self.0.iter().all(|(path, read)| stamp(path).is_none_or(|now| Some(now) == *read))
    }
}

/// The trace files that were opened so far, so that each is opened once.
#[derive(Default)]
pub struct Files {
    traces: HashMap<String, Arc<TraceReader>>,
}

impl Files {
    /// What an edit's file holds for it.
    pub fn data(&mut self, edit: &Edit, dims: Dims) -> Result<Data> {
        let layers = edit.layers.below(dims.layers);
        let found = match &edit.change {
            Change::Add { source, .. } => vector::read(source).map(Data::Vector),
            Change::Patch { .. } => self.rows(edit, &layers, dims).map(|rows| Data::Rows(Arc::new(rows))),
            Change::Replay { source, weights } => match kind(source).as_str() {
                "npy" if *weights => bail!("`{edit}`: {} holds no weights: use `replay`", source.path),
                "npy" => npy::chosen(Path::new(&source.path), &layers, dims).map(|read| Data::Chosen(Arc::new(read))),
                "json" if *weights => bail!("`{edit}`: {} holds no weights: use `replay`", source.path),
                "json" => steering::read(Path::new(&source.path), dims).map(|read| Data::Steering(Arc::new(read))),
                _ => self.chosen(source, *weights, &layers, dims).map(|read| Data::Chosen(Arc::new(read))),
            },
            _ => return Ok(Data::None),
        };
        found.with_context(|| format!("`{edit}`"))
    }

    fn trace(&mut self, source: &EditSource) -> Result<Arc<TraceReader>> {
        if let Some(tensor) = &source.tensor {
            bail!("leave out `:{tensor}`: the hook of the edit names the tensor");
        }
        if let Some(open) = self.traces.get(&source.path) {
            return Ok(open.clone());
        }
        // A folder of a run stands for its trace, as everywhere.
        let whole = Path::new(&source.path);
        let inside = whole.join("trace.safetensors");
        let path = if whole.is_dir() { inside.as_path() } else { whole };
        let start = format::start(path)?;
        let other = match start.starts_with(format::NPY) {
            true => Some("it is an array of NumPy (.npy)".to_owned()),
            false => format::of(&start).map(|other| other.what),
        };
        if let Some(what) = other {
            let expected = "expected a trace, such as trace.safetensors of `mixscope run`";
            bail!("{} is not a readable trace: {}; {expected}", source.path, what);
        }
        let open = Arc::new(TraceReader::open(path)?);
        self.traces.insert(source.path.clone(), open.clone());
        Ok(open)
    }

    fn rows(&mut self, edit: &Edit, layers: &[usize], dims: Dims) -> Result<Rows> {
        let Change::Patch { what, source, from } = &edit.change else { return Ok(Rows::default()) };
        let (from, scope) = (*from, &edit.scope);
        let trace = self.trace(source)?;
        let kind = match what {
            Patched::Hook(kind) => *kind,
            Patched::Heads(_) => K::Z,
            Patched::Experts(_) => K::ExpertOut,
        };
        let mut rows = Rows::default();
        for layer in layers {
            let (values, shape) = floats(&trace, &kind.at(*layer).to_string())?;
            let width: usize = shape.iter().skip(1).product();
            let fits = match what {
                Patched::Hook(_) => true,
                Patched::Heads(_) => width == dims.heads * dims.d_head,
                Patched::Experts(_) => width > 0 && width.is_multiple_of(dims.d_model),
            };
            ensure!(fits, "{}: `{}` of shape {shape:?} does not fit this model", source.path, kind.at(*layer));
            if let (None, Scope::Positions(_, last)) = (from, scope)
                && *last >= shape[0]
            {
                bail!("there is no position {last} in {}: positions are 0..{}", source.path, shape[0] - 1);
            }
            if let (Some(from), Scope::Positions(first, last)) = (from, scope)
                && from + (last - first) >= shape[0]
            {
                bail!(
                    "there is no position {} in {}: positions are 0..{}",
                    from + (last - first),
                    source.path,
                    shape[0] - 1
                );
            }
            if let Some(from) = from.filter(|from| *from >= shape[0]) {
                bail!("there is no position {from} in {}: positions are 0..{}", source.path, shape[0] - 1);
            }
            let name = K::ExpertIndices.at(*layer).to_string();
            let has_slots = matches!(kind, K::ExpertOut | K::MixingWeights);
            let chosen = match what {
                Patched::Hook(_) if !has_slots || !trace.has(&name) => Vec::new(),
                _ if has_slots => integers(&trace, &name)?.0,
                _ => Vec::new(),
            };
            let slot = if kind == K::ExpertOut { dims.d_model } else { 1 };
            ensure!(
                chosen.is_empty() || chosen.len() * slot == values.len(),
                "{}: `{name}` does not fit `{}`",
                source.path,
                kind.at(*layer)
            );
            rows.insert(*layer, values, width, chosen);
        }
        Ok(rows)
    }

    fn chosen(&mut self, source: &EditSource, weights: bool, layers: &[usize], dims: Dims) -> Result<Chosen> {
        let trace = self.trace(source)?;
        let mut chosen = Chosen { is_edited: trace.metadata.contains_key("edits"), ..Chosen::default() };
        for layer in layers {
            let name = K::ExpertIndices.at(*layer).to_string();
            let (experts, shape) = integers(&trace, &name)?;
            let k = shape.iter().skip(1).product::<usize>();
            check(&experts, k, dims).with_context(|| format!("{}: `{name}`", source.path))?;
            let weights = match weights {
                true => floats(&trace, &K::MixingWeights.at(*layer).to_string())?.0,
                false => Vec::new(),
            };
            ensure!(
                weights.is_empty() || weights.len() == experts.len(),
                "{}: expected as many mixing weights as experts in layer {layer}",
                source.path
            );
            chosen.layers.insert(*layer, ChosenLayer { k, experts, weights });
        }
        Ok(chosen)
    }
}

/// Checks rows of `k` chosen experts: they exist, and none occurs twice in a row.
fn check(experts: &[u32], k: usize, dims: Dims) -> Result<()> {
    ensure!((1..=dims.experts).contains(&k), "expected 1 to {} experts a position, found {k}", dims.experts);
    for (position, row) in experts.chunks_exact(k).enumerate() {
        for (slot, expert) in row.iter().enumerate().filter(|(_, expert)| **expert != NO_EXPERT) {
            ensure!(
                (*expert as usize) < dims.experts,
                "there is no expert {expert}: experts are 0..{}",
                dims.experts - 1
            );
            ensure!(!row[..slot].contains(expert), "expert {expert} occurs twice at position {position}");
            ensure!(
                !row[..slot].contains(&NO_EXPERT),
                "an empty slot stands before expert {expert} at position {position}"
            );
        }
    }
    Ok(())
}

/// The ending of a file's name; `npy` for every array of NumPy.
fn kind(source: &EditSource) -> String {
    let path = Path::new(&source.path);
    if format::start(path).is_ok_and(|start| start.starts_with(format::NPY)) {
        return "npy".to_owned();
    }
    path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn tensor(trace: &TraceReader, name: &str) -> Result<TraceTensor> {
    let tensor = trace.tensor(name)?;
    ensure!(
        tensor.shape.len() >= 2 && tensor.shape[0] > 0,
        "`{name}`: expected a row a position, found {:?}",
        tensor.shape
    );
    Ok(tensor)
}

fn floats(trace: &TraceReader, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
    let tensor = tensor(trace, name)?;
    Ok((tensor.f32().with_context(|| format!("`{name}`"))?.to_vec(), tensor.shape))
}

fn integers(trace: &TraceReader, name: &str) -> Result<(Vec<u32>, Vec<usize>)> {
    let tensor = tensor(trace, name)?;
    Ok((tensor.u32().with_context(|| format!("`{name}`"))?.to_vec(), tensor.shape))
}
