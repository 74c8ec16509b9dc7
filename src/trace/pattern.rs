/// The attention probabilities of one head over `n` tokens, lower triangle.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// Tokens covered.
    pub n: usize,
    /// Row `query` holds `query + 1` weights, rows one after another.
    pub weights: Vec<f32>,
}

impl Pattern {
    /// The weights of one query over keys `0..=query`.
    pub fn row(&self, query: usize) -> &[f32] {
        let start = query * (query + 1) / 2;
        &self.weights[start..=start + query]
    }
}

/// One head's matrix for the screen: `side × side` cells, each the maximum over a `block × block` square of
/// weights; cells wholly in the future are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMap {
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// The largest number of cells a side that was asked for.
    pub max_side: usize,
    /// Tokens of the run when it was derived.
    pub n: usize,
    /// Tokens a cell covers in each direction; 1 = exact values.
    pub block: usize,
    /// Cells in each direction.
    pub side: usize,
    /// `[side, side]`, query down, key across.
    pub cells: Vec<f32>,
    /// Figures of the whole pattern.
    pub stats: HeadStats,
}

/// What a head does on this text, in three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HeadStats {
    /// Mean entropy of the rows, nats.
    pub entropy: f32,
    /// Mean weight on the token just before.
    pub previous: f32,
    /// Mean weight on the first token (queries from 1 on).
    pub first: f32,
}

impl HeadStats {
    /// Measures a whole pattern.
    pub fn of(pattern: &Pattern) -> Self {
        let mut stats = Self::default();
        for query in 0..pattern.n {
            let row = pattern.row(query);
            stats.entropy -= row.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f32>();
            if query > 0 {
                stats.previous += row[query - 1];
                stats.first += row[0];
            }
        }
        stats.entropy /= pattern.n.max(1) as f32;
        stats.previous /= pattern.n.saturating_sub(1).max(1) as f32;
        stats.first /= pattern.n.saturating_sub(1).max(1) as f32;
        stats
    }
}

impl HeadMap {
    /// Pools a pattern to at most `max_side` cells a side.
    pub fn pool(layer: usize, head: usize, pattern: &Pattern, max_side: usize) -> Self {
        let n = pattern.n;
        let block = n.div_ceil(max_side.max(1)).max(1);
        let side = n.div_ceil(block);
        let mut cells = vec![f32::NAN; side * side];
        for query in 0..n {
            let line = &mut cells[query / block * side..][..side];
            for (key, weight) in pattern.row(query).iter().enumerate() {
                let cell = &mut line[key / block];
                *cell = cell.max(*weight);
            }
        }
        Self { layer, head, max_side, n, block, side, cells, stats: HeadStats::of(pattern) }
    }
}

/// Where one query of one head looks: exact weights over keys `0..=query`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadRow {
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// The query's position.
    pub query: usize,
    /// Weights over keys `0..=query`.
    pub weights: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_keeps_the_maximum_and_leaves_the_future_blank() {
        let pattern = Pattern { n: 4, weights: vec![1.0, 0.3, 0.7, 0.2, 0.2, 0.6, 0.1, 0.1, 0.1, 0.7] };
        let exact = HeadMap::pool(0, 0, &pattern, 4);
        assert_eq!((exact.block, exact.side), (1, 4));
        assert!(exact.cells[1].is_nan() && exact.cells[5] == 0.7);
        let pooled = HeadMap::pool(0, 0, &pattern, 2);
        assert_eq!((pooled.block, pooled.side), (2, 2));
        assert_eq!(pooled.cells[0], 1.0);
        assert!(pooled.cells[1].is_nan());
        assert_eq!(&pooled.cells[2..], &[0.2, 0.7]);
        assert!((exact.stats.previous - (0.3 + 0.2 + 0.1) / 3.0).abs() < 1e-6);
    }
}
