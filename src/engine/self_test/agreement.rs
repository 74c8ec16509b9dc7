//! The same text as one prefill, in chunks, and token by token.

use super::{Steps, Text};
use crate::model::{Model, NoHooks, Precision};
use anyhow::Result;
use serde::Serialize;

/// Tokens of a chunk. The number divides neither a page of the KV cache nor a kernel's rows.
const CHUNK: usize = 13;

/// The most bytes of weights that are read in the token-by-token test.
const BUDGET: u64 = 1 << 36;
/// Tokens of the first text that are read in any case: more than a page of the KV cache.
const LEAST: usize = 34;

/// How the logits of one way to read the text compare with those of the prefill.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// `chunks of 13`, or `token by token`.
    pub way: String,
    /// Tokens that were read in this way, and all of the texts.
    pub tokens: [usize; 2],
    /// Logits that are those of the prefill, bit for bit, and all.
    pub equal: [usize; 2],
    /// Largest difference of a logit.
    pub max_abs: f64,
    /// Text and position of the first difference.
    pub first: Option<(&'static str, usize)>,
}

impl Agreement {
    /// Whether nothing differs.
    pub fn is_exact(&self) -> bool {
        self.equal[0] == self.equal[1]
    }
}

/// Both ways, before any text is read.
pub fn ways() -> [(usize, Agreement); 2] {
    let way = |way: String| Agreement { way, tokens: [0, 0], equal: [0, 0], max_abs: 0.0, first: None };
    [(CHUNK, way(format!("chunks of {CHUNK}"))), (1, way("token by token".to_owned()))]
}

/// How many tokens of each text are also read in other ways: all tokens, or only the start of the first text if each
/// token reads gigabytes of weights.
pub fn tokens(touched: u64, texts: &[Text]) -> Vec<usize> {
    let all: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
    if touched.saturating_mul(all.iter().sum::<usize>() as u64) <= BUDGET {
        return all;
    }
    let first = usize::try_from(BUDGET / touched.max(1)).unwrap_or(usize::MAX).max(LEAST);
    all.iter().enumerate().map(|(i, all)| if i == 0 { first.min(*all) } else { 0 }).collect()
}

/// Reads `ids` in pieces of `size` and compares the logits with those of the prefill `[pos × vocab]`, which may be
/// longer.
pub fn compare(
    model: &Model,
    (name, ids): (&'static str, &[u32]),
    prefill: &[f32],
    precision: Precision,
    (size, found): (usize, &mut Agreement),
    steps: &mut Steps,
) -> Result<()> {
    let mut cache = model.new_cache();
    let vocab = model.dims().vocab;
    for (i, piece) in ids.chunks(size).enumerate() {
        let logits = model.forward(piece, &mut cache, precision, &mut NoHooks, &steps.pass(piece.len()))?;
        let want = &prefill[i * size * vocab..][..logits.len()];
        for (at, (got, want)) in logits.iter().zip(want).enumerate() {
            found.equal[1] += 1;
            if got.to_bits() == want.to_bits() {
                found.equal[0] += 1;
                continue;
            }
            let apart = f64::from((got - want).abs());
            found.max_abs = if apart.is_nan() { f64::INFINITY } else { found.max_abs.max(apart) };
            found.first.get_or_insert((name, i * size + at / vocab));
        }
    }
    Ok(())
}
