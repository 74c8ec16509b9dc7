//! Whether a model has what an edit names.

use super::{Change, Edit, Part, Patched, Picks, Scope};
use crate::trace::Dims;
use anyhow::{Result, bail, ensure};

impl Edit {
    /// Checks that a model of these sizes has the layers, experts and heads that the edit names.
    ///
    /// # Errors
    /// If it lacks one; the message names the range that there is.
    pub fn check(&self, dims: Dims) -> Result<()> {
        let has = |letter: &str, what: &str, picks: &Picks, count: usize| match picks.last() {
            Some(last) if last >= count => {
                bail!("`{self}`: there is no {letter}{last}: {what}s are {letter}0..{}", count.saturating_sub(1))
            }
            _ => Ok(()),
        };
        has("L", "layer", &self.layers, dims.layers)?;
        self.check_routers(dims)?;
        let experts = |picks: &Picks| has("E", "expert", picks, dims.experts);
        let heads = |picks: &Picks| has("H", "head", picks, dims.heads);
        match &self.change {
            Change::Ban(picks) => {
                experts(picks)?;
                let banned = picks.below(dims.experts).len();
                ensure!(
                    dims.experts - banned >= dims.top_k,
                    "`{self}`: a token needs {} experts, and this leaves {} of {}; `zero` leaves the choice alone",
                    dims.top_k,
                    dims.experts - banned,
                    dims.experts
                );
            }
            Change::Force(picks) | Change::Bias(picks, _) => experts(picks)?,
            Change::TopK(count) => ensure!(
                (1..=dims.experts).contains(count),
                "`{self}`: a token can go through 1 to {} experts",
                dims.experts
            ),
            Change::Zero(part) | Change::Scale(part, _) | Change::Mean(part) => match part {
                Part::Experts(picks) => experts(picks)?,
                Part::Heads(picks) => heads(picks)?,
                Part::Shared => ensure!(dims.d_shared > 0, "`{self}`: this model has no shared expert"),
                Part::Attn | Part::Mlp => {}
            },
            Change::Cut { heads: picks, .. } => heads(picks)?,
            Change::Patch { what: Patched::Heads(picks), .. } => heads(picks)?,
            Change::Patch { what: Patched::Experts(picks), .. } => experts(picks)?,
            Change::Patch { .. } | Change::Add { .. } | Change::Replay { .. } => {}
        }
        Ok(())
    }

    /// Checks that the layers have a router, where the edit needs one.
    fn check_routers(&self, dims: Dims) -> Result<()> {
        let of_part = |part: &Part| matches!(part, Part::Experts(_) | Part::Shared);
        let needs_router = match &self.change {
            Change::Ban(_) | Change::Force(_) | Change::Bias(..) | Change::TopK(_) | Change::Replay { .. } => true,
            Change::Zero(part) | Change::Scale(part, _) | Change::Mean(part) => of_part(part),
            Change::Patch { what: Patched::Experts(_), .. } => true,
            Change::Patch { what: Patched::Hook(hook), .. } | Change::Add { hook, .. } => hook.is_of_router(),
            Change::Patch { what: Patched::Heads(_), .. } | Change::Cut { .. } => false,
        };
        let layers = self.layers.below(dims.layers);
        if needs_router && !layers.is_empty() && !layers.iter().any(|layer| dims.has_router(*layer)) {
            bail!("`{self}`: layer {} has no router; layers without: {}", layers[0], dims.dense);
        }
        Ok(())
    }

    /// Checks that a run of `tokens` tokens has the positions that the edit names.
    ///
    /// # Errors
    /// If it lacks one; the message names the range that there is.
    pub fn check_positions(&self, tokens: usize) -> Result<()> {
        let scope = match self.scope {
            Scope::Positions(_, last) | Scope::From(last) => Some(last),
            _ => None,
        };
        let cut = match &self.change {
            Change::Cut { query, key, .. } => query.last().max(key.last()),
            _ => None,
        };
        if let Some(named) = scope.max(cut).filter(|named| *named >= tokens) {
            bail!("`{self}`: there is no position {named}: positions are 0..{}", tokens.saturating_sub(1));
        }
        Ok(())
    }
}
