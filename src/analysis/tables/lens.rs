use super::row::table;
use super::text::TokenText;
use crate::analysis::lens::Trajectory;
use crate::trace::{LensCell, LensKey, LensSite};
use std::borrow::Cow;

table! {
    "lens.csv";
    /// One row for each token, layer, site and one of the best tokens of the logit lens there.
    pub struct LensRow<'a> {
        /// Position of the token, from 0.
        position: usize,
        /// Decoder layer, from 0.
        layer: usize,
        /// The residual that the lens reads: `resid_mid` (after attention) or `resid_post` (after the layer).
        site: LensSite,
        /// Rank in the lens, from 1 to `--lens-k`.
        k: usize,
        /// Id of the token at this rank.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Its logit.
        logit: f32,
        /// Its probability.
        prob: f32,
        /// The text that it stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

/// The rows of `lens.csv` for one cell, best token first.
pub fn lens<'a>(key: LensKey, cell: &'a LensCell, text: TokenText) -> impl Iterator<Item = LensRow<'a>> {
    cell.top.iter().enumerate().map(move |(i, candidate)| LensRow {
        position: key.pos,
        layer: key.layer,
        site: key.site,
        k: i + 1,
        token_id: candidate.id,
        token: text.cell(&candidate.piece),
        logit: candidate.logit,
        prob: candidate.prob,
        text: text.text(&candidate.piece),
    })
}

table! {
    "lens_summary.csv";
    /// One row for each token, layer and site.
    pub struct LensSummaryRow {
        /// Position of the token, from 0.
        position: usize,
        /// Decoder layer, from 0.
        layer: usize,
        /// The residual that the lens reads: `resid_mid` (after attention) or `resid_post` (after the layer).
        site: LensSite,
        /// Rank in the lens, from 1, of the model's own first choice at this position.
        final_rank: u32,
        /// Probability in the lens of the model's own first choice.
        final_prob: f32,
        /// Entropy of the lens, in nats.
        entropy: f32,
        /// KL(final ‖ lens), in nats: final is the model's own distribution.
        kl: f32,
    }
}

/// The row of `lens_summary.csv` for one cell.
pub fn lens_summary(key: LensKey, cell: &LensCell) -> LensSummaryRow {
    let LensCell { final_rank, final_prob, entropy, kl, .. } = *cell;
    LensSummaryRow { position: key.pos, layer: key.layer, site: key.site, final_rank, final_prob, entropy, kl }
}

table! {
    "lens.targets";
    /// One row for each target token, layer and site, at one position.
    pub struct TargetRow<'a> {
        /// Id of the target token.
        token_id: u32,
        /// The tokenizer's spelling of it.
        token: Cow<'a, str>,
        /// Decoder layer, from 0.
        layer: usize,
        /// The residual that the lens reads: `resid_mid` (after attention) or `resid_post` (after the layer).
        site: LensSite,
        /// Rank of the target in the lens, from 1.
        rank: u32,
        /// Probability of the target in the lens.
        prob: f32,
        /// The text that it stands for: control characters as `\\n`, `\\t`, `\\u{1b}`, bytes that are no character as `‹C3›`.
        text: String,
    }
}

/// The rows of `lens.targets` for one target.
pub fn targets(target: &Trajectory, text: TokenText) -> impl Iterator<Item = TargetRow<'_>> {
    target.points.iter().map(move |(layer, site, rank, prob)| TargetRow {
        token_id: target.id,
        token: text.cell(&target.piece),
        layer: *layer,
        site: *site,
        rank: *rank,
        prob: *prob,
        text: text.text(&target.piece),
    })
}
