use super::pattern::Pattern;
use super::pick::Pick;

/// A pattern for the screen: `side × side` cells, each the maximum over a `block × block` square of weights. Cells
/// wholly in the future are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMap {
    /// Decoder layer.
    pub layer: usize,
    /// The head, or the heads combined.
    pub pick: Pick,
    /// The requested largest number of cells per side.
    pub max_side: usize,
    /// Tokens of the run when it was derived.
    pub n: usize,
    /// Tokens a cell covers in each direction; 1 = exact values.
    pub block: usize,
    /// Cells in each direction.
    pub side: usize,
    /// The cells `[side, side]`, query down, key across.
    pub cells: Vec<f32>,
}

impl HeadMap {
    /// Pools a whole pattern to at most `max_side` cells per side.
    pub fn pool(layer: usize, pick: Pick, pattern: &Pattern, max_side: usize) -> Self {
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
        Self { layer, pick, max_side, n, block, side, cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_keeps_the_maximum_and_leaves_the_future_blank() {
        let pattern = Pattern { n: 4, weights: vec![1.0, 0.3, 0.7, 0.2, 0.2, 0.6, 0.1, 0.1, 0.1, 0.7] };
        let exact = HeadMap::pool(0, Pick::One(0), &pattern, 4);
        assert_eq!((exact.block, exact.side), (1, 4));
        assert!(exact.cells[1].is_nan() && exact.cells[5] == 0.7);
        let pooled = HeadMap::pool(0, Pick::One(0), &pattern, 2);
        assert_eq!((pooled.block, pooled.side), (2, 2));
        assert_eq!(pooled.cells[0], 1.0);
        assert!(pooled.cells[1].is_nan());
        assert_eq!(&pooled.cells[2..], &[0.2, 0.7]);
    }
}
