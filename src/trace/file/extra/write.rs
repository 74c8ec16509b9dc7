use super::names::{LENS_LAYERS, SINKS, SITES, SOURCE, SOURCES};
use crate::trace::file::tensor::{TraceTensor, Values};
use crate::trace::{Candidate, Dtype, LensCell, LensKey, LensSite, Piece, Score, Source, TokenRecord};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Collects the extra tables of a run that is written.
#[derive(Default)]
pub struct ExtraWriter {
    pub tensors: Vec<(String, TraceTensor)>,
    pub spelling: BTreeMap<u32, Piece>,
}

impl ExtraWriter {
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

    /// Adds the sources of the tokens.
    pub fn sources(&mut self, tokens: &[Arc<TokenRecord>]) {
        let number = |source: Source| SOURCES.iter().position(|s| *s == source).unwrap_or(0) as u32;
        self.u32(SOURCE, &[tokens.len()], tokens.iter().map(|token| number(token.source)));
    }

    /// Adds attention sinks `[layers][heads]`, if the model has them.
    pub fn sinks(&mut self, sinks: &[Vec<f32>]) {
        let Some(heads) = sinks.first().map(Vec::len) else { return };
        self.f32(SINKS, &[sinks.len(), heads], sinks.iter().flatten().copied());
    }

    /// Adds scores, and candidates if every position has equally many.
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

    /// Adds the lens cells of `pos` positions.
    ///
    /// # Errors
    /// Unless every position has the same layers and sites with equally many tokens, in order.
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
            ensure!(is_whole, "the lens cells of {site} are incomplete");
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
