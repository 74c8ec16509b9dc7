/// The scores of a head on a text.
///
/// `previous`, `duplicate` and `induction` are named as in TransformerLens' `head_detector`. They are the weights on the
/// key before the query, on earlier keys with its token, and on the keys right after those. `induction` is the prefix
/// matching score of Olsson et al., "In-context Learning and Induction Heads" (2022). Each is a mean over the queries that
/// have such a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadStats {
    /// Tokens of the run when the head was scored.
    pub n: usize,
    /// Distance between the scored queries; 1 = all queries were scored.
    pub stride: usize,
    /// Mean entropy of the rows, nats.
    pub entropy: f32,
    /// Mean weight on the token just before (queries from 1 on); `None` if the run has one token only.
    pub previous: Option<f32>,
    /// Mean weight on the first token (queries from 1 on); `None` if the run has one token only.
    pub first: Option<f32>,
    /// Mean weight on positions `p + 1` where token `p` is the query's token; `None` if no token occurs twice.
    pub induction: Option<f32>,
    /// Mean weight on positions `p` before the query where token `p` is the query's token; `None` if no token occurs twice.
    pub duplicate: Option<f32>,
}

/// The scores of every head of a model on a sequence of random tokens followed by the same sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadScores {
    /// Length of that sequence, tokens.
    pub repeated: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// The scores `[layers, heads]`.
    pub stats: Vec<HeadStats>,
}

impl HeadScores {
    /// The scores of one head.
    pub fn get(&self, layer: usize, head: usize) -> Option<&HeadStats> {
        self.stats.get(layer * self.heads + head).filter(|_| head < self.heads)
    }
}
