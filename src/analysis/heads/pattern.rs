/// The attention probabilities of one head over `n` tokens, lower triangle.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// Tokens covered.
    pub n: usize,
    /// Row after row; row `query` holds `query + 1` weights.
    pub weights: Vec<f32>,
}

impl Pattern {
    /// The weights of one query over keys `0..=query`.
    pub fn row(&self, query: usize) -> &[f32] {
        let start = query * (query + 1) / 2;
        &self.weights[start..=start + query]
    }
}
