use super::comparer::Comparer;
use super::comparison::Comparison;
use super::loss::Predictions;
use super::tokens::CommonPrefix;
use super::tolerance::Mode;
use crate::trace::{Dtype, Hook, HookKind, TraceReader, Values};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

/// Facts about one side of a comparison, apart from its numbers.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The dtype in which activations are exact.
    pub dtype: Dtype,
    /// Experts chosen for a token, if known.
    pub top_k: Option<usize>,
    /// The config, `null` if there is none.
    pub config: Value,
    /// Whether each expert's weighted output is rounded before the outputs are added, as transformers' `eager` experts do.
    pub rounds_shares: bool,
}

impl Facts {
    /// The facts that a trace states.
    pub fn of(trace: &TraceReader) -> Self {
        let config = trace.json("config").unwrap_or_default();
        let top_k = config.get("num_experts_per_tok").and_then(Value::as_u64).map(|k| k as usize);
        let provenance = trace.json("provenance").unwrap_or_default();
        let experts = provenance.get("experts").and_then(Value::as_str);
        let version = provenance.get("transformers").and_then(Value::as_str);
        let rounds_shares = experts == Some("eager") || version.is_some_and(|version| version.starts_with("4."));
        Self { dtype: trace.activation_dtype(), top_k, config, rounds_shares }
    }

    /// A comparer of this side (A) with `other` (B).
    pub fn comparer(&self, other: &Self, mode: Mode, tolerance: Option<f32>, tokens: Vec<u32>) -> Comparer {
        let top_k = self.top_k.or(other.top_k).unwrap_or(2);
        let other_sum = self.rounds_shares != other.rounds_shares;
        Comparer::new(mode, tolerance, [self.dtype, other.dtype], tokens, top_k, other_sum)
    }
}

/// Compares two traces over the tokens with which both begin, one hook at a time.
///
/// # Errors
/// If a tensor can't be read, the first tokens differ, the shapes of a tensor differ in more than the number of chosen
/// experts, or no hook is in both.
pub fn compare_traces(a: &TraceReader, b: &TraceReader, tolerance: Option<f32>) -> Result<Comparison> {
    let (mut tokens, of_b) = (a.tokens()?, b.tokens()?);
    let (all, prefix) = ([tokens.len(), of_b.len()], CommonPrefix::of(&tokens, &of_b)?);
    tokens.truncate(prefix.map_or(tokens.len(), |prefix| prefix.length));
    let hooks: BTreeSet<_> = a.hooks().into_iter().chain(b.hooks()).map(|hook| (hook.order(), hook)).collect();
    let mut comparer = Facts::of(a).comparer(&Facts::of(b), Mode::EndToEnd, tolerance, tokens.clone());
    for (side, trace) in [a, b].into_iter().enumerate() {
        let mut recorded = recorded_predictions(trace, all[side])?;
        recorded.truncate(tokens.len());
        comparer.predictions(side, recorded);
    }
    let mut common = 0;
    for (_, hook) in hooks {
        let name = hook.to_string();
        let in_both = a.has(&name) && b.has(&name);
        common += usize::from(in_both);
        // A hook that only one trace holds is still read where routing or loss can be derived from it.
        let read = |trace: &TraceReader, side: usize| -> Result<_> {
            if !trace.has(&name) || !(in_both || is_derived_from(hook)) {
                return Ok(None);
            }
            let tensor = trace.tensor(&name)?;
            Ok(Some(match &prefix {
                Some(prefix) => prefix.cut(hook.kind, side, tensor),
                None => tensor,
            }))
        };
        let (mut of_a, mut of_b) = (read(a, 0)?, read(b, 1)?);
        // Where one run was edited, a token may go through another number of experts.
        if let (true, Some(a), Some(b)) = (hook.kind.is_by_expert(), &mut of_a, &mut of_b) {
            let slots = [&*a, &*b].map(|tensor| tensor.shape.get(1).copied().unwrap_or(0));
            a.widen(slots[1]);
            b.widen(slots[0]);
        }
        if !in_both && !is_derived_from(hook) {
            comparer.note_missing(hook, usize::from(b.has(&name)));
            continue;
        }
        comparer.add(hook, of_a, of_b)?;
    }
    ensure!(common > 0, "{} and {} have no hook in common; record at least one in both", a.name(), b.name());
    Ok(Comparison { common_prefix: prefix, ..comparer.finish() })
}

/// Whether routing or losses are derived from a hook.
fn is_derived_from(hook: Hook) -> bool {
    use HookKind as K;
    matches!(hook.kind, K::RouterLogits | K::ExpertWeights | K::ExpertIndices | K::Logits)
}

/// The scores and candidates that mixscope adds to its traces.
///
/// # Errors
/// If they can't be read or there is not one per token.
pub fn recorded_predictions(trace: &TraceReader, pos: usize) -> Result<Predictions> {
    let mut found = Predictions::default();
    let (nll, next) = ("mixscope.score.nll", "mixscope.next.ids");
    if trace.has(nll) {
        let tensor = trace.tensor(nll)?;
        ensure!(tensor.shape == [pos - 1], "`{nll}`: expected shape [{}], found {:?}", pos - 1, tensor.shape);
        found.nll = Some(tensor.f32().with_context(|| format!("`{nll}`"))?.to_vec());
    }
    if let Some([rows, k]) = trace.shape(next)
        && *rows == pos
        && *k > 0
        && let Values::U32(ids) = trace.tensor(next)?.values
    {
        found.top = Some(ids.iter().step_by(*k).copied().collect());
    }
    Ok(found)
}
