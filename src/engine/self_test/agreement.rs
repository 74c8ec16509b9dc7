//! The same text as one prefill, in chunks, and token by token.

use super::Steps;
use super::loss::Quiet;
use crate::model::{Mixtral, Precision};
use anyhow::Result;
use serde::Serialize;

/// Tokens of a chunk: no divisor of a page of the KV cache or of a kernel's rows.
const CHUNK: usize = 13;

/// Bytes of weights that reading token by token may touch in all, and tokens that are read in any case.
const BUDGET: u64 = 1 << 36;
const LEAST: usize = 2 * CHUNK;

/// What was found of a way to read the text.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// `chunks of 13`, or `token by token`.
    pub way: String,
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

/// Both ways, before any text.
pub fn ways() -> [(usize, Agreement); 2] {
    let way = |way: String| Agreement { way, equal: [0, 0], max_abs: 0.0, first: None };
    [(CHUNK, way(format!("chunks of {CHUNK}"))), (1, way("token by token".to_owned()))]
}

/// How many tokens of each text are read in other ways: all, unless a token touches gigabytes.
pub fn tokens(touched: u64, texts: usize) -> usize {
    let all = usize::try_from(BUDGET / touched.max(1)).unwrap_or(usize::MAX);
    (all / texts.max(1)).max(LEAST)
}

/// Reads `ids` in pieces of `size` and compares the logits with those of the prefill `[pos × vocab]`, which may go on.
pub fn compare(
    model: &Mixtral,
    (name, ids): (&'static str, &[u32]),
    prefill: &[f32],
    precision: Precision,
    (size, found): (usize, &mut Agreement),
    steps: &mut Steps,
) -> Result<()> {
    let mut cache = model.new_cache();
    let vocab = model.dims().vocab;
    for (i, piece) in ids.chunks(size).enumerate() {
        let logits = model.forward(piece, &mut cache, precision, &mut Quiet(steps))?.flatten_all()?.to_vec1::<f32>()?;
        let want = &prefill[i * size * vocab..][..logits.len()];
        for (at, (got, want)) in logits.iter().zip(want).enumerate() {
            found.equal[1] += 1;
            if got.to_bits() == want.to_bits() {
                found.equal[0] += 1;
                continue;
            }
            found.max_abs = found.max_abs.max(f64::from((got - want).abs()));
            found.first.get_or_insert((name, i * size + at / vocab));
        }
    }
    Ok(())
}
