use crate::analysis::routing::TokenRouting;
use crate::trace::{Dtype, Hook};
use serde::Serialize;

/// Rounding can explain a flip whose margin is at most this many ulps, in A or in B.
///
/// A *near-tie* is something else: a choice within a single run that one ulp could have changed, see
/// [`Margin::is_near_tie`](crate::analysis::routing::Margin::is_near_tie). The logits of two runs differ by the
/// rounding of everything before the router, which adds up to more than one ulp.
pub const WITHIN_ROUNDING: f32 = 4.0;

/// A token whose set of experts differs between two runs in one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// The decoder layer.
    pub layer: u32,
    /// Position of the token.
    pub position: usize,
    /// The experts of A and of B, best first.
    pub experts: [Vec<u32>; 2],
    /// Logit of the last chosen expert minus that of the best not chosen, in A and in B; `None` if not captured.
    pub gaps: [Option<f32>; 2],
    /// The gaps in ulps, at the larger logit.
    #[serde(rename = "steps")]
    pub ulps: [Option<f32>; 2],
    /// Whether the last chosen and a rejected expert have the same score, in A or in B: which of the two is chosen is a
    /// convention of the program.
    pub exact_tie: bool,
    /// The hidden state nearest to the router that both runs hold; `None` if there is none, and for live runs.
    pub input: Option<RouterInput>,
}

/// The input of a router, or a hidden state that it was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RouterInput {
    /// The hidden state.
    pub hook: Hook,
    /// Whether A and B agree in it at the token's position, bit for bit.
    pub equal: bool,
    /// Whether the router of this layer read it, or its input follows from it, so that A and B cannot differ in
    /// between.
    pub immediate: bool,
}

impl Flip {
    /// The flip of one token in one layer; `None` if A and B chose the same experts. Ulps are those of `dtype`.
    pub fn of(layer: usize, position: usize, choices: [TokenRouting; 2], dtype: Dtype) -> Option<Self> {
        if same_set(choices[0].chosen, choices[1].chosen) {
            return None;
        }
        let margins = choices.map(|choice| choice.margin());
        Some(Self {
            layer: layer as u32,
            position,
            experts: choices.map(|choice| choice.chosen.to_vec()),
            gaps: margins.map(|margin| margin.map(|margin| margin.gap)),
            ulps: margins.map(|margin| margin.map(|margin| margin.ulps(dtype))),
            exact_tie: choices.iter().any(TokenRouting::is_exact_tie),
            input: None,
        })
    }

    /// Whether rounding can explain the flip. A chosen expert whose logit is far below a rejected one's (a negative
    /// gap) is not explained by rounding, nor is another number of experts.
    pub fn is_within_rounding(&self) -> bool {
        let [a, b] = &self.experts;
        let is_near = self.exact_tie || self.ulps.iter().flatten().any(|ulps| ulps.abs() <= WITHIN_ROUNDING);
        a.len() == b.len() && is_near
    }

    /// How many experts of A were replaced.
    pub fn exchanged(&self) -> usize {
        let [a, b] = &self.experts;
        a.iter().filter(|expert| !b.contains(expert)).count()
    }
}

/// Whether two choices name the same experts, in any order.
pub fn same_set(a: &[u32], b: &[u32]) -> bool {
    a.len() == b.len() && a.iter().all(|expert| b.contains(expert))
}
