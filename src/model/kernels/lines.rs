//! Sums of sixteen rows of bf16 weights, a line of the cache of each row at a time.

/// Adds up sixteen rows of weights times a row of activations, from the sums `$zero` on. The module around has an
/// `add_quarter::<N>`, which adds `N` pairs of a quarter of each line. A macro, so that each function is compiled with its
/// own instructions.
macro_rules! sum_lines {
    ($w:expr, $x:expr, $zero:expr) => {{
        use super::interleave::{LINE, LONG, PAIRS, ROWS, fetch_line, lead, padded};
        let (w, x): (&[&[u8]; ROWS], &[[f32; 2]]) = ($w, $x);
        let mut sums = $zero;
        let some = |at: usize, x: &[[f32; 2]], sums: &mut _| {
            let lines = padded(w, at);
            for (quarter, x) in x.chunks(4).enumerate() {
                match x.len() {
                    1 => add_quarter::<1>(&lines, quarter, x, sums),
                    2 => add_quarter::<2>(&lines, quarter, x, sums),
                    3 => add_quarter::<3>(&lines, quarter, x, sums),
                    _ => add_quarter::<4>(&lines, quarter, x, sums),
                }
            }
        };
        // As in `sum_pairs`: the first pairs alone, then each line of the cache as a whole.
        let mut at = if x.len() >= LONG { lead(w) } else { 0 };
        if at > 0 {
            some(0, &x[..at], &mut sums);
        }
        let whole = w.iter().map(|row| row.len() / 4).min().unwrap_or(0).min(x.len());
        let ahead = ROWS * w[0].len();
        let mut lines = [[0; LINE]; ROWS];
        while at + PAIRS <= whole {
            // Whole lines first: rows are often a power of two apart, so that their lines take each other's place in the
            // nearest cache before the second half is read.
            for (line, row) in lines.iter_mut().zip(w) {
                // SAFETY: each row has `whole` pairs.
                *line = unsafe { row.as_ptr().add(4 * at).cast::<[u8; LINE]>().read_unaligned() };
            }
            for (quarter, rows) in w.as_chunks::<4>().0.iter().enumerate() {
                // A few at a time: memory works while this thread computes.
                rows.iter().for_each(|row| fetch_line(row, 4 * at + ahead));
                add_quarter::<4>(&lines, quarter, &x[at + 4 * quarter..], &mut sums);
            }
            at += PAIRS;
        }
        if at < x.len() {
            some(at, &x[at..], &mut sums);
        }
        sums
    }};
}

pub(super) use sum_lines;
