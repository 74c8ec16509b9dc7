use super::map::HeadMap;
use super::pick::Pick;

/// The largest number of blocks per side of a growing pattern.
const FINEST: usize = 256;

/// The pattern of a head as it grows row by row, pooled by maximum to square blocks. The side of a block is a power of two
/// of tokens. A new token costs one row; pooled blocks are never computed again.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooled {
    n: usize,
    /// Tokens a block covers in each direction, a power of two.
    block: usize,
    /// Row `r` holds blocks `0..=r`.
    rows: Vec<Vec<f32>>,
}

impl Default for Pooled {
    fn default() -> Self {
        Self { n: 0, block: 1, rows: Vec::new() }
    }
}

impl Pooled {
    /// Queries that were added.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether no query was added yet.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Its size, bytes.
    pub fn bytes(&self) -> usize {
        self.rows.len() * (self.rows.len() + 1) / 2 * size_of::<f32>()
    }

    /// Adds the weights of the next query over the keys up to itself.
    pub fn push(&mut self, weights: &[f32]) {
        if self.n == self.block * FINEST {
            self.halve();
        }
        let at = self.n / self.block;
        if at == self.rows.len() {
            self.rows.push(vec![f32::NAN; at + 1]);
        }
        for (cell, weights) in self.rows[at].iter_mut().zip(weights.chunks(self.block)) {
            *cell = weights.iter().fold(*cell, |max, weight| max.max(*weight));
        }
        self.n += 1;
    }

    /// Forgets queries so that at most `len` are left. Fewer may be left, as a block can't be divided; returns how
    /// many.
    pub fn truncate(&mut self, len: usize) -> usize {
        if len < self.n {
            let whole = len / self.block;
            // The same run read from its start would be kept in smaller blocks.
            if len <= self.block * FINEST / 2 && self.block > 1 {
                *self = Self::default();
            } else {
                self.rows.truncate(whole);
                self.n = whole * self.block;
            }
        }
        self.n
    }

    /// Joins two by two blocks to one.
    fn halve(&mut self) {
        let join = |pair: &[Vec<f32>]| {
            let width = pair.iter().map(Vec::len).max().unwrap_or(0).div_ceil(2);
            let mut joined = vec![f32::NAN; width];
            for (column, weight) in pair.iter().flat_map(|row| row.iter().enumerate()) {
                joined[column / 2] = joined[column / 2].max(*weight);
            }
            joined
        };
        self.rows = self.rows.chunks(2).map(join).collect();
        self.block *= 2;
    }

    /// At most `max_side` cells per side, each the maximum over whole blocks.
    pub fn map(&self, layer: usize, pick: Pick, max_side: usize) -> HeadMap {
        let fine = self.rows.len();
        let join = fine.div_ceil(max_side.max(1)).max(1);
        let side = fine.div_ceil(join);
        let mut cells = vec![f32::NAN; side * side];
        for (r, row) in self.rows.iter().enumerate() {
            let line = &mut cells[r / join * side..][..side];
            for (cell, blocks) in line.iter_mut().zip(row.chunks(join)) {
                *cell = blocks.iter().fold(*cell, |max, weight| max.max(*weight));
            }
        }
        HeadMap { layer, pick, max_side, n: self.n, block: self.block * join, side, cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Pattern;
    use proptest::prelude::*;

    /// Numbers that look random, without a sum of 1: pooling doesn't care.
    fn weight(query: usize, key: usize) -> f32 {
        let mixed = (query as u64 * 1_000_003 + key as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as f32 / (1u64 << 24) as f32
    }

    fn row(query: usize) -> Vec<f32> {
        (0..=query).map(|key| weight(query, key)).collect()
    }

    fn grown(n: usize) -> Pooled {
        let mut pooled = Pooled::default();
        (0..n).for_each(|query| pooled.push(&row(query)));
        pooled
    }

    /// NaN equals NaN, everything else bit for bit.
    fn bits(map: &HeadMap) -> (usize, usize, usize, Vec<u32>) {
        (map.n, map.block, map.side, map.cells.iter().map(|x| x.to_bits()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn every_cell_is_the_maximum_of_its_block(n in 1usize..700, max_side in 1usize..90) {
            let map = grown(n).map(0, Pick::One(0), max_side);
            prop_assert!(map.side <= max_side);
            prop_assert_eq!(map.side, n.div_ceil(map.block));
            let mut want = vec![f32::NAN; map.side * map.side];
            for query in 0..n {
                for key in 0..=query {
                    let cell = &mut want[query / map.block * map.side + key / map.block];
                    *cell = cell.max(weight(query, key));
                }
            }
            prop_assert_eq!(bits(&HeadMap { cells: want, ..map.clone() }), bits(&map));
        }

        #[test]
        fn going_back_and_on_gives_what_one_run_gives(n in 1usize..700, back in 0usize..700, max_side in 1usize..90) {
            let mut pooled = grown(n);
            let left = pooled.truncate(back.min(n));
            prop_assert!(left <= back.min(n) && left == pooled.len());
            (left..n).for_each(|query| pooled.push(&row(query)));
            prop_assert_eq!(bits(&pooled.map(0, Pick::Max, max_side)), bits(&grown(n).map(0, Pick::Max, max_side)));
            prop_assert_eq!(pooled.bytes(), grown(n).bytes());
        }
    }

    #[test]
    fn short_runs_are_pooled_as_a_whole_pattern_is() {
        let pattern = Pattern { n: 256, weights: (0..256).flat_map(row).collect() };
        for max_side in [1, 7, 16, 100, 256, 300] {
            let whole = HeadMap::pool(2, Pick::One(1), &pattern, max_side);
            assert_eq!(bits(&grown(256).map(2, Pick::One(1), max_side)), bits(&whole));
        }
        assert_eq!(grown(257).map(0, Pick::Mean, 1000).block, 2);
    }

    #[test]
    fn a_block_that_is_cut_is_read_again() {
        let mut pooled = grown(600);
        assert_eq!(pooled.truncate(599), 596, "blocks of four tokens");
        assert_eq!(pooled.truncate(100), 0, "a run of 100 tokens is kept exactly");
    }
}
