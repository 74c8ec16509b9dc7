use std::fmt;
use std::ops::Range;
use std::str::FromStr;

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

/// One head of a layer, or all of them put together weight by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pick {
    /// This query head.
    One(usize),
    /// The mean over the heads.
    Mean,
    /// The maximum over the heads.
    Max,
}

impl Pick {
    /// The heads it is made of, in a layer that has `all` of them.
    pub fn heads(self, all: usize) -> Range<usize> {
        match self {
            Self::One(head) => head..head + 1,
            Self::Mean | Self::Max => 0..all,
        }
    }

    /// As tables, file names and the command line have it: the head's number, `mean` or `max`.
    pub fn name(self) -> String {
        match self {
            Self::One(head) => head.to_string(),
            Self::Mean => "mean".to_owned(),
            Self::Max => "max".to_owned(),
        }
    }
}

impl FromStr for Pick {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name {
            "mean" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            number => {
                let head = number.parse().ok();
                head.map(Self::One).ok_or_else(|| anyhow::anyhow!("`{number}` is not a head's number, mean or max"))
            }
        }
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(head) => write!(f, "head {head}"),
            Self::Mean => f.write_str("mean of heads"),
            Self::Max => f.write_str("max of heads"),
        }
    }
}

/// A matrix for the screen: `side × side` cells, each the maximum over a `block × block` square of weights; cells
/// wholly in the future are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMap {
    /// Decoder layer.
    pub layer: usize,
    /// Of which head.
    pub pick: Pick,
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
}

impl HeadMap {
    /// Pools a whole pattern to at most `max_side` cells a side.
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

/// Entries of a row or column that are kept sorted.
const STRONGEST: usize = 64;

/// Where one query looks: exact weights over keys `0..=query`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadRow {
    /// Decoder layer.
    pub layer: usize,
    /// Of which head.
    pub pick: Pick,
    /// The query's position.
    pub query: usize,
    /// Weights over keys `0..=query`.
    pub weights: Vec<f32>,
    /// The keys with the largest weights, largest first.
    pub strongest: Vec<usize>,
    /// Entropy of the weights, nats. They sum to 1 for one head and for the mean; for the maximum over heads this says
    /// nothing.
    pub entropy: f32,
}

impl HeadRow {
    /// A row with its strongest keys and its entropy.
    pub fn new(layer: usize, pick: Pick, query: usize, weights: Vec<f32>) -> Self {
        let strongest = strongest(&weights);
        let entropy = super::routing::entropy(&weights);
        Self { layer, pick, query, weights, strongest, entropy }
    }
}

/// Who looks at one key: exact weights from the queries `key..n`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadColumn {
    /// Decoder layer.
    pub layer: usize,
    /// Of which head.
    pub pick: Pick,
    /// The key's position.
    pub key: usize,
    /// Weights from the queries `key..n`.
    pub weights: Vec<f32>,
    /// The queries with the largest weights, largest first.
    pub strongest: Vec<usize>,
    /// The weights' sum: what the key gets of all of them.
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

    /// The weight from `query`; `None` before the key and behind the run.
    pub fn weight(&self, query: usize) -> Option<f32> {
        self.weights.get(query.checked_sub(self.key)?).copied()
    }
}

/// Indices of the largest weights, largest first; of equals the first comes first.
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
