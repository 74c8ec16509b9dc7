//! A run read from a trace file: what the file holds, and what follows from it without a model.

mod meta;

use crate::control::Control;
use crate::model::{Arch, Config, Distribution, Precision, bare_piece, router};
use crate::trace::{
    Candidate, Dims, ExtraTables, HookKind, HookValues, LensCell, LensKey, LensSite, LensTable, Level, Meta, Piece,
    Prediction, Records, Report, Row, Score, Source, Spelling, TokenRecord, TraceFile, hook_values, token_ids,
};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;

/// Candidates kept of every position whose logits are in the trace.
const CANDIDATES: usize = 64;
/// More layers, heads or experts than any model has: the screen counts them.
const MOST: usize = 4096;
/// More heads or experts of all layers together than any model has: the screen draws and sorts them.
const MOST_IN_ALL: usize = 65_536;

/// A saved run. Clones share everything.
#[derive(Clone, Debug)]
pub struct Replay {
    meta: Arc<Meta>,
    precision: Precision,
    tokens: Vec<Arc<TokenRecord>>,
    lens: Arc<[Option<LensTable>; 2]>,
    spelling: Arc<Spelling>,
}

impl Replay {
    /// Opens the trace at `path`, which becomes the run's name.
    ///
    /// # Errors
    /// As [`Replay::of`], or if the file can't be read.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        Self::of(TraceFile::read(path)?, &name).with_context(|| format!("cannot open {name}"))
    }

    /// The run that `file` holds.
    ///
    /// # Errors
    /// If it is not a trace, is of another architecture, or a tensor does not fit the config; the message names the
    /// tensor, what was expected and what was found.
    pub fn of(mut file: TraceFile, name: &str) -> Result<Self> {
        file.check_format()?;
        let mut report = Report::default();
        let json =
            file.metadata.get("config").context("metadata `config`: expected a model's config.json, found none")?;
        let json = serde_json::from_str(json).context("metadata `config` is not valid JSON")?;
        let config = Config::parse(&json, "config", &mut report)?;
        let dims = config.arch.dims;
        let counts = [
            ("num_hidden_layers", dims.layers),
            ("num_attention_heads", dims.heads),
            ("num_local_experts", dims.experts),
        ];
        for (key, count) in counts {
            ensure!(count <= MOST, "config: {key}: expected at most {MOST} in a trace, found {count}");
            let all = dims.layers * count;
            ensure!(
                key == "num_hidden_layers" || all <= MOST_IN_ALL,
                "config: num_hidden_layers × {key}: expected at most {MOST_IN_ALL} in a trace, found {all}"
            );
        }
        let notes = file.translate()?;
        let mut meta = meta::meta(&file, name, json, &config, report)?;
        let ids = token_ids(&mut file, dims.vocab)?;
        let spelling = meta::spelling(&file, &ids)?;
        let mut tables = ExtraTables::take(&mut file, dims, ids.len(), &spelling)?;
        let mut values = hook_values(&mut file, dims, ids.len())?;
        meta.report.findings.extend(notes);
        meta::note_unknown(&file, &mut meta.report);
        let is_edited = file.metadata.contains_key("edits");
        drop(file);
        let precision = Precision::new(meta.policy, meta.compute_dtype);
        values.iter_mut().for_each(|values| derive_routing(values, &config.arch, precision, is_edited));
        let tokens = records(&ids, values, &tables, &spelling);
        if let Some(sinks) = tables.sinks.take() {
            meta.scores.sinks = sinks.into();
        }
        let follows = !config.arch.attn.sinks || !meta.scores.sinks.is_empty();
        note_what_is_there(&mut meta, &tokens, &tables, follows);
        Ok(Self { meta: Arc::new(meta), precision, tokens, lens: Arc::new(tables.lens), spelling: Arc::new(spelling) })
    }

    /// The model and how it was run.
    pub fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// The records.
    pub fn tokens(&self) -> &[Arc<TokenRecord>] {
        &self.tokens
    }

    /// The rounding under which the run was computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The run as a trace that shares its records.
    pub fn records(&self) -> Records {
        Records { meta: self.meta.clone(), tokens: self.tokens.clone() }
    }

    /// The lens cells among these that the trace holds, position by position.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled.
    pub fn lens_cells(
        &self,
        cells: &[LensKey],
        top: usize,
        control: &Control,
    ) -> Result<Vec<(LensKey, Arc<LensCell>)>> {
        control.check()?;
        let mut cells: Vec<LensKey> = cells.iter().filter(|key| key.pos < self.tokens.len()).copied().collect();
        cells.sort_by_key(|key| key.pos);
        Ok(cells.into_iter().filter_map(|key| Some((key, Arc::new(self.cell(key, top)?)))).collect())
    }

    /// A lens cell that the trace holds, or that follows from its logits.
    fn cell(&self, key: LensKey, top: usize) -> Option<LensCell> {
        if let Some(table) = &self.lens[key.site as usize]
            && table.has(key.layer)
        {
            return table.cell(key.pos, key.layer, top, |id| spell(&self.spelling, id));
        }
        let is_last = key.layer + 1 == self.meta.dims.layers && key.site == LensSite::ResidPost;
        let logits = self.tokens[key.pos].row(HookKind::Logits, 0).filter(|_| is_last)?;
        let answer = Distribution::of(logits);
        let best = *answer.top(1).first()?;
        Some(LensCell {
            top: candidates(&answer, top, &self.spelling),
            final_rank: answer.rank(best),
            final_prob: answer.prob(best),
            entropy: answer.entropy(),
            kl: answer.kl(&answer),
        })
    }
}

fn spell(spelling: &Spelling, id: u32) -> Piece {
    spelling.get(&id).cloned().unwrap_or_else(|| bare_piece(id))
}

fn candidates(distribution: &Distribution, top: usize, spelling: &Spelling) -> Vec<Candidate> {
    let candidate = |id: usize| Candidate {
        id: id as u32,
        piece: spell(spelling, id as u32),
        logit: distribution.logit(id),
        prob: distribution.prob(id),
    };
    distribution.top(top).into_iter().map(candidate).collect()
}

/// Adds what follows from a position's router logits or expert weights.
fn derive_routing(values: &mut HookValues, arch: &Arch, precision: Precision, is_edited: bool) {
    use HookKind as K;
    let precision = arch.rounding(precision);
    let Dims { layers, experts, top_k, .. } = arch.dims;
    for layer in 0..layers {
        let probs = match (values.get(K::ExpertWeights.at(layer)), values.get(K::RouterLogits.at(layer))) {
            (Some(Row::F32(probs)), _) => probs.to_vec(),
            (_, Some(Row::F32(logits))) => router::probabilities(logits.to_vec(), experts, precision.choice),
            _ => continue,
        };
        let chosen = match (values.get(K::ExpertIndices.at(layer)), values.get(K::ChoiceScores.at(layer))) {
            (Some(Row::U32(chosen)), _) => chosen.to_vec(),
            (_, Some(Row::F32(scores))) => router::top_k(scores, experts, top_k),
            // An edit may have chosen others.
            _ if is_edited => continue,
            _ => router::top_k(&probs, experts, top_k),
        };
        if values.get(K::MixingWeights.at(layer)).is_none() {
            let renormalise = arch.moe.renormalise;
            let weights = router::mixing_weights(&probs, &chosen, (experts, chosen.len()), renormalise, precision);
            values.insert(K::MixingWeights.at(layer), Row::F32(weights.into()));
        }
        values.insert(K::ExpertWeights.at(layer), Row::F32(probs.into()));
        values.insert(K::ExpertIndices.at(layer), Row::U32(chosen.into()));
    }
}

/// One record per token; candidates and scores come from the tables, or else from the logits.
fn records(ids: &[u32], values: Vec<HookValues>, tables: &ExtraTables, spelling: &Spelling) -> Vec<Arc<TokenRecord>> {
    let mut tokens: Vec<Arc<TokenRecord>> = Vec::with_capacity(ids.len());
    for (pos, (id, values)) in ids.iter().zip(values).enumerate() {
        let score = match &tables.scores {
            Some(scores) => pos.checked_sub(1).and_then(|before| scores.get(before)).copied(),
            None => tokens.last().and_then(|before| score(before, *id)),
        };
        let next = match &tables.next {
            Some(next) => next[pos].clone(),
            None => values.get(HookKind::Logits.at(0)).map_or_else(Prediction::absent, |row| predict(row, spelling)),
        };
        tokens.push(Arc::new(TokenRecord {
            id: *id,
            piece: spell(spelling, *id),
            source: tables.sources.as_ref().map_or(Source::Prompt, |sources| sources[pos]),
            score,
            next: Arc::new(next),
            values: Arc::new(values),
            sites: Vec::new(),
        }));
    }
    tokens
}

fn predict(logits: &Row, spelling: &Spelling) -> Prediction {
    let Row::F32(logits) = logits else { return Prediction::absent() };
    let distribution = Distribution::of(logits);
    Prediction { top: candidates(&distribution, CANDIDATES, spelling), entropy: distribution.entropy() }
}

/// How the token `id` was predicted by the logits of the one before it.
fn score(before: &TokenRecord, id: u32) -> Option<Score> {
    let predicted = Distribution::of(before.row(HookKind::Logits, 0)?);
    let at = id as usize;
    Some(Score { nll: -predicted.log_prob(at) as f32, entropy: predicted.entropy(), rank: predicted.rank(at) })
}

/// Notes which views the run has numbers for. `follows` says whether patterns follow from queries and keys.
fn note_what_is_there(meta: &mut Meta, tokens: &[Arc<TokenRecord>], tables: &ExtraTables, follows: bool) {
    use HookKind as K;
    let (layers, last) = (meta.dims.layers, meta.dims.layers - 1);
    // A tensor holds all positions or none.
    let first = &tokens[0];
    let has = |kind: K, layer: usize| first.values.get(kind.at(layer)).is_some();
    let derived = |layer: usize| follows && has(K::RotQ, layer) && has(K::RotK, layer);
    let attention: Vec<bool> = (0..layers).map(|layer| has(K::Pattern, layer) || derived(layer)).collect();
    let lens: Vec<[bool; 2]> = (0..layers)
        .map(|layer| {
            let in_table = |site: LensSite| tables.lens[site as usize].as_ref().is_some_and(|table| table.has(layer));
            let follows = layer == last && has(K::Logits, 0);
            [in_table(LensSite::ResidMid), in_table(LensSite::ResidPost) || follows]
        })
        .collect();
    let routed = meta.dims.routed().count();
    let routing = meta.dims.routed().filter(|layer| has(K::RouterLogits, *layer)).count();
    let share = |count: usize, what: &str| match count {
        0 => format!("not in this trace: {what}"),
        n if n == layers => "of every layer".to_owned(),
        n => format!("of {n} of {layers} layers"),
    };
    let count = |there: &[bool]| there.iter().filter(|there| **there).count();
    let sites = |site: LensSite| count(&lens.iter().map(|sites| sites[site as usize]).collect::<Vec<_>>());
    let next = if first.next.is_absent() { "not in this trace: logits, candidates" } else { "of every position" };
    let found = [
        ("routing", if routing == routed { share(layers, "") } else { share(routing, "router logits") }),
        ("attention", share(count(&attention), "patterns, or rotated queries and keys")),
        ("lens of resid_mid", share(sites(LensSite::ResidMid), "lens tables")),
        ("lens of resid_post", share(sites(LensSite::ResidPost), "lens tables, logits")),
        ("candidates", next.to_owned()),
    ];
    for (what, found) in found {
        let level = if found.starts_with("not") { Level::Note } else { Level::Ok };
        meta.report.add(level, what, "", found, "");
    }
    if let Some(recording) = &mut meta.recording {
        (recording.attention, recording.lens) = (attention, lens);
    }
}
