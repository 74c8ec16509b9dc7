//! Reading memory and nothing else, the lower bound of a decoding step.

use super::isa::{Isa, isa, per_isa};
use rayon::prelude::*;

/// Bytes of one parallel task.
const TASK: usize = 1 << 20;

per_isa!(combined / combined_avx2 / combined_avx512: (words: &[u64]) -> u64 = words.iter().fold(0, |all, word| all ^ word));

/// Reads all of `words` once, in order, on all threads; the result depends on every bit, so nothing is left out.
pub fn stream(words: &[u64]) -> u64 {
    let isa: Isa = isa();
    words.par_chunks(TASK / 8).map(|words| combined(isa, words)).reduce(|| 0, |a, b| a ^ b)
}
