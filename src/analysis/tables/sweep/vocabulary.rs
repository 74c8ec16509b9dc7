use crate::analysis::sweep::Sweep;
use crate::analysis::tables::TokenText;
use crate::analysis::tables::row::table;

table! {
    "vocabulary.csv";
    /// One row for each phase, kind of token, layer, token that occurs often enough, and expert that it chose.
    pub struct VocabularyRow {
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Which token of a position: `input` (the one that is read), `next` (the one that follows in the text) or
        /// `predicted` (the one that the model predicts).
        kind: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of the token.
        token: String,
        /// The text that it stands for.
        text: String,
        /// How often it occurred.
        count: u64,
        /// Expert, from 0.
        expert: usize,
        /// How often the expert was its first choice.
        first: u64,
        /// Vocabulary specialisation of first choices: `first` / `count`, 0 to 1.
        first_share: f64,
        /// How often it chose the expert.
        chosen: u64,
        /// Vocabulary specialisation of all k choices: `chosen` / `count`, 0 to 1.
        specialisation: f64,
    }
}

/// The rows of `vocabulary.csv` for tokens that occurred at least `least` times.
pub fn vocabulary(sweep: &Sweep, least: u64, text: TokenText) -> impl Iterator<Item = VocabularyRow> {
    let layers = sweep.about.model.shape.layers;
    let all = sweep.wide.iter().flat_map(move |(phase, wide)| {
        let kinds = wide.vocabulary.kinds().iter().copied();
        let of = kinds.flat_map(move |kind| (0..layers).map(move |layer| (kind, layer)));
        of.map(move |(kind, layer)| (*phase, kind, layer, &wide.vocabulary))
    });
    all.flat_map(move |(phase, kind, layer, counts)| {
        counts.tokens(kind, layer).flat_map(move |(id, firsts, chosen)| {
            let count: u64 = firsts.iter().sum();
            let piece = sweep.pieces.get(&id).filter(|_| count >= least);
            let names = piece.map(|piece| (text.cell(piece).into_owned(), text.text(piece)));
            let experts = chosen.iter().enumerate().filter(|(_, chosen)| **chosen > 0);
            names.into_iter().flat_map(move |(token, text)| {
                let row = move |(expert, chosen): (usize, &u64)| VocabularyRow {
                    phase: phase.name(),
                    kind: kind.name(),
                    layer,
                    token_id: id,
                    token: token.clone(),
                    text: text.clone(),
                    count,
                    expert,
                    first: firsts[expert],
                    first_share: firsts[expert] as f64 / count as f64,
                    chosen: *chosen,
                    specialisation: *chosen as f64 / count as f64,
                };
                experts.clone().map(row)
            })
        })
    })
}
