/// What a head does on a text.
///
/// Previous, duplicate and induction score the weight on the keys that TransformerLens' `head_detector` names so: the
/// key before the query; earlier keys of the query's own token; the keys right after those. The last is the prefix
/// matching score of Olsson et al., "In-context Learning and Induction Heads" (2022). All are means over the queries
/// that have such a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadStats {
    /// Tokens of the run when it was measured.
    pub n: usize,
    /// Every how many queries one was measured; 1 = all.
    pub stride: usize,
    /// Mean entropy of the rows, nats.
    pub entropy: f32,
    /// Mean weight on the token just before (queries from 1 on); `None` if the run has one token only.
    pub previous: Option<f32>,
    /// Mean weight on the first token (queries from 1 on); `None` as above.
    pub first: Option<f32>,
    /// Mean weight on positions `p + 1` where token `p` is the query's; `None` if no token of the text occurs twice.
    pub induction: Option<f32>,
    /// Mean weight on positions `p` before the query where token `p` is the query's; `None` as for induction.
    pub duplicate: Option<f32>,
}

/// Every head of a model on a text of random tokens given twice.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadScores {
    /// Random tokens, before they are repeated.
    pub repeated: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// `[layers, heads]`.
    pub stats: Vec<HeadStats>,
}

impl HeadScores {
    /// The figures of one head.
    pub fn get(&self, layer: usize, head: usize) -> Option<&HeadStats> {
        self.stats.get(layer * self.heads + head)
    }
}
