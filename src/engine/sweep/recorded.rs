//! Routing that other programs recorded, as JSON lines: no model is needed to count it.

use super::corpus::{Corpus, GroupBy};
use super::utf8;
use crate::analysis::sweep::{CorpusAbout, LayerReading, Phase, Place, Reading, Shape, Sweep};
use crate::control::Control;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Experts by position, then rank and layer or layer and rank.
type Experts = Vec<Vec<Vec<u32>>>;

/// A line: the tokens of a text and the experts that they chose.
#[derive(Deserialize)]
struct Line {
    /// OLMoE's script; token ids.
    #[serde(alias = "prompt_token_ids")]
    input_ids: Vec<u32>,
    /// OLMoE's script: the most probable token after each position.
    #[serde(default)]
    predicted_token_ids: Vec<u32>,
    /// OLMoE's script `[pos, k, layers]`.
    #[serde(default)]
    exp_ids: Option<Experts>,
    /// vLLM, of the prompt `[pos, layers, k]`.
    #[serde(default)]
    prompt_routed_experts: Option<Experts>,
    /// vLLM: generated token ids.
    #[serde(default)]
    token_ids: Vec<u32>,
    /// vLLM, of the generated tokens `[pos, layers, k]`.
    #[serde(default)]
    routed_experts: Option<Experts>,
    /// Other fields, which may name the group.
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// Layers and experts of a token in the first line of recorded files.
///
/// # Errors
/// If it can't be read.
pub fn recorded_sizes(corpus: &Corpus) -> Result<(usize, usize)> {
    let mut sizes = None;
    each(corpus, &mut |_, line, _, _| {
        sizes = Some(line.sizes()?);
        Ok(false)
    })?;
    sizes.ok_or_else(|| anyhow!("the files are empty: there is no recorded routing"))
}

/// Counts recorded routing, or the shard of it that the sweep names: of lines, counted from 0.
///
/// # Errors
/// If a file can't be read, a line is no recorded routing, has other sizes than the first, or an expert that there is not;
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled.
pub fn sweep_recorded(corpus: &Corpus, sweep: &mut Sweep, control: &Control) -> Result<CorpusAbout> {
    let (shape, shard) = (sweep.about.model.shape, sweep.about.shard);
    let mut hash = Sha256::new();
    let mut about = CorpusAbout::default();
    each(corpus, &mut |group, line, text, number| {
        control.check()?;
        for bytes in [group.as_bytes(), text.as_bytes()] {
            hash.update(bytes);
            hash.update([0xff]);
        }
        about.texts += 1;
        about.parts += 1;
        about.bytes += text.len() as u64;
        if shard.is_none_or(|shard| shard.has(number)) {
            line.readings(group, number, shape)?.iter().for_each(|reading| sweep.add(reading));
        }
        Ok(true)
    })?;
    about.hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(about)
}

/// Calls `take` with group, content, text and number of every line until it returns false.
fn each(corpus: &Corpus, take: &mut dyn FnMut(&str, &Line, &str, u64) -> Result<bool>) -> Result<()> {
    let mut number = 0;
    for source in &corpus.sources {
        let reader: Box<dyn BufRead> = match &source.path {
            None => Box::new(BufReader::new(std::io::stdin())),
            Some(path) => {
                Box::new(BufReader::new(File::open(path).with_context(|| format!("cannot read {}", source.name))?))
            }
        };
        for (line_number, bytes) in reader.split(b'\n').enumerate() {
            let at = || format!("{}, line {}", source.name, line_number + 1);
            let text = utf8::text(bytes.with_context(at)?, 0).with_context(at)?;
            if text.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&text).map_err(|error| {
                anyhow!(
                    "{}: expected a JSON object with input_ids and exp_ids (OLMoE), or prompt_token_ids and \
                     prompt_routed_experts (vLLM): {error}",
                    at()
                )
            })?;
            let group = match &corpus.options.group_by {
                GroupBy::Field(field) => match line.others.get(field) {
                    Some(Value::String(name)) => name.clone(),
                    Some(other @ (Value::Number(_) | Value::Bool(_))) => other.to_string(),
                    _ => "(none)".to_owned(),
                },
                _ => source.group.clone(),
            };
            if !take(&group, &line, &text, number).with_context(at)? {
                return Ok(());
            }
            number += 1;
        }
    }
    Ok(())
}

impl Line {
    /// The experts of the prompt `[layers][pos × k]`, and how many positions they have.
    fn prompt(&self) -> Result<(Vec<Vec<u32>>, usize)> {
        match (&self.exp_ids, &self.prompt_routed_experts) {
            (Some(by_rank), _) => Ok((by_layer(by_rank, true)?, by_rank.len())),
            (None, Some(of_prompt)) => Ok((by_layer(of_prompt, false)?, of_prompt.len())),
            (None, None) => {
                bail!("expected the experts in exp_ids (OLMoE) or prompt_routed_experts (vLLM), found neither")
            }
        }
    }

    /// Layers, and experts of a token.
    fn sizes(&self) -> Result<(usize, usize)> {
        let (layers, positions) = self.prompt()?;
        let k = layers.first().map_or(0, Vec::len) / positions.max(1);
        ensure!(k > 0, "no token has an expert");
        Ok((layers.len(), k))
    }

    /// The line as readings: the prompt, and what was generated.
    fn readings(&self, group: &str, number: u64, shape: Shape) -> Result<Vec<Reading>> {
        let (mut layers, positions) = self.prompt()?;
        ensure!(
            positions == self.input_ids.len(),
            "it has {} token ids, and experts of {positions} tokens",
            self.input_ids.len()
        );
        let of = |phase, from, ids: Vec<u32>, layers: &[Vec<u32>]| Reading {
            group: group.to_owned(),
            place: Place { part: number, window: 0 },
            is_first_part: true,
            phase,
            from,
            predicted: self.predicted_token_ids.clone(),
            nll: Vec::new(),
            layers: layers.iter().map(|chosen| LayerReading { chosen: chosen.clone(), ..Default::default() }).collect(),
            ids,
        };
        check(&layers, positions, shape)?;
        let mut readings = vec![of(Phase::Prefill, 0, self.input_ids.clone(), &layers)];
        if let Some(generated) = &self.routed_experts {
            let more = by_layer(generated, false)?;
            ensure!(
                generated.len() <= self.token_ids.len(),
                "it has {} generated token ids, and experts of {} tokens",
                self.token_ids.len(),
                generated.len()
            );
            check(&more, generated.len(), shape)?;
            layers.iter_mut().zip(more).for_each(|(layer, more)| layer.extend(more));
            let ids = self.input_ids.iter().chain(&self.token_ids[..generated.len()]).copied().collect();
            readings.push(of(Phase::Decode, self.input_ids.len(), ids, &layers));
        }
        Ok(readings)
    }
}

fn check(layers: &[Vec<u32>], positions: usize, shape: Shape) -> Result<()> {
    let found = layers.first().map_or(0, Vec::len) / positions.max(1);
    ensure!(
        positions == 0 || layers.len() == shape.layers && found == shape.top_k,
        "it has {} layers and {found} experts a token, the first line has {} and {}",
        layers.len(),
        shape.layers,
        shape.top_k
    );
    if let Some(expert) = layers.iter().flatten().find(|expert| **expert as usize >= shape.experts) {
        bail!("it names expert {expert}, but --experts says that there are {}", shape.experts);
    }
    Ok(())
}

/// Experts by layer `[layers][pos × k]`, from `[pos, k, layers]` (`is_by_rank`) or `[pos, layers, k]`.
fn by_layer(experts: &Experts, is_by_rank: bool) -> Result<Vec<Vec<u32>>> {
    let outer = experts.first().map_or(0, Vec::len);
    let inner = experts.first().and_then(|token| token.first()).map_or(0, Vec::len);
    let is_even = experts.iter().all(|token| token.len() == outer && token.iter().all(|row| row.len() == inner));
    ensure!(is_even, "tokens have different numbers of layers or experts");
    let layers = if is_by_rank { inner } else { outer };
    let of_layer = |layer: usize| {
        experts.iter().flat_map(move |token| -> Vec<u32> {
            if is_by_rank { token.iter().map(|rank| rank[layer]).collect() } else { token[layer].clone() }
        })
    };
    Ok((0..layers).map(|layer| of_layer(layer).collect()).collect())
}
