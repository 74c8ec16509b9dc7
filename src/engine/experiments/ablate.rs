//! Effect maps: each expert, head or block edited in turn.

use super::measure::{Baseline, Target};
use crate::analysis::{How, Measures};
use crate::control::Control;
use crate::engine::run::Live;
use crate::model::Edits;
use crate::trace::{Change, Edit, Part, Picks, Scope};
use anyhow::Result;

/// The parts of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Experts.
    Experts,
    /// Heads.
    Heads,
    /// Attention blocks.
    Attn,
    /// MLP blocks.
    Mlp,
}

impl Over {
    /// The name of the parts.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Experts => "experts",
            Self::Heads => "heads",
            Self::Attn => "attention blocks",
            Self::Mlp => "MLP blocks",
        }
    }

    /// The name of a part in tables.
    pub fn part(self) -> &'static str {
        match self {
            Self::Experts => "expert",
            Self::Heads => "head",
            Self::Attn => "attn",
            Self::Mlp => "mlp",
        }
    }
}

/// The effect of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct Ablation {
    /// Decoder layer.
    pub layer: usize,
    /// Index of the expert or head in the layer; 0 for a block.
    pub index: usize,
    /// The edit.
    pub edit: Edit,
    /// What it does.
    pub measures: Measures,
}

/// The edits of a map, layer by layer from the last, whose edits cost least. Layers without a router have no experts.
pub fn cells(run: &Live, over: Over, how: How) -> Vec<(usize, usize, Edit)> {
    let dims = run.meta().dims;
    let count = match over {
        Over::Experts => dims.experts,
        Over::Heads => dims.heads,
        Over::Attn | Over::Mlp => 1,
    };
    let edit = |layer: usize, index: usize| {
        let part = match over {
            Over::Experts => Part::Experts(Picks::one(index)),
            Over::Heads => Part::Heads(Picks::one(index)),
            Over::Attn => Part::Attn,
            Over::Mlp => Part::Mlp,
        };
        let change = match how {
            How::Zero => Change::Zero(part),
            How::Ban => Change::Ban(Picks::one(index)),
            How::Mean => Change::Mean(part),
        };
        Edit::new(Picks::one(layer), change)
    };
    let of_layer = |layer: usize| (0..count).map(move |index| (layer, index, edit(layer, index)));
    let has_parts = |layer: &usize| over != Over::Experts || dims.has_router(*layer);
    (0..dims.layers).rev().filter(has_parts).flat_map(of_layer).collect()
}

/// Measures the effect of each part on `a`, a run without edits, and gives each to `found`. Progress is in parts.
///
/// # Errors
/// [`Stopped`](crate::control::Stopped) if `control` is cancelled; what was found before was given already. As
/// [`Live::extend`].
pub fn ablate(
    a: &Live,
    (over, how): (Over, How),
    target: Target,
    control: &Control,
    found: &mut dyn FnMut(Ablation),
) -> Result<()> {
    let cells = cells(a, over, how);
    let (all, quiet) = (cells.len(), control.quiet());
    let a = &a.with_means(cells.iter().map(|(_, _, edit)| edit), &quiet)?;
    let mut baseline = Baseline::new(a);
    for (done, (layer, index, edit)) in cells.into_iter().enumerate() {
        control.check()?;
        let measures = ablated(&mut baseline, over, (layer, index, &edit), target, &quiet)?;
        found(Ablation { layer, index, edit, measures });
        control.progress(done + 1, all);
    }
    Ok(())
}

/// The effect of one part on the run of `baseline`, whose own edits stay in force.
///
/// # Errors
/// As [`ablate`].
pub fn ablated(
    baseline: &mut Baseline,
    over: Over,
    (layer, index, edit): (usize, usize, &Edit),
    target: Target,
    control: &Control,
) -> Result<Measures> {
    let a = baseline.run().clone();
    let Some(first) = first_use(&a, over, layer, index) else {
        return Ok(Measures { sites: 0, ..baseline.measure(&a, target, control)? });
    };
    let at = if first == 0 { Scope::Everywhere } else { Scope::From(first) };
    let own = a.meta().edits.len();
    let list = a.meta().edits.iter().cloned().chain([edit.clone().at(at)]).collect();
    let b = a.edited(Some(&Edits::new(list, a.meta().dims)?), control)?;
    let mut found = baseline.measure(&b, target, control)?;
    if own > 0 {
        let sites = b.tokens().iter().flat_map(|token| token.sites.iter());
        found.sites = sites.filter(|site| usize::from(site.edit) == own).count();
    }
    Ok(found)
}

/// The first position at which a part can matter: the first token that chose an expert.
fn first_use(run: &Live, over: Over, layer: usize, index: usize) -> Option<usize> {
    match over {
        Over::Experts => run
            .tokens()
            .iter()
            .position(|token| token.experts(layer).is_none_or(|experts| experts.contains(&(index as u32)))),
        Over::Heads | Over::Attn | Over::Mlp => Some(0),
    }
}
