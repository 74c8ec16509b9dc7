use crate::analysis::sweep::{PickedBy, Sample, Sweep};
use crate::analysis::tables::TokenText;
use crate::analysis::tables::row::table;
use crate::trace::Piece;

table! {
    "contexts.csv";
    /// One row for each context that was kept of an expert: a token that chose it, with the text around it.
    pub struct ContextRow<'a> {
        /// `prefill` or `decode`.
        phase: &'static str,
        /// Decoder layer, from 0.
        layer: usize,
        /// Expert, from 0.
        expert: usize,
        /// `random` (each token that chose the expert as likely as any other) or `strongest` (largest router probability).
        picked: &'static str,
        /// Place among these, from 1.
        place: usize,
        /// Name of the group of the text.
        group: &'a str,
        /// Part of a text, counted over the whole corpus, from 0.
        part: u64,
        /// Window in that part, from 0.
        window: u64,
        /// Position in that window, from 0.
        position: usize,
        /// Id of the token.
        token_id: u32,
        /// The tokenizer's spelling of the token.
        token: String,
        /// Rank of the expert among those that the token chose, from 1.
        rank: usize,
        /// Router probability of the expert; empty without a model.
        prob: Option<f32>,
        /// Mixing weight of the expert; empty without a model.
        weight: Option<f32>,
        /// The text before the token.
        before: String,
        /// The text that the token stands for.
        text: String,
        /// The text after the token.
        after: String,
    }
}

/// The rows of `contexts.csv`.
pub fn contexts(sweep: &Sweep, text: TokenText) -> impl Iterator<Item = ContextRow<'_>> {
    let shape = sweep.about.model.shape;
    let experts =
        move || (0..shape.layers).flat_map(move |layer| (0..shape.experts).map(move |expert| (layer, expert)));
    sweep.wide.iter().flat_map(move |(phase, wide)| {
        experts().flat_map(move |(layer, expert)| {
            PickedBy::ALL.into_iter().flat_map(move |by| {
                let kept = wide.contexts.of(layer, expert, by).iter().zip(1..);
                kept.map(move |(sample, place)| {
                    let row = row(sweep, sample, text);
                    ContextRow { phase: phase.name(), layer, expert, picked: by.name(), place, ..row }
                })
            })
        })
    })
}

fn row<'a>(sweep: &'a Sweep, sample: &'a Sample, text: TokenText) -> ContextRow<'a> {
    let id = sample.ids[sample.at];
    let piece = |id: u32| sweep.pieces.get(&id).cloned().unwrap_or_else(|| Piece::from(format!("<id {id}>")));
    let joined = |ids: &[u32]| {
        text.cell(&ids.iter().map(|id| TokenText::Exact.text(&piece(*id))).collect::<String>()).into_owned()
    };
    ContextRow {
        phase: "",
        layer: 0,
        expert: 0,
        picked: "",
        place: 0,
        group: &sample.group,
        part: sample.place.part,
        window: sample.place.window,
        position: sample.position,
        token_id: id,
        token: text.cell(&piece(id)).into_owned(),
        rank: sample.rank,
        prob: Some(sample.prob).filter(|prob| *prob > 0.0),
        weight: Some(sample.weight).filter(|weight| *weight > 0.0),
        before: joined(&sample.ids[..sample.at]),
        text: text.text(&piece(id)),
        after: joined(&sample.ids[sample.at + 1..]),
    }
}
