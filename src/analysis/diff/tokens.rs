use crate::trace::{HookKind, TokenRecord, TraceTensor, Values};
use anyhow::{Result, bail};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// How many tokens at the start of two runs are the same.
pub fn shared(a: &[Arc<TokenRecord>], b: &[Arc<TokenRecord>]) -> usize {
    shared_ids(a.iter().map(|token| token.id), b.iter().map(|token| token.id))
}

fn shared_ids(a: impl IntoIterator<Item = u32>, b: impl IntoIterator<Item = u32>) -> usize {
    a.into_iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The tokens with which two texts begin, if they do not go on alike. Only these are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CommonPrefix {
    /// How many tokens are the same.
    pub length: usize,
    /// The ids that follow in A and B; `None` where that text has ended.
    pub next_ids: [Option<u32>; 2],
    /// How many tokens A and B have.
    pub tokens: [usize; 2],
}

impl CommonPrefix {
    /// The common beginning of two texts; `None` if they are the same.
    ///
    /// # Errors
    /// If they have no token in common: there is nothing to compare.
    pub fn of(a: &[u32], b: &[u32]) -> Result<Option<Self>> {
        let length = shared_ids(a.iter().copied(), b.iter().copied());
        let next_ids = [a, b].map(|ids| ids.get(length).copied());
        match (length, next_ids) {
            (_, [None, None]) => Ok(None),
            (0, [Some(a), Some(b)]) => bail!(
                "the texts differ from position 0 on: A begins with id {a}, B with id {b}; compare runs of texts that begin alike"
            ),
            _ => Ok(Some(Self { length, next_ids, tokens: [a.len(), b.len()] })),
        }
    }

    /// Cuts a tensor of the run `side`, A (0) or B (1), to the tokens that are compared. One that does not hold that run's
    /// positions stays as it is.
    pub fn cut(&self, kind: HookKind, side: usize, tensor: TraceTensor) -> TraceTensor {
        let (all, n) = (self.tokens[side], self.length);
        match (kind, &tensor.shape[..]) {
            (HookKind::Pattern, [heads, queries, keys]) if *queries == all && *keys == all => {
                let shape = vec![*heads, n, n];
                let values = match tensor.values {
                    Values::F32(values) => {
                        let heads = values.chunks_exact(all * all);
                        let rows = heads.flat_map(|head| head.chunks_exact(all).take(n));
                        Values::F32(rows.flat_map(|row| &row[..n]).copied().collect())
                    }
                    integers => integers,
                };
                TraceTensor { shape, values, ..tensor }
            }
            (HookKind::Pattern, _) => tensor,
            (_, [positions, rest @ ..]) if *positions == all => {
                let keep = n * rest.iter().product::<usize>();
                let shape = [&[n], rest].concat();
                let mut values = tensor.values;
                match &mut values {
                    Values::F32(values) => values.truncate(keep),
                    Values::U32(values) => values.truncate(keep),
                }
                TraceTensor { shape, values, ..tensor }
            }
            _ => tensor,
        }
    }
}

impl fmt::Display for CommonPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = |side: usize| self.next_ids[side].map_or_else(|| "ends".to_owned(), |id| format!("has id {id}"));
        let Self { length, tokens: [a, b], .. } = self;
        write!(f, "the texts differ from position {length} on (A {}, B {}): ", next(0), next(1))?;
        let compared = if *length == 1 { "token is".to_owned() } else { format!("{length} tokens are") };
        write!(f, "only the first {compared} compared (A has {a}, B {b})")
    }
}
