//! Recordings of other programs: which of their tensors hold which hook, in what form.
//!
//! A trace of mixscope needs none of this. TransformerLens keeps a batch axis, has other names for some hooks, and since
//! version 4 keeps the weights of the chosen experts where it kept the softmax over all experts before. The routers of some
//! versions of transformers return probabilities in place of logits.

mod names;
mod values;

use self::names::{TOKENS, alias, few, hook, is_known, rank};
use self::values::{chosen_in_each_row, is_probabilities, places, width, without_batch};
use super::tensor::{TraceFile, TraceTensor, Values};
use crate::trace::{Finding, Hook, HookKind as K, Level};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// Tensors by name, in memory or in a file.
pub(super) trait Tensors {
    /// The names, in no order.
    fn names(&self) -> Vec<String>;
    /// The shape of the tensor `name`, if there is one.
    fn shape_of(&self, name: &str) -> Option<&[usize]>;
    /// The tensor `name`.
    fn read(&self, name: &str) -> Result<TraceTensor>;
    /// The value of a metadata key.
    fn said(&self, key: &str) -> Option<&str>;

    /// Experts of a layer, if the config says so.
    fn experts(&self) -> Option<u64> {
        let config: serde_json::Value = serde_json::from_str(self.said("config")?).ok()?;
        ["num_local_experts", "num_experts"].into_iter().find_map(|key| config.get(key)?.as_u64())
    }
}

/// Which tensor of a file holds which hook.
#[derive(Debug, Default)]
pub(super) struct Translation {
    /// By the name that the trace format has for it.
    sources: BTreeMap<String, Source>,
    /// What was read otherwise than its name says, and what is not used.
    pub notes: Vec<Finding>,
}

#[derive(Clone, Debug)]
struct Source {
    tensor: String,
    form: Form,
    /// Axes of the trace format.
    rank: usize,
}

/// What is done with a tensor's numbers.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// Nothing.
    Whole,
    /// Each row's `k` numbers other than 0, largest first, or in the order of the experts in the tensor `order`.
    Chosen { k: usize, order: Option<String> },
    /// The places of each row's `k` numbers other than 0, largest first.
    Places { k: usize },
}

impl Translation {
    /// Finds the hooks in `file`. Router logits and expert weights are read, because their names don't say what they are.
    ///
    /// # Errors
    /// If such a tensor can't be read; the error names it.
    pub fn of(file: &impl Tensors) -> Result<Self> {
        let mut found = Self::default();
        let mut names = file.names();
        names.sort_unstable();
        let (mut unknown, mut aliases) = (Vec::new(), BTreeMap::new());
        for name in names {
            match hook(&name) {
                _ if name == TOKENS => found.insert(TOKENS.to_owned(), &name, 1),
                Some(hook) => found.insert(hook.to_string(), &name, rank(hook.kind)),
                None => match alias(&name).filter(|hook| file.shape_of(&hook.to_string()).is_none()) {
                    Some(hook) => {
                        found.insert(hook.to_string(), &name, rank(hook.kind));
                        aliases.insert(hook.kind, names::suffix(&name).to_owned());
                    }
                    None if is_known(&name) => {}
                    None => unknown.push(name),
                },
            }
        }
        if !aliases.is_empty() {
            let read = |(kind, name): (&K, &String)| format!("`{name}` as `{}`", kind.suffix());
            let said = aliases.iter().map(read).collect::<Vec<_>>().join(", ");
            found.note("names of TransformerLens", said);
        }
        found.read_weights(file)?;
        found.read_logits(file)?;
        if !unknown.is_empty() {
            found.notes.push(Finding {
                level: Level::Note,
                subject: "tensors that are not known".to_owned(),
                expected: String::new(),
                found: format!("{}: {}", unknown.len(), few(&unknown)),
                advice: "they are not used".to_owned(),
            });
        }
        Ok(found)
    }

    /// Whether the file holds what the trace format calls `name`; `None` if that is no hook and not the tokens.
    pub fn has(&self, name: &str) -> Option<bool> {
        let is_ours = name == TOKENS || hook(name).is_some();
        is_ours.then(|| self.sources.contains_key(name))
    }

    /// The hooks in the file, in the order of the forward pass.
    pub fn hooks(&self) -> Vec<Hook> {
        let mut hooks: Vec<Hook> = self.sources.keys().filter_map(|name| name.parse().ok()).collect();
        hooks.sort_unstable_by_key(|hook| hook.order());
        hooks
    }

    /// The tensor of the file from which `name` is read.
    pub fn tensor_of(&self, name: &str) -> Option<&str> {
        self.sources.get(name).map(|source| source.tensor.as_str())
    }

    /// Reads what the trace format calls `name`; `None` if the file has none.
    ///
    /// # Errors
    /// If the tensor can't be read.
    pub fn read(&self, file: &impl Tensors, name: &str) -> Result<Option<TraceTensor>> {
        let Some(source) = self.sources.get(name) else { return Ok(None) };
        let tensor = without_batch(file.read(&source.tensor)?, source.rank);
        let matrix = |k: usize| tensor.f32().map(|values| (values, width(&tensor), k));
        let values = match &source.form {
            Form::Whole => return Ok(Some(tensor)),
            Form::Places { k } => Values::U32(places(matrix(*k)?)),
            Form::Chosen { k, order } => {
                let order = match order {
                    None => places(matrix(*k)?),
                    Some(order) => file.read(order)?.values.into_u32(order)?,
                };
                let (values, width, k) = matrix(*k)?;
                let rows = order.chunks_exact(k).zip(values.chunks_exact(width));
                let chosen =
                    rows.flat_map(|(places, row)| places.iter().map(|place| row.get(*place as usize).copied()));
                let chosen: Option<Vec<f32>> = chosen.collect();
                let fits = |chosen: &Vec<f32>| chosen.len() == values.len() / width * k;
                let unfit =
                    || format!("`{}`: expected {k} experts below {width} for each token", K::ExpertIndices.suffix());
                Values::F32(chosen.filter(fits).with_context(unfit)?)
            }
        };
        let k = match source.form {
            Form::Chosen { k, .. } | Form::Places { k } => k,
            Form::Whole => width(&tensor),
        };
        Ok(Some(TraceTensor { shape: vec![tensor.shape[0], k], dtype: tensor.dtype, values }))
    }

    fn insert(&mut self, name: String, tensor: &str, rank: usize) {
        self.sources.insert(name, Source { tensor: tensor.to_owned(), form: Form::Whole, rank });
    }

    fn note(&mut self, subject: &str, found: String) {
        let (expected, advice) = (String::new(), String::new());
        self.notes.push(Finding { level: Level::Note, subject: subject.to_owned(), expected, found, advice });
    }

    /// Checks that the file holds one text, and notes which tensors have a batch axis.
    ///
    /// # Errors
    /// If a tensor has a batch of more than one text; the error names it.
    pub fn check_batch(&mut self, file: &impl Tensors) -> Result<()> {
        let mut dropped = Vec::new();
        let pos = file.shape_of(TOKENS).and_then(|shape| shape.last().copied());
        for source in self.sources.values() {
            match file.shape_of(&source.tensor) {
                Some([1, rest @ ..]) if rest.len() == source.rank => dropped.push(source.tensor.clone()),
                Some([batch, rest @ ..]) if rest.len() == source.rank && Some(*batch) != pos => bail!(
                    "`{}`: expected one text, found a batch of {batch}; record one text, or save `tensor[i]` of each",
                    source.tensor
                ),
                _ => {}
            }
        }
        if !dropped.is_empty() {
            self.note(&few(&dropped), "a batch axis of 1 is left out".to_owned());
        }
        Ok(())
    }

    /// Finds expert weights that are those of the chosen experts only: their mixing weights.
    fn read_weights(&mut self, file: &impl Tensors) -> Result<()> {
        let (mut dense, mut narrow, mut chosen) = (Vec::new(), Vec::new(), 0);
        let experts = file.experts();
        for hook in self.hooks().into_iter().filter(|hook| hook.kind == K::ExpertWeights) {
            let Some(weights) = self.read(file, &hook.to_string())? else { continue };
            let name = |kind: K| kind.at(hook.layer as usize).to_string();
            let order = self.tensor_of(&name(K::ExpertIndices)).map(str::to_owned);
            let mixing = name(K::MixingWeights);
            let is_alone = order.is_some() && self.tensor_of(&mixing).is_none();
            let is_narrow = is_alone && experts.is_some_and(|experts| (width(&weights) as u64) < experts);
            let k = chosen_in_each_row(&weights);
            if !is_narrow && k.is_none() {
                continue;
            }
            let Some(source) = self.sources.remove(&hook.to_string()) else { continue };
            let form = match k {
                Some(k) if !is_narrow => {
                    let form = Form::Places { k };
                    self.sources.entry(name(K::ExpertIndices)).or_insert_with(|| Source { form, ..source.clone() });
                    (chosen, dense) = (k, [dense, vec![source.tensor.clone()]].concat());
                    Form::Chosen { k, order }
                }
                _ => {
                    narrow.push(source.tensor.clone());
                    Form::Whole
                }
            };
            self.sources.entry(mixing).or_insert_with(|| Source { form, ..source });
        }
        let (mixing, indices) = (K::MixingWeights.suffix(), K::ExpertIndices.suffix());
        if !dense.is_empty() {
            let said = format!(
                "each row has {chosen} numbers that are not 0: read as `{mixing}` and `{indices}`, best first \
                 (TransformerLens 4)"
            );
            self.note(&few(&dense), said);
        }
        if !narrow.is_empty() {
            let said = format!("one number for each of `{indices}`: read as `{mixing}` (TransformerLens 2.0)");
            self.note(&few(&narrow), said);
        }
        Ok(())
    }

    /// Finds router logits that are probabilities.
    fn read_logits(&mut self, file: &impl Tensors) -> Result<()> {
        let mut found = Vec::new();
        for hook in self.hooks().into_iter().filter(|hook| hook.kind == K::RouterLogits) {
            if !self.read(file, &hook.to_string())?.is_some_and(|tensor| is_probabilities(&tensor)) {
                continue;
            }
            let Some(source) = self.sources.remove(&hook.to_string()) else { continue };
            found.push(source.tensor.clone());
            self.sources.entry(K::ExpertWeights.at(hook.layer as usize).to_string()).or_insert(source);
        }
        if !found.is_empty() {
            let said = "its rows are probabilities, not logits (the router of transformers 5.0 returns them)";
            self.note(&few(&found), format!("{said}: read as `{}`", K::ExpertWeights.suffix()));
        }
        Ok(())
    }
}

impl Tensors for TraceFile {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape_of(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    fn read(&self, name: &str) -> Result<TraceTensor> {
        self.get(name).cloned()
    }

    fn said(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

impl TraceFile {
    /// Gives the tensors of another program the names and forms of the trace format, leaves out those that are not used, and
    /// returns what to say about that.
    ///
    /// # Errors
    /// If a tensor has a batch of more than one text, or indices beyond the experts.
    pub fn translate(&mut self) -> Result<Vec<Finding>> {
        let mut translation = Translation::of(self)?;
        translation.check_batch(self)?;
        let mut tensors = BTreeMap::new();
        for (name, source) in translation.sources.iter().filter(|(_, source)| source.form != Form::Whole) {
            tensors.extend(translation.read(self, name)?.map(|tensor| (name.clone(), tensor)));
            debug_assert!(source.rank == 2, "only matrices are taken apart");
        }
        for (name, source) in translation.sources.iter().filter(|(_, source)| source.form == Form::Whole) {
            let Some(tensor) = self.tensors.remove(&source.tensor) else { continue };
            tensors.insert(name.clone(), without_batch(tensor, source.rank));
        }
        self.tensors.retain(|name, _| name.starts_with("mixscope."));
        self.tensors.append(&mut tensors);
        Ok(translation.notes)
    }
}
