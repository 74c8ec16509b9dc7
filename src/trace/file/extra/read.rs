use super::names::{LENS_LAYERS, SINKS, SITES, SOURCE, SOURCES, Spelling};
use crate::trace::file::by_position::check_below;
use crate::trace::file::tensor::{TraceFile, Values};
use crate::trace::{Candidate, Dims, LensCell, Piece, Prediction, Score, Source};
use anyhow::{Context, Result, bail};

/// The extra tables of a trace; `None` for those that it lacks.
#[derive(Clone, Debug, Default)]
pub struct ExtraTables {
    /// The source of each token `[pos]`.
    pub sources: Option<Vec<Source>>,
    /// The scores of all tokens but the first `[pos - 1]`.
    pub scores: Option<Vec<Score>>,
    /// The distribution after each position `[pos]`.
    pub next: Option<Vec<Prediction>>,
    /// Attention sinks `[layers][heads]`.
    pub sinks: Option<Vec<Vec<f32>>>,
    /// Lens cells of resid_mid and resid_post.
    pub lens: [Option<LensTable>; 2],
}

/// The lens of one site.
#[derive(Clone, Debug)]
pub struct LensTable {
    layers: Vec<usize>,
    k: usize,
    /// `[pos, layers, k]`
    ids: Vec<u32>,
    logits: Vec<f32>,
    probs: Vec<f32>,
    /// `[pos, layers]`
    final_rank: Vec<u32>,
    final_prob: Vec<f32>,
    entropy: Vec<f32>,
    kl: Vec<f32>,
}

impl LensTable {
    /// Whether the table holds this layer.
    pub fn has(&self, layer: usize) -> bool {
        self.layers.contains(&layer)
    }

    /// One cell with at most its `top` best tokens, spelled by `spell`.
    pub fn cell(&self, pos: usize, layer: usize, top: usize, spell: impl Fn(u32) -> Piece) -> Option<LensCell> {
        let at = pos * self.layers.len() + self.layers.iter().position(|l| *l == layer)?;
        let candidates = (at * self.k..(at + 1) * self.k).take(top).map(|i| {
            let id = *self.ids.get(i)?;
            Some(Candidate { id, piece: spell(id), logit: self.logits[i], prob: self.probs[i] })
        });
        Some(LensCell {
            top: candidates.collect::<Option<_>>()?,
            final_rank: *self.final_rank.get(at)?,
            final_prob: self.final_prob[at],
            entropy: self.entropy[at],
            kl: self.kl[at],
        })
    }
}

impl ExtraTables {
    /// Takes the tables of a run of `pos` tokens out of `file`.
    ///
    /// # Errors
    /// If a table lacks a tensor or does not fit `dims` and `pos`; the message names the tensor.
    pub fn take(file: &mut TraceFile, dims: Dims, pos: usize, spelling: &Spelling) -> Result<Self> {
        let spell = |id: u32| spelling.get(&id).cloned().unwrap_or_else(|| bare(id));
        Ok(Self {
            sources: take_sources(file, pos)?,
            scores: take_scores(file, pos)?,
            next: take_next(file, dims, pos, spell)?,
            sinks: take_sinks(file, dims)?,
            lens: take_lens(file, dims, pos)?,
        })
    }
}

/// The spelling of an id that the trace lacks a spelling for.
fn bare(id: u32) -> Piece {
    format!("<id {id}>").into()
}

fn take_sources(file: &mut TraceFile, pos: usize) -> Result<Option<Vec<Source>>> {
    let Some(values) = file.take(SOURCE, &[pos])? else { return Ok(None) };
    let values = values.into_u32(SOURCE)?;
    check_below(SOURCE, &values, SOURCES.len(), "prompt, generated, forced")?;
    Ok(Some(values.into_iter().map(|source| SOURCES[source as usize]).collect()))
}

fn take_sinks(file: &mut TraceFile, dims: Dims) -> Result<Option<Vec<Vec<f32>>>> {
    let Some(values) = file.take(SINKS, &[dims.layers, dims.heads])? else { return Ok(None) };
    Ok(Some(values.into_f32(SINKS)?.chunks_exact(dims.heads).map(<[f32]>::to_vec).collect()))
}

/// Takes the tensor `name` of a table that the trace holds; no tensor of a table may be missing.
fn need(file: &mut TraceFile, name: &str, shape: &[usize]) -> Result<Values> {
    file.take(name, shape)?.with_context(|| format!("the trace lacks `{name}`, but holds other tensors of its table"))
}

fn need_f32(file: &mut TraceFile, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    need(file, name, shape)?.into_f32(name)
}

fn need_u32(file: &mut TraceFile, name: &str, shape: &[usize]) -> Result<Vec<u32>> {
    need(file, name, shape)?.into_u32(name)
}

fn has(file: &TraceFile, table: &str) -> bool {
    file.tensors.keys().any(|name| name.starts_with(table))
}

fn take_scores(file: &mut TraceFile, pos: usize) -> Result<Option<Vec<Score>>> {
    if !has(file, "mixscope.score.") {
        return Ok(None);
    }
    let nll = need_f32(file, "mixscope.score.nll", &[pos - 1])?;
    let entropy = need_f32(file, "mixscope.score.entropy", &[pos - 1])?;
    let rank = need_u32(file, "mixscope.score.rank", &[pos - 1])?;
    let score = |((nll, entropy), rank)| Score { nll, entropy, rank };
    Ok(Some(nll.into_iter().zip(entropy).zip(rank).map(score).collect()))
}

/// The last size of the tensor `name`, whose other sizes must be `before`.
fn width(file: &TraceFile, name: &str, before: &[usize]) -> Result<usize> {
    let shape = &file.get(name)?.shape;
    match shape.split_last() {
        Some((k, rest)) if rest == before && *k > 0 => Ok(*k),
        _ => bail!("`{name}`: expected shape {before:?} and then the number of tokens kept, found {shape:?}"),
    }
}

fn take_next(
    file: &mut TraceFile,
    dims: Dims,
    pos: usize,
    spell: impl Fn(u32) -> Piece,
) -> Result<Option<Vec<Prediction>>> {
    if !has(file, "mixscope.next.") {
        return Ok(None);
    }
    let k = width(file, "mixscope.next.ids", &[pos])?;
    let ids = need_u32(file, "mixscope.next.ids", &[pos, k])?;
    check_below("mixscope.next.ids", &ids, dims.vocab, "vocab_size of the config")?;
    let logits = need_f32(file, "mixscope.next.logits", &[pos, k])?;
    let probs = need_f32(file, "mixscope.next.probs", &[pos, k])?;
    let entropy = need_f32(file, "mixscope.next.entropy", &[pos])?;
    let candidate = |i: usize| Candidate { id: ids[i], piece: spell(ids[i]), logit: logits[i], prob: probs[i] };
    let prediction =
        |(pos, entropy): (usize, f32)| Prediction { top: (pos * k..(pos + 1) * k).map(candidate).collect(), entropy };
    Ok(Some(entropy.into_iter().enumerate().map(prediction).collect()))
}

fn take_lens(file: &mut TraceFile, dims: Dims, pos: usize) -> Result<[Option<LensTable>; 2]> {
    if !has(file, "mixscope.lens.") {
        return Ok([None, None]);
    }
    let layers = file.get(LENS_LAYERS)?.shape.iter().product();
    let layers = need_u32(file, LENS_LAYERS, &[layers])?;
    check_below(LENS_LAYERS, &layers, dims.layers, "num_hidden_layers of the config")?;
    let layers: Vec<usize> = layers.into_iter().map(|layer| layer as usize).collect();
    let mut tables = [None, None];
    for (table, site) in tables.iter_mut().zip(SITES) {
        let name = |what: &str| format!("mixscope.lens.{site}.{what}");
        if !has(file, &name("")) {
            continue;
        }
        let shape = [pos, layers.len()];
        let k = width(file, &name("ids"), &shape)?;
        let wide = [pos, layers.len(), k];
        let ids = need_u32(file, &name("ids"), &wide)?;
        check_below(&name("ids"), &ids, dims.vocab, "vocab_size of the config")?;
        *table = Some(LensTable {
            ids,
            logits: need_f32(file, &name("logits"), &wide)?,
            probs: need_f32(file, &name("probs"), &wide)?,
            final_rank: need_u32(file, &name("final_rank"), &shape)?,
            final_prob: need_f32(file, &name("final_prob"), &shape)?,
            entropy: need_f32(file, &name("entropy"), &shape)?,
            kl: need_f32(file, &name("kl"), &shape)?,
            layers: layers.clone(),
            k,
        });
    }
    Ok(tables)
}
