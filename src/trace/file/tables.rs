//! What views need and no hook holds, as extra tensors of a trace. `k` tokens of a table are the most probable, best
//! first; entropy and KL are in nats; a probability is at temperature 1.
//!
//! | name | shape | meaning |
//! |---|---|---|
//! | `mixscope.source` | `[pos]` u32 | how each token came: 0 prompt, 1 generated, 2 forced |
//! | `mixscope.score.nll`, `.entropy` | `[pos - 1]` f32 | entry p is of the token at p + 1, given those before it |
//! | `mixscope.score.rank` | `[pos - 1]` u32 | its rank from 1 |
//! | `mixscope.next.ids` | `[pos, k]` u32 | the candidates for the token that follows each position |
//! | `mixscope.next.logits`, `.probs` | `[pos, k]` f32 | theirs |
//! | `mixscope.next.entropy` | `[pos]` f32 | of the whole distribution |
//! | `mixscope.lens.layers` | `[layers]` u32 | the decoder layers that the lens tables hold |
//! | `mixscope.lens.SITE.ids` | `[pos, layers, k]` u32 | SITE = `resid_mid` or `resid_post`; best tokens of the lens |
//! | `mixscope.lens.SITE.logits`, `.probs` | `[pos, layers, k]` f32 | theirs |
//! | `mixscope.lens.SITE.final_rank` | `[pos, layers]` u32 | rank from 1 of the model's own final top-1 |
//! | `mixscope.lens.SITE.final_prob`, `.entropy`, `.kl` | `[pos, layers]` f32 | its probability; of the lens; KL(final ‖ lens) |
//!
//! The metadata key `mixscope.spelling` is a JSON object from every id in them to the tokenizer's spelling.

use super::records::check_below;
use super::{TraceFile, TraceTensor, Values};
use crate::trace::{Candidate, Dims, Dtype, LensCell, LensKey, LensSite, Prediction, Score, Source, TokenRecord};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The metadata key of the spellings.
pub(super) const SPELLING: &str = "mixscope.spelling";

const SOURCE: &str = "mixscope.source";
const LENS_LAYERS: &str = "mixscope.lens.layers";
const SITES: [LensSite; 2] = [LensSite::ResidMid, LensSite::ResidPost];
const SOURCES: [Source; 3] = [Source::Prompt, Source::Generated, Source::Forced];

/// How tokens are spelt, by id.
pub type Spelling = HashMap<u32, Arc<str>>;

/// The extra tables of a trace; what it does not hold is `None`.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// How each token came into the run `[pos]`.
    pub sources: Option<Vec<Source>>,
    /// How each but the first was predicted `[pos - 1]`.
    pub scores: Option<Vec<Score>>,
    /// What may follow each position `[pos]`.
    pub next: Option<Vec<Prediction>>,
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
    /// Whether it holds this layer.
    pub fn has(&self, layer: usize) -> bool {
        self.layers.contains(&layer)
    }

    /// One cell with its `top` best tokens, or as many as were kept; `spell` spells them.
    pub fn cell(&self, pos: usize, layer: usize, top: usize, spell: impl Fn(u32) -> Arc<str>) -> Option<LensCell> {
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

impl Tables {
    /// Takes the tables out of `file`, of a run of `pos` tokens.
    ///
    /// # Errors
    /// Naming the tensor, if a table is not whole or does not fit `dims` and `pos`.
    pub fn take(file: &mut TraceFile, dims: Dims, pos: usize, spelling: &Spelling) -> Result<Self> {
        let spell = |id: u32| spelling.get(&id).cloned().unwrap_or_else(|| bare(id));
        Ok(Self {
            sources: take_sources(file, pos)?,
            scores: take_scores(file, pos)?,
            next: take_next(file, dims, pos, spell)?,
            lens: take_lens(file, dims, pos)?,
        })
    }
}

/// The spelling of an id that the trace does not spell.
fn bare(id: u32) -> Arc<str> {
    format!("<id {id}>").into()
}

fn take_sources(file: &mut TraceFile, pos: usize) -> Result<Option<Vec<Source>>> {
    let Some(values) = file.take(SOURCE, &[pos])? else { return Ok(None) };
    let values = values.into_u32(SOURCE)?;
    check_below(SOURCE, &values, SOURCES.len(), "prompt, generated, forced")?;
    Ok(Some(values.into_iter().map(|source| SOURCES[source as usize]).collect()))
}

/// A table's tensors stand together: the one called `name`, since others of the table are there.
fn need(file: &mut TraceFile, name: &str, shape: &[usize]) -> Result<Values> {
    file.take(name, shape)?.with_context(|| format!("the trace holds no `{name}`, but others of its table"))
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

/// The last size of a table's ids, which must have `before` as its other sizes.
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
    spell: impl Fn(u32) -> Arc<str>,
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

/// The tables of a run, to be written.
#[derive(Default)]
pub(super) struct Writing {
    pub tensors: Vec<(String, TraceTensor)>,
    pub spelling: BTreeMap<u32, Arc<str>>,
}

impl Writing {
    fn f32(&mut self, name: impl Into<String>, shape: &[usize], values: impl Iterator<Item = f32>) {
        self.push(name.into(), shape, Values::F32(values.collect()));
    }

    fn u32(&mut self, name: impl Into<String>, shape: &[usize], values: impl Iterator<Item = u32>) {
        self.push(name.into(), shape, Values::U32(values.collect()));
    }

    fn push(&mut self, name: String, shape: &[usize], values: Values) {
        self.tensors.push((name, TraceTensor { shape: shape.to_vec(), dtype: Dtype::F32, values }));
    }

    fn spell<'a>(&mut self, candidates: impl Iterator<Item = &'a Candidate>) {
        for candidate in candidates {
            self.spelling.entry(candidate.id).or_insert_with(|| candidate.piece.clone());
        }
    }

    /// How the tokens came into the run.
    pub fn sources(&mut self, tokens: &[Arc<TokenRecord>]) {
        let number = |source: Source| SOURCES.iter().position(|s| *s == source).unwrap_or(0) as u32;
        self.u32(SOURCE, &[tokens.len()], tokens.iter().map(|token| number(token.source)));
    }

    /// How tokens were predicted and what may follow them, if every position has as many candidates.
    pub fn candidates(&mut self, tokens: &[Arc<TokenRecord>]) {
        let (pos, k) = (tokens.len(), tokens.first().map_or(0, |token| token.next.top.len()));
        let scores: Option<Vec<Score>> = tokens.iter().skip(1).map(|token| token.score).collect();
        if let Some(scores) = scores.filter(|scores| !scores.is_empty()) {
            let shape = [scores.len()];
            self.f32("mixscope.score.nll", &shape, scores.iter().map(|score| score.nll));
            self.f32("mixscope.score.entropy", &shape, scores.iter().map(|score| score.entropy));
            self.u32("mixscope.score.rank", &shape, scores.iter().map(|score| score.rank));
        }
        if k == 0 || tokens.iter().any(|token| token.next.top.len() != k) {
            return;
        }
        let all = || tokens.iter().flat_map(|token| &token.next.top);
        self.u32("mixscope.next.ids", &[pos, k], all().map(|c| c.id));
        self.f32("mixscope.next.logits", &[pos, k], all().map(|c| c.logit));
        self.f32("mixscope.next.probs", &[pos, k], all().map(|c| c.prob));
        self.f32("mixscope.next.entropy", &[pos], tokens.iter().map(|token| token.next.entropy));
        self.spell(all());
    }

    /// Lens cells of `pos` positions.
    ///
    /// # Errors
    /// If they are not the same layers and sites with as many tokens at every position, in order.
    pub fn lens(&mut self, cells: &[(LensKey, Arc<LensCell>)], pos: usize) -> Result<()> {
        let Some((first, cell)) = cells.first() else { return Ok(()) };
        let k = cell.top.len();
        let of_site = |site: LensSite| cells.iter().filter(move |(key, _)| key.site == site);
        let layers: Vec<usize> =
            of_site(first.site).take_while(|(key, _)| key.pos == first.pos).map(|(key, _)| key.layer).collect();
        self.u32(LENS_LAYERS, &[layers.len()], layers.iter().map(|layer| *layer as u32));
        for site in SITES.into_iter().filter(|site| of_site(*site).next().is_some()) {
            let expected =
                (0..pos).flat_map(|pos| layers.iter().map(move |layer| LensKey { pos, layer: *layer, site }));
            let is_whole = of_site(site).map(|(key, _)| *key).eq(expected);
            let is_whole = is_whole && of_site(site).all(|(_, cell)| cell.top.len() == k);
            ensure!(is_whole, "the lens cells of {site} are not whole");
            let all = || of_site(site).flat_map(|(_, cell)| &cell.top);
            let (wide, shape) = ([pos, layers.len(), k], [pos, layers.len()]);
            let name = |what: &str| format!("mixscope.lens.{site}.{what}");
            self.u32(name("ids"), &wide, all().map(|c| c.id));
            self.f32(name("logits"), &wide, all().map(|c| c.logit));
            self.f32(name("probs"), &wide, all().map(|c| c.prob));
            self.u32(name("final_rank"), &shape, of_site(site).map(|(_, cell)| cell.final_rank));
            self.f32(name("final_prob"), &shape, of_site(site).map(|(_, cell)| cell.final_prob));
            self.f32(name("entropy"), &shape, of_site(site).map(|(_, cell)| cell.entropy));
            self.f32(name("kl"), &shape, of_site(site).map(|(_, cell)| cell.kl));
            self.spell(all());
        }
        Ok(())
    }
}
