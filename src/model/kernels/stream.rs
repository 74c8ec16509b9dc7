//! Reading memory and nothing else: what bounds a decoding step.

use super::dot::{Isa, isa, per_isa};
use rayon::prelude::*;

/// Bytes of one parallel task.
const TASK: usize = 1 << 20;

#[inline(always)]
fn combine(words: &[u64], out: &mut [u64; 32]) {
    for line in words.as_chunks::<32>().0 {
        for i in 0..32 {
            out[i] ^= line[i];
        }
    }
}

per_isa!(combine_on / combine_avx2 / combine_avx512: (words: &[u64], out: &mut [u64; 32]) -> () = combine(words, out));

/// Reads all of `words` once, in order, on all threads; the result depends on every bit, so nothing is left out.
pub fn stream(words: &[u64]) -> u64 {
    let isa: Isa = isa();
    let part = |words: &[u64]| {
        let mut out = [0u64; 32];
        combine_on(isa, words, &mut out);
        out.into_iter().fold(0, |a, b| a ^ b)
    };
    words.par_chunks(TASK / 8).map(part).reduce(|| 0, |a, b| a ^ b)
}
