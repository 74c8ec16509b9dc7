use super::row::table;
use crate::analysis::heads::{HeadStats, Pattern, Pick};

table! {
    "attention.csv";
    /// One row for each head, query and key.
    pub struct AttentionRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// Query head, from 0; `mean` or `max` for the mean or the maximum over the heads of the layer.
        head: Pick,
        /// Position of the query.
        query: usize,
        /// Position of the key, at most `query`.
        key: usize,
        /// Attention weight, after softmax.
        weight: f32,
    }
}

/// The rows of `attention.csv` for one head, or for several heads combined.
pub fn attention(layer: usize, head: Pick, pattern: &Pattern) -> impl Iterator<Item = AttentionRow> {
    (0..pattern.n).flat_map(move |query| {
        let row = pattern.row(query).iter().enumerate();
        row.map(move |(key, weight)| AttentionRow { layer, head, query, key, weight: *weight })
    })
}

table! {
    "attention.grid";
    /// One row for each head.
    pub struct HeadScoreRow {
        /// Decoder layer, from 0.
        layer: usize,
        /// Query head, from 0.
        head: Pick,
        /// Mean entropy of the attention weights of a query, in nats.
        entropy: f32,
        /// Mean weight on the token just before the query; empty if the run has one token.
        previous: Option<f32>,
        /// Mean weight on the first token; empty if the run has one token.
        first: Option<f32>,
        /// Mean weight on the tokens that follow earlier occurrences of the query's token; empty if no token occurs twice.
        induction: Option<f32>,
        /// Mean weight on earlier occurrences of the query's token; empty if no token occurs twice.
        duplicate: Option<f32>,
    }
}

/// The row of `attention.grid` for one head.
pub fn head_scores(layer: usize, head: Pick, stats: &HeadStats) -> HeadScoreRow {
    let HeadStats { entropy, previous, first, induction, duplicate, .. } = *stats;
    HeadScoreRow { layer, head, entropy, previous, first, induction, duplicate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Measure;
    use crate::analysis::tables::Row;

    #[test]
    fn every_measure_of_heads_is_a_column() {
        let columns: Vec<&str> = HeadScoreRow::TABLE.columns.iter().skip(2).map(|column| column.name).collect();
        assert_eq!(columns, Measure::ALL.map(Measure::name));
    }
}
