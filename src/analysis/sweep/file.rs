//! A sweep as the bytes of a safetensors file, exactly, so that shards can be merged from files.

use super::about::{About, Cursor};
use super::contexts::Sample;
use super::counts::{Count, Counts, Total};
use super::null::Unit;
use super::reading::Phase;
use super::state::{Group, Sweep, Wide};
use super::sum::Sum;
use super::vocabulary::TokenKind;
use crate::trace::Piece;
use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// The value of `format` in the description.
const FORMAT: &str = "mixscope-sweep";
/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;
/// The tensor that holds the description as JSON.
const ABOUT: &str = "about";
const CONTEXTS: &str = "contexts";
const PIECES: &str = "pieces";
const UNIT_TOKENS: &str = "units.tokens";
const UNIT_CHOSEN: &str = "units.chosen";

/// More layers or experts are no model's.
const MOST: usize = 1 << 16;

/// The single numbers of [`Counts`], in the order of the tensor `numbers`.
const NUMBERS: usize = 6;

/// A tensor to write: name, dtype, shape, bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// The description of a sweep in its file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u64,
    about: About,
    groups: Vec<(String, u64, u64, Vec<Phase>)>,
    /// Hash, number and group of the parts whose labels can be shuffled.
    units: Vec<(u64, u64, String)>,
}

impl Sweep {
    /// Writes the sweep as a safetensors file, with where it stopped. The same sweep always gives the same bytes.
    ///
    /// # Errors
    /// If `out` can't be written to.
    pub fn write(&self, cursor: Option<&Cursor>, out: &mut dyn Write) -> Result<()> {
        let phases = |group: &Group| group.phases.keys().copied().collect();
        let groups = self.groups.iter().map(|(name, group)| (name.clone(), group.texts, group.parts, phases(group)));
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            about: About { cursor: cursor.cloned(), ..self.about.clone() },
            groups: groups.collect(),
            units: self.units.kept.iter().map(|((hash, part), unit)| (*hash, *part, unit.group.clone())).collect(),
        };
        let mut tensors = Vec::new();
        for (index, group) in self.groups.values().enumerate() {
            for (phase, counts) in &group.phases {
                counts_tensors(&format!("groups.{index}.{}", phase.name()), counts, &mut tensors);
            }
        }
        let mut contexts: BTreeMap<Phase, &Vec<[Vec<Sample>; 2]>> = BTreeMap::new();
        for (phase, wide) in &self.wide {
            contexts.insert(*phase, &wide.contexts.kept);
            vocabulary_tensors(*phase, wide, self.about.model.shape.layers, &mut tensors);
        }
        if !self.units.kept.is_empty() {
            let units = || self.units.kept.values();
            let shape = self.about.model.shape;
            let dims = vec![units().count(), shape.layers, shape.experts];
            tensors.push((
                UNIT_TOKENS.to_owned(),
                Dtype::U64,
                dims[..1].to_vec(),
                words(units().map(|unit| unit.tokens)),
            ));
            let chosen = words(units().flat_map(|unit| unit.chosen.iter().copied()));
            tensors.push((UNIT_CHOSEN.to_owned(), Dtype::U64, dims, chosen));
        }
        let pieces: Vec<(u32, &str, bool)> =
            self.pieces.iter().map(|(id, piece)| (*id, piece.spelling(), piece.is_byte_level())).collect();
        // Wide dtypes come first, which keeps every tensor aligned.
        tensors.sort_by_key(|(_, dtype, ..)| std::cmp::Reverse(dtype.bitsize()));
        for (name, text) in [
            (ABOUT, serde_json::to_vec_pretty(&header)?),
            (CONTEXTS, serde_json::to_vec(&contexts)?),
            (PIECES, serde_json::to_vec(&pieces)?),
        ] {
            tensors.push((name.to_owned(), Dtype::U8, vec![text.len()], text));
        }
        let (mut head, mut end) = (serde_json::Map::new(), 0);
        head.insert("__metadata__".to_owned(), json!({ "format": FORMAT }));
        for (name, dtype, shape, bytes) in &tensors {
            let start = end;
            end += bytes.len();
            head.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
        }
        let mut head = serde_json::to_vec(&Value::Object(head))?;
        head.resize(head.len().next_multiple_of(8), b' ');
        out.write_all(&(head.len() as u64).to_le_bytes())?;
        out.write_all(&head)?;
        tensors.iter().try_for_each(|(.., bytes)| out.write_all(bytes))?;
        Ok(())
    }

    /// Reads what [`Sweep::write`] wrote.
    ///
    /// # Errors
    /// If the bytes are no sweep, of another version, or contradict themselves.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).context("it is not in the format of safetensors")?;
        let text = |name: &str| -> Result<&[u8]> {
            let tensor = file.tensor(name).with_context(|| format!("it has no `{name}`; it is no sweep"))?;
            ensure!(tensor.dtype() == Dtype::U8, "`{name}`: expected bytes, found {:?}", tensor.dtype());
            Ok(tensor.data())
        };
        let value: Value = serde_json::from_slice(text(ABOUT)?).context("its description is not JSON")?;
        let found = value.get("format").and_then(Value::as_str).unwrap_or("none");
        ensure!(found == FORMAT, "`format`: expected `{FORMAT}`, found {found:?}");
        let version = value.get("version").and_then(Value::as_u64);
        ensure!(
            version == Some(VERSION),
            "it has version {}, this program reads version {VERSION}",
            version.map_or_else(|| "none".to_owned(), |version| version.to_string())
        );
        let header: Header = serde_json::from_value(value).context("its description is incomplete")?;
        let mut sweep = Sweep::new(header.about);
        let shape = sweep.about.model.shape;
        ensure!(
            (1..=MOST).contains(&shape.layers)
                && (1..=MOST).contains(&shape.experts)
                && shape.window > 0
                && shape.top_k <= shape.experts,
            "its sizes are impossible: {shape:?}"
        );
        for (index, (name, texts, parts, phases)) in header.groups.into_iter().enumerate() {
            let read = |phase: Phase| {
                let counts = counts_of(&file, &format!("groups.{index}.{}", phase.name()), &sweep.about)?;
                Ok((phase, counts))
            };
            let phases = phases.into_iter().map(read).collect::<Result<_>>()?;
            sweep.groups.insert(name, Group { texts, parts, phases });
        }
        if !header.units.is_empty() {
            let (count, width) = (header.units.len(), shape.layers * shape.experts);
            let tokens = read_words(&file, UNIT_TOKENS, Some(count))?;
            let all = count.checked_mul(width).context("its sizes are too large")?;
            let chosen = read_words(&file, UNIT_CHOSEN, Some(all))?;
            let counts = tokens.into_iter().zip(chosen.chunks_exact(width));
            for ((hash, part, group), (tokens, chosen)) in header.units.into_iter().zip(counts) {
                sweep.units.kept.insert((hash, part), Unit { group, tokens, chosen: chosen.to_vec() });
            }
        }
        let contexts: BTreeMap<Phase, Vec<[Vec<Sample>; 2]>> =
            serde_json::from_slice(text(CONTEXTS)?).context("its contexts can't be read")?;
        for (phase, kept) in contexts {
            ensure!(kept.len() == shape.layers * shape.experts, "its contexts are of {} experts", kept.len());
            let is_sound = |sample: &Sample| sample.at < sample.ids.len() && sample.prob.is_finite();
            ensure!(kept.iter().flatten().flatten().all(is_sound), "one of its contexts is damaged");
            let mut wide = Wide::new(&sweep.about);
            wide.contexts.kept = kept;
            read_vocabulary(&file, phase, &mut wide, &sweep.about)?;
            sweep.wide.insert(phase, wide);
        }
        let pieces: Vec<(u32, String, bool)> =
            serde_json::from_slice(text(PIECES)?).context("its token texts can't be read")?;
        sweep.pieces = pieces
            .into_iter()
            .map(|(id, spelling, is_byte_level)| {
                (id, if is_byte_level { Piece::byte_level(&spelling) } else { Piece::from(spelling) })
            })
            .collect();
        Ok(sweep)
    }
}

fn words(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    numbers.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn counts_tensors(prefix: &str, counts: &Counts, tensors: &mut Vec<Tensor>) {
    let shape = counts.shape();
    let [low, high] = counts.loss.halves();
    let numbers = [counts.windows, counts.tokens, counts.scored, counts.right, low, high];
    tensors.push((format!("{prefix}.numbers"), Dtype::U64, vec![NUMBERS], words(numbers)));
    for count in Count::ALL {
        let bytes = words(counts.counts[count as usize].iter().copied());
        tensors.push((format!("{prefix}.{}", count.name()), Dtype::U64, vec![shape.layers, count.width(shape)], bytes));
    }
    for total in Total::ALL {
        let bytes = words(counts.totals[total as usize].iter().flat_map(|sum| sum.halves()));
        let dims = vec![shape.layers, total.width(shape), 2];
        tensors.push((format!("{prefix}.sum_of_{}", total.name()), Dtype::U64, dims, bytes));
    }
    let bytes = counts.largest.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensors.push((format!("{prefix}.largest"), Dtype::F32, vec![shape.layers, shape.experts], bytes));
}

fn tensor<'f>(file: &'f SafeTensors, name: &str, dtype: Dtype, count: Option<usize>) -> Result<TensorView<'f>> {
    let tensor = file.tensor(name).with_context(|| format!("it has no `{name}`"))?;
    ensure!(tensor.dtype() == dtype, "`{name}`: expected {dtype:?}, found {:?}", tensor.dtype());
    let found = tensor.shape().iter().product::<usize>();
    if let Some(count) = count.filter(|count| *count != found) {
        bail!("`{name}`: expected {count} numbers, found {found}");
    }
    Ok(tensor)
}

fn read_words(file: &SafeTensors, name: &str, count: Option<usize>) -> Result<Vec<u64>> {
    let tensor = tensor(file, name, Dtype::U64, count)?;
    Ok(tensor.data().as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
}

fn counts_of(file: &SafeTensors, prefix: &str, about: &About) -> Result<Counts> {
    let shape = about.model.shape;
    let width = |width: usize| shape.layers.checked_mul(width).context("its sizes are too large");
    // Before anything of these sizes is made, the file must be as large.
    read_words(file, &format!("{prefix}.{}", Count::NextFirst.name()), Some(width(Count::NextFirst.width(shape))?))?;
    let mut counts = Counts::new(shape);
    let numbers = read_words(file, &format!("{prefix}.numbers"), Some(NUMBERS))?;
    (counts.windows, counts.tokens, counts.scored, counts.right) = (numbers[0], numbers[1], numbers[2], numbers[3]);
    counts.loss = Sum::of_halves([numbers[4], numbers[5]]);
    for count in Count::ALL {
        let name = format!("{prefix}.{}", count.name());
        counts.counts[count as usize] = read_words(file, &name, Some(width(count.width(shape))?))?;
    }
    for total in Total::ALL {
        let name = format!("{prefix}.sum_of_{}", total.name());
        let halves = read_words(file, &name, Some(width(2 * total.width(shape))?))?;
        counts.totals[total as usize] = halves.as_chunks().0.iter().map(|halves| Sum::of_halves(*halves)).collect();
    }
    let largest = tensor(file, &format!("{prefix}.largest"), Dtype::F32, Some(width(shape.experts)?))?;
    counts.largest = largest.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(counts)
}

fn vocabulary_tensors(phase: Phase, wide: &Wide, layers: usize, tensors: &mut Vec<Tensor>) {
    for kind in wide.vocabulary.kinds() {
        for layer in 0..layers {
            let prefix = vocabulary_name(phase, *kind, layer);
            let (mut ids, mut counts, mut width) = (Vec::new(), Vec::new(), 0);
            for (id, first, chosen) in wide.vocabulary.tokens(*kind, layer) {
                ids.extend(id.to_le_bytes());
                counts.extend(words(first.iter().chain(chosen).copied()));
                width = first.len();
            }
            let tokens = ids.len() / size_of::<u32>();
            tensors.push((format!("{prefix}.tokens"), Dtype::U32, vec![tokens], ids));
            tensors.push((format!("{prefix}.counts"), Dtype::U64, vec![tokens, 2, width], counts));
        }
    }
}

fn vocabulary_name(phase: Phase, kind: TokenKind, layer: usize) -> String {
    format!("vocabulary.{}.{}.{layer}", phase.name(), kind.name())
}

fn read_vocabulary(file: &SafeTensors, phase: Phase, wide: &mut Wide, about: &About) -> Result<()> {
    let shape = about.model.shape;
    for kind in &about.options.vocabulary {
        for layer in 0..shape.layers {
            let prefix = vocabulary_name(phase, *kind, layer);
            let ids = tensor(file, &format!("{prefix}.tokens"), Dtype::U32, None)?;
            let ids = ids.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
            let width = 2 * shape.experts;
            let counts = read_words(file, &format!("{prefix}.counts"), Some(ids.len() * width))?;
            for (id, counts) in ids.zip(counts.chunks_exact(width)) {
                ensure!(
                    wide.vocabulary.set(*kind, layer, id, counts),
                    "`{prefix}`: token {id} is outside the vocabulary of {} tokens",
                    shape.vocab
                );
            }
        }
    }
    Ok(())
}
