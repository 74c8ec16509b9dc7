//! Splits the tensors of a trace file by position.

use super::tensor::TraceFile;
use crate::trace::{Dims, Hook, HookKind, HookValues, NO_EXPERT, Row};
use anyhow::{Context, Result, bail, ensure};

/// Takes the token ids out of `file`.
///
/// # Errors
/// If the file has no token ids, or an id is outside the vocabulary.
pub fn token_ids(file: &mut TraceFile, vocab: usize) -> Result<Vec<u32>> {
    let tensor = file.tensors.remove("tokens").context("the trace has no tensor `tokens`")?;
    let found = tensor.shape.clone();
    ensure!(
        found.len() == 1 && found[0] > 0,
        "`tokens`: expected shape [pos] with at least one token, found {found:?}"
    );
    let ids = tensor.values.into_u32("tokens")?;
    check_below("tokens", &ids, vocab, "vocab_size of the config")?;
    Ok(ids)
}

/// Checks that every integer is an index below `limit`.
pub(super) fn check_below(name: &str, values: &[u32], limit: usize, of: &str) -> Result<()> {
    match values.iter().position(|value| *value as usize >= limit) {
        Some(at) => bail!("`{name}`: expected numbers below {limit} ({of}), found {}", values[at]),
        None => Ok(()),
    }
}

/// The expected shape of a hook's tensor. Where the pass was edited, a token may go through another number of experts.
fn shape(file: &TraceFile, hook: Hook, dims: Dims, pos: usize) -> Vec<usize> {
    let mut shape = hook.kind.shape(dims, pos);
    if hook.kind.is_by_expert() && file.metadata.contains_key("edits") {
        let found = file.tensors.get(&hook.to_string()).and_then(|tensor| tensor.shape.get(1).copied());
        shape[1] = found.filter(|slots| (1..=dims.experts).contains(slots)).unwrap_or(shape[1]);
    }
    shape
}

/// Takes every hook out of `file` and splits it by position; `pos` is the number of tokens.
///
/// # Errors
/// If the shape, the kind of numbers or the layer of a tensor does not fit `dims`; the error names the tensor.
pub fn hook_values(file: &mut TraceFile, dims: Dims, pos: usize) -> Result<Vec<HookValues>> {
    let mut records = vec![HookValues::new(dims.layers); pos];
    let mut hooks: Vec<Hook> = file.tensors.keys().filter_map(|name| name.parse().ok()).collect();
    hooks.sort_unstable_by_key(|hook| hook.index());
    for hook in hooks {
        let (name, layers) = (hook.to_string(), dims.layers);
        ensure!(
            (hook.layer as usize) < layers,
            "`{name}`: expected a layer below {layers} (num_hidden_layers of the config), found {}",
            hook.layer
        );
        // A name that spells the layer differently, such as `blocks.01.`, is not a hook's: such a tensor is skipped.
        let expected = shape(file, hook, dims, pos);
        let Some(values) = file.take(&name, &expected)? else { continue };
        match hook.kind {
            HookKind::ExpertIndices => {
                let indices = values.into_u32(&name)?;
                let has_empty_slots = file.metadata.contains_key("edits");
                let named: Vec<u32> =
                    indices.iter().copied().filter(|expert| *expert != NO_EXPERT || !has_empty_slots).collect();
                check_below(&name, &named, dims.experts, "num_local_experts of the config")?;
                for (record, row) in records.iter_mut().zip(indices.chunks_exact(expected[1])) {
                    let filled = row.iter().position(|expert| *expert == NO_EXPERT).unwrap_or(row.len());
                    record.insert(hook, Row::U32(row[..filled].into()));
                }
            }
            HookKind::Pattern => split_pattern(hook, &values.into_f32(&name)?, &mut records)?,
            _ => {
                let values = values.into_f32(&name)?;
                let is_by_expert = matches!(hook.kind, HookKind::MixingWeights | HookKind::ExpertOut);
                for (record, row) in records.iter_mut().zip(values.chunks_exact(values.len() / pos)) {
                    let chosen = record.get(HookKind::ExpertIndices.at(hook.layer as usize)).filter(|_| is_by_expert);
                    let filled = chosen.map_or(row.len(), |chosen| row.len() / expected[1] * chosen.len());
                    record.insert(hook, Row::F32(row.get(..filled).unwrap_or(row).into()));
                }
            }
        }
    }
    Ok(records)
}

/// Splits a pattern `[heads, query, key]` into one row `[heads, query + 1]` per query.
fn split_pattern(hook: Hook, values: &[f32], records: &mut [HookValues]) -> Result<()> {
    let pos = records.len();
    for (query, record) in records.iter_mut().enumerate() {
        let rows = || values.chunks_exact(pos).skip(query).step_by(pos);
        if let Some(weight) = rows().flat_map(|row| &row[query + 1..]).find(|weight| **weight != 0.0) {
            bail!("`{hook}`: expected 0 for keys after the query, found {weight} at query {query}");
        }
        let row: Vec<f32> = rows().flat_map(|row| &row[..=query]).copied().collect();
        record.insert(hook, Row::F32(row.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_split_by_query_and_must_be_causal() {
        let hook = HookKind::Pattern.at(0);
        let mut records = vec![HookValues::new(1); 2];
        // Two heads over two tokens.
        let mut values = vec![1.0, 0.0, 0.25, 0.75, 1.0, 0.0, 0.5, 0.5];
        split_pattern(hook, &values, &mut records).unwrap();
        assert_eq!(records[0].get(hook), Some(&Row::F32([1.0, 1.0].into())));
        assert_eq!(records[1].get(hook), Some(&Row::F32([0.25, 0.75, 0.5, 0.5].into())));
        values[5] = 0.5;
        let error = split_pattern(hook, &values, &mut records).unwrap_err().to_string();
        assert!(error.contains("hook_pattern") && error.contains("found 0.5 at query 0"), "{error}");
    }
}
