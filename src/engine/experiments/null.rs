//! Random edits of the same kind and size: other experts, heads or layers in place of those that an edit names.

use crate::analysis::RunUsage;
use crate::engine::run::Live;
use crate::trace::{Change, Edit, Part, Picks};
use anyhow::Result;
use std::fmt;

/// Draws up to `count` different lists of edits, reproducible from `seed`: fewer if there are no more. An expert is replaced by one of the same layer that the run chose
/// about as often (one of the nearer half of the others), a head by another of its layer, a block by that of another layer.
///
/// # Errors
/// If an edit names everything that there is, or a file.
pub fn draws(run: &Live, edits: &[&Edit], (count, seed): (usize, u64)) -> Result<Vec<Vec<Edit>>> {
    let mut random = Random(seed);
    let usage = usage(run);
    let mut draws: Vec<Vec<Edit>> = Vec::new();
    for _ in 0..count.saturating_mul(TRIES) {
        if draws.len() == count {
            break;
        }
        let draw = edits.iter().map(|edit| drawn(edit, run, &usage, &mut random)).collect::<Result<Vec<Edit>>>()?;
        if !draws.contains(&draw) {
            draws.push(draw);
        }
    }
    Ok(draws)
}

/// How often as many lists are drawn as are needed, before it is taken that there are no more.
const TRIES: usize = 20;

/// An edit that random ones can't be drawn for.
#[derive(Debug)]
pub struct NoCounterpart(String);

impl fmt::Display for NoCounterpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoCounterpart {}

/// How often each expert was chosen `[layer][expert]`.
fn usage(run: &Live) -> Vec<Vec<u32>> {
    let usage = RunUsage::of(run.tokens(), &run.meta().dims, run.meta().router_dtype());
    usage.layers().iter().map(|layer| layer.chosen.clone()).collect()
}

fn drawn(edit: &Edit, run: &Live, usage: &[Vec<u32>], random: &mut Random) -> Result<Edit> {
    let dims = run.meta().dims;
    let mut other = edit.clone();
    let layers = edit.layers.below(dims.layers);
    let none = |what: &str| {
        NoCounterpart(format!(
            "--null: `{edit}` names more than half of the {what}s: there are not as many others to draw"
        ))
    };
    match &mut other.change {
        Change::Ban(experts)
        | Change::Force(experts)
        | Change::Bias(experts, _)
        | Change::Zero(Part::Experts(experts))
        | Change::Scale(Part::Experts(experts), _)
        | Change::Mean(Part::Experts(experts)) => {
            let fires = |expert: usize| layers.iter().map(|layer| usage[*layer][expert]).sum::<u32>();
            let named = experts.below(dims.experts);
            if 2 * named.len() > dims.experts {
                return Err(none("expert").into());
            }
            *experts = random.others(&named, dims.experts, fires);
        }
        Change::Zero(Part::Heads(heads))
        | Change::Scale(Part::Heads(heads), _)
        | Change::Mean(Part::Heads(heads))
        | Change::Cut { heads, .. } => {
            let named = heads.below(dims.heads);
            if 2 * named.len() > dims.heads {
                return Err(none("head").into());
            }
            *heads = random.others(&named, dims.heads, |_| 0);
        }
        Change::TopK(_) | Change::Zero(_) | Change::Scale(..) | Change::Mean(_) => {
            if 2 * layers.len() > dims.layers {
                return Err(none("layer").into());
            }
            other.layers = random.others(&layers, dims.layers, |_| 0);
        }
        Change::Patch { .. } | Change::Add { .. } | Change::Replay { .. } => {
            return Err(NoCounterpart(format!("--null: `{edit}` reads a file: it has no random counterpart")).into());
        }
    }
    Ok(other)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// As many others of `count` as there are `named`. Each is drawn from the nearer half of those left, by
    /// `size`.
    fn others(&mut self, named: &[usize], count: usize, size: impl Fn(usize) -> u32) -> Picks {
        let mut left: Vec<usize> = (0..count).filter(|index| !named.contains(index)).collect();
        let mut drawn = Vec::new();
        for index in named {
            if left.is_empty() {
                break;
            }
            left.sort_by_key(|other| (size(*other).abs_diff(size(*index)), *other));
            let all_alike = size(left[0]) == size(left[left.len() - 1]);
            let near = if all_alike { left.len() } else { left.len().div_ceil(2) };
            drawn.push(left.remove(self.below(near)));
        }
        Picks::these(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_experts_are_others_that_fire_about_as_often() {
        let fires = [50, 48, 1, 0, 47, 2, 3, 1];
        for seed in 0..50 {
            let mut random = Random(seed);
            let Picks::These(drawn) = random.others(&[0], 8, |expert| fires[expert]) else { panic!() };
            assert!(drawn.len() == 1 && [1, 4, 5, 6].contains(&drawn[0]), "{drawn:?}");
            let Picks::These(drawn) = random.others(&[0, 3], 8, |expert| fires[expert]) else { panic!() };
            assert!(drawn.len() == 2 && !drawn.contains(&0) && !drawn.contains(&3));
        }
    }
}
