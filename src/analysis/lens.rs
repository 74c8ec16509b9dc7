use crate::trace::{LensCell, LensSite, Piece};
use serde::{Deserialize, Serialize};

/// What a lens view shows of a residual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LensMeasure {
    /// The top token with its probability; in the plot, probabilities.
    #[default]
    Top,
    /// KL(final ‖ lens), nats.
    Kl,
    /// Entropy, nats.
    Entropy,
    /// Rank of the final answer; in the plot, ranks.
    Rank,
}

impl LensMeasure {
    /// All measures, in the order in which the key goes through them.
    pub const ALL: [Self; 4] = [Self::Top, Self::Kl, Self::Entropy, Self::Rank];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top => "token",
            Self::Kl => "kl",
            Self::Entropy => "entropy",
            Self::Rank => "rank",
        }
    }

    /// The quantity with its unit; for the top token, that of its probability.
    pub fn quantity(self) -> &'static str {
        match self {
            Self::Top => "probability of the top token",
            Self::Kl => "KL(final ‖ lens), nats",
            Self::Entropy => "entropy, nats",
            Self::Rank => "rank of the final answer",
        }
    }

    /// The brightness of a cell, 0 to 1: probabilities as they are, nats relative to the entropy of a uniform distribution
    /// over `vocab` tokens, ranks by their logarithm, the first rank brightest.
    pub fn shade(self, cell: &LensCell, vocab: usize) -> f32 {
        let most = (vocab as f32).ln();
        match self {
            Self::Top => cell.top.first().map_or(0.0, |best| best.prob),
            Self::Kl => cell.kl / most,
            Self::Entropy => cell.entropy / most,
            Self::Rank => 1.0 - (cell.final_rank as f32).ln() / most,
        }
    }
}

/// Rank and probability of one token in every lens cell of one position.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling.
    pub piece: Piece,
    /// (layer, site, rank from 1, probability), in the order of the forward pass.
    pub points: Vec<(usize, LensSite, u32, f32)>,
}

/// Where a token is the most probable one, as indices into a list of residuals in the order of the forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The first residual where it leads.
    pub first: usize,
    /// The residual from which on it leads to the end; `None` if it doesn't lead at the end.
    pub stays: Option<usize>,
}

impl Lead {
    /// From a list that says for each residual whether the token leads; `None` if it never does.
    pub fn of(leads: &[bool]) -> Option<Self> {
        let first = leads.iter().position(|leads| *leads)?;
        let stays = leads.iter().rposition(|leads| !leads).map_or(0, |last| last + 1);
        Some(Self { first, stays: (stays < leads.len()).then_some(stays) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_lost_and_won_back() {
        let lead = |text: &str| Lead::of(&text.chars().map(|c| c == 'x').collect::<Vec<_>>());
        assert_eq!(lead("...xx"), Some(Lead { first: 3, stays: Some(3) }));
        assert_eq!(lead(".x.xx"), Some(Lead { first: 1, stays: Some(3) }));
        assert_eq!(lead("xx..."), Some(Lead { first: 0, stays: None }));
        assert_eq!(lead("xxxxx"), Some(Lead { first: 0, stays: Some(0) }));
        assert_eq!(lead("....."), None);
    }
}
