use super::Candidate;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The residual that a lens reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LensSite {
    /// After attention.
    ResidMid,
    /// After the experts.
    ResidPost,
}

impl fmt::Display for LensSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ResidMid => "resid_mid",
            Self::ResidPost => "resid_post",
        })
    }
}

impl LensSite {
    /// Both, in the order of the forward pass.
    pub const ALL: [Self; 2] = [Self::ResidMid, Self::ResidPost];
}

/// One cell of the logit lens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LensKey {
    /// Position in the run.
    pub pos: usize,
    /// Decoder layer.
    pub layer: usize,
    /// The residual.
    pub site: LensSite,
}

/// The prediction of one residual: final RMSNorm recomputed for it, then the unembedding.
#[derive(Clone, Debug, PartialEq)]
pub struct LensCell {
    /// The most probable tokens, best first.
    pub top: Vec<Candidate>,
    /// Rank, from 1, of the model's own first choice at that position.
    pub final_rank: u32,
    /// Probability of the model's own first choice.
    pub final_prob: f32,
    /// Entropy of the lens distribution, nats.
    pub entropy: f32,
    /// KL(final ‖ lens), nats.
    pub kl: f32,
}
