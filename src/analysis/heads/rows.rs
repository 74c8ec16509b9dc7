use super::pick::Pick;
use crate::analysis::distribution::entropy;

/// How many entries of a row or column are sorted.
const STRONGEST: usize = 64;

/// The attention of one query: exact weights over keys `0..=query`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadRow {
    /// Decoder layer.
    pub layer: usize,
    /// The head, or the heads combined.
    pub pick: Pick,
    /// The query's position.
    pub query: usize,
    /// Weights over keys `0..=query`.
    pub weights: Vec<f32>,
    /// The keys with the largest weights, largest first.
    pub strongest: Vec<usize>,
    /// Entropy of the weights, nats. It means nothing for the maximum over heads, whose weights don't sum to 1.
    pub entropy: f32,
}

impl HeadRow {
    /// A row with its strongest keys and its entropy.
    pub fn new(layer: usize, pick: Pick, query: usize, weights: Vec<f32>) -> Self {
        let strongest = strongest(&weights);
        let entropy = entropy(&weights);
        Self { layer, pick, query, weights, strongest, entropy }
    }
}

/// The attention on one key: exact weights from the queries `key..n`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadColumn {
    /// Decoder layer.
    pub layer: usize,
    /// The head, or the heads combined.
    pub pick: Pick,
    /// The key's position.
    pub key: usize,
    /// Weights from the queries `key..n`.
    pub weights: Vec<f32>,
    /// The queries with the largest weights, largest first.
    pub strongest: Vec<usize>,
    /// The sum of the weights.
    pub total: f32,
}

impl HeadColumn {
    /// A column with its strongest queries and its sum.
    pub fn new(layer: usize, pick: Pick, key: usize, weights: Vec<f32>) -> Self {
        let strongest = strongest(&weights).into_iter().map(|i| key + i).collect();
        let total = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() as f32;
        Self { layer, pick, key, weights, strongest, total }
    }

    /// Tokens of the run when it was derived.
    pub fn n(&self) -> usize {
        self.key + self.weights.len()
    }

    /// The weight from `query`; `None` before the key and after the end of the run.
    pub fn weight(&self, query: usize) -> Option<f32> {
        self.weights.get(query.checked_sub(self.key)?).copied()
    }
}

/// Indices of the largest weights, largest first; equal weights by ascending index.
fn strongest(weights: &[f32]) -> Vec<usize> {
    let order = |a: &usize, b: &usize| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b));
    let mut best: Vec<usize> = (0..weights.len()).collect();
    if best.len() > STRONGEST {
        best.select_nth_unstable_by(STRONGEST, order);
        best.truncate(STRONGEST);
    }
    best.sort_by(order);
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_know_their_strongest_and_their_sums() {
        let row = HeadRow::new(0, Pick::One(0), 3, vec![0.1, 0.4, 0.1, 0.4]);
        assert_eq!(row.strongest, [1, 3, 0, 2]);
        assert!((row.entropy - 1.1935).abs() < 1e-3, "{}", row.entropy);
        let column = HeadColumn::new(0, Pick::Mean, 2, vec![0.25, 0.5]);
        assert_eq!((column.n(), column.strongest.as_slice(), column.total), (4, &[3usize, 2][..], 0.75));
        assert_eq!([1, 2, 3, 4].map(|query| column.weight(query)), [None, Some(0.25), Some(0.5), None]);
        let many = HeadRow::new(0, Pick::One(0), 299, (0..300).map(|i| (i * 7 % 300) as f32).collect());
        assert_eq!(many.strongest.len(), STRONGEST);
        assert!(many.strongest.windows(2).all(|pair| many.weights[pair[0]] > many.weights[pair[1]]));
        assert_eq!(many.weights[many.strongest[0]], 299.0);
    }
}
