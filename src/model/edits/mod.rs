//! Edits of the pass, carried out by hooks that stand before the capture.

mod choice;
mod cuts;
mod hooks;
mod means;
mod source;
mod stream;
mod values;

pub use cuts::Cuts;
pub use hooks::EditHooks;

use super::pass::Model;
use super::precision::Precision;
use crate::control::Control;
use crate::trace::{Change, Dims, Edit, HookKind, Part, Patched};
use anyhow::{Context, Result, ensure};
use means::Means;
use source::Data;
pub use source::Rows;
use std::ops::Range;
use std::sync::Arc;
pub use stream::{Added, Streamed};

/// The most edits of a run.
const MOST: usize = 1 << 14;

/// Edits that fit a model, with what their files hold. Clones share everything.
#[derive(Clone, Debug)]
pub struct Edits {
    list: Arc<[(Edit, Data)]>,
    dims: Dims,
    stamps: Arc<source::Stamps>,
}

impl Edits {
    /// Reads the files that the edits name.
    ///
    /// # Errors
    /// If the model lacks a layer, expert or head that an edit names, or a file can't be read or does not fit.
    pub fn new(edits: Vec<Edit>, dims: Dims) -> Result<Self> {
        ensure!(edits.len() <= MOST, "expected at most {MOST} edits, found {}", edits.len());
        let (mut files, stamps) = (source::Files::default(), source::Stamps::of(edits.iter()));
        let with_data = |edit: Edit| {
            edit.check(dims)?;
            let data = files.data(&edit, dims)?;
            Ok((edit, data))
        };
        check_bans(&edits, dims)?;
        let list: Vec<(Edit, Data)> = edits.into_iter().map(with_data).collect::<Result<_>>()?;
        check_replays(&list, dims)?;
        Ok(Self { list: list.into(), dims, stamps: stamps.into() })
    }

    /// One `patch` edit, with the rows that it takes in place of a file.
    ///
    /// # Errors
    /// If the model lacks a layer, expert or head that the edit names.
    pub fn patched(edit: Edit, rows: Arc<Rows>, dims: Dims) -> Result<Self> {
        edit.check(dims)?;
        Ok(Self { list: [(edit, Data::Rows(rows))].into(), dims, stamps: Arc::default() })
    }

    /// The edits.
    pub fn list(&self) -> impl ExactSizeIterator<Item = &Edit> + Clone {
        self.list.iter().map(|(edit, _)| edit)
    }

    /// The hooks whose values no longer follow from those that views keep, because an edit changes something between them.
    pub fn hides(&self) -> Vec<(HookKind, usize)> {
        let mut hidden = Vec::new();
        for edit in self.list() {
            let layers = edit.layers.below(self.dims.layers);
            hidden.extend(
                layers.into_iter().flat_map(|layer| edit.change.hides().iter().map(move |kind| (*kind, layer))),
            );
            hidden.retain(|(kind, layer)| kind.is_in(self.dims, *layer));
        }
        hidden
    }

    /// Whether the files that they name are still those that were read.
    pub fn are_current(&self) -> bool {
        self.stamps.are_current()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether what they do depends on the prompt.
    pub fn depend_on_prompt(&self) -> bool {
        self.list().any(Edit::depends_on_prompt)
    }

    /// The edits of a run that begins with the prompt `ids`. Means are taken over an unedited pass of the prompt.
    ///
    /// # Errors
    /// [`Stopped`](crate::control::Stopped) if `control` is cancelled; if the pass over the prompt fails.
    pub fn of_prompt(
        &self,
        ids: &[u32],
        model: &Model,
        precision: Precision,
        control: &Control,
    ) -> Result<PromptEdits> {
        let means = Means::over(ids, self.list(), model, precision, control)?;
        Ok(PromptEdits { edits: self.clone(), means: means.into(), precision, prompt: ids.into() })
    }
}

/// Edits of runs that begin with one prompt. Clones share everything.
#[derive(Clone, Debug)]
pub struct PromptEdits {
    edits: Edits,
    means: Arc<Means>,
    /// The rounding of the pass that the means were taken over.
    precision: Precision,
    prompt: Arc<[u32]>,
}

impl PromptEdits {
    /// The edits.
    pub fn edits(&self) -> &Edits {
        &self.edits
    }

    /// These edits of the same prompt, with the means that are known; `None` if they use others.
    pub fn with(&self, edits: &Edits) -> Option<Self> {
        let is_known = self.means.cover(edits.list(), edits.dims);
        is_known.then(|| Self { edits: edits.clone(), ..self.clone() })
    }

    /// The ids of the prompt.
    pub fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    /// The rounding of the pass that the means were taken over.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The first position and the first layer that differ if these edits are replaced by `other`. Everything before that
    /// position, and at later positions every layer below that layer, stays as it is. `None` if nothing differs.
    pub fn first_difference(before: Option<&Self>, after: Option<&Self>, dims: Dims) -> Option<(usize, usize)> {
        let list = |of: Option<&Self>| of.map_or(&[][..], |of| &of.edits.list[..]).to_vec();
        let (old, new) = (list(before), list(after));
        let prompt = |of: Option<&Self>| of.map_or(0, |of| of.prompt.len());
        // A mean is that of another prompt, unless nothing but the list of edits differs.
        let same_prompt = before
            .zip(after)
            .is_some_and(|(a, b)| a.prompt.len() == b.prompt.len() && a.precision == b.precision && a.means == b.means);
        let is_same = |((a, x), (b, y)): &(&(Edit, Data), &(Edit, Data))| {
            a == b && x.is_same(y) && (same_prompt || !a.depends_on_prompt())
        };
        let same = old.iter().zip(&new).take_while(is_same).count();
        let old = old[same..].iter().map(|(edit, _)| edit.first_place(prompt(before), dims));
        let new = new[same..].iter().map(|(edit, _)| edit.first_place(prompt(after), dims));
        old.chain(new).reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
    }

    /// The cuts of attention in `layer`, if there are any.
    pub fn cuts(&self, layer: usize) -> Option<Cuts> {
        Cuts::of(self.edits.list(), layer, self.prompt.len())
    }

    fn range(&self, edit: usize) -> Range<usize> {
        self.edits.list[edit].0.scope.range(self.prompt.len())
    }
}

/// Checks that all bans of a layer together leave as many experts as a token needs, whatever their positions.
fn check_bans(edits: &[Edit], dims: Dims) -> Result<()> {
    for layer in 0..dims.layers {
        let mut left: Vec<usize> = (0..dims.experts).collect();
        for edit in edits.iter().filter(|edit| edit.layers.has(layer)) {
            if let Change::Ban(experts) = &edit.change {
                left.retain(|expert| !experts.has(*expert));
                ensure!(
                    left.len() >= dims.top_k,
                    "`{edit}`: with the bans before it, {} experts are left in layer {layer}, and a token needs {}",
                    left.len(),
                    dims.top_k
                );
            }
        }
    }
    Ok(())
}

/// Checks that recorded choices have as many experts a position as the model, or a `topk` before them, chooses.
fn check_replays(list: &[(Edit, Data)], dims: Dims) -> Result<()> {
    for layer in 0..dims.layers {
        let mut count = dims.top_k;
        for (edit, data) in list.iter().filter(|(edit, _)| edit.layers.has(layer)) {
            match (&edit.change, data) {
                (Change::TopK(other), _) => count = *other,
                (_, Data::Chosen(chosen)) => chosen.check(layer, count).with_context(|| format!("`{edit}`"))?,
                _ => {}
            }
        }
    }
    Ok(())
}

impl Change {
    /// The hooks that no longer follow from residuals, queries, keys, values and routing.
    fn hides(&self) -> &'static [HookKind] {
        use HookKind as K;
        let of_hook = |hook: HookKind| -> &'static [HookKind] {
            match hook {
                K::Z => &[K::Z],
                K::Ln2 | K::Ln2Scale => &[K::ExpertOut, K::SharedOut, K::SharedGate],
                K::ExpertOut => &[K::ExpertOut],
                K::SharedOut | K::SharedGate => &[K::SharedOut, K::SharedGate],
                _ => &[],
            }
        };
        match self {
            Self::Zero(Part::Heads(_)) | Self::Scale(Part::Heads(_), _) | Self::Mean(Part::Heads(_)) => &[K::Z],
            Self::Mean(Part::Experts(_)) => &[K::ExpertOut],
            Self::Zero(Part::Shared) | Self::Scale(Part::Shared, _) | Self::Mean(Part::Shared) => {
                &[K::SharedOut, K::SharedGate]
            }
            Self::Patch { what: Patched::Heads(_), .. } => &[K::Z],
            Self::Patch { what: Patched::Experts(_), .. } => &[K::ExpertOut],
            // Contributions tell the value that another run put in from the block's own.
            Self::Patch { what: Patched::Hook(K::ResidPre), .. } | Self::Add { hook: K::ResidPre, .. } => {
                &[K::ResidPre]
            }
            Self::Patch { what: Patched::Hook(K::ResidMid), .. } => &[K::AttnOut],
            Self::Patch { what: Patched::Hook(K::ResidPost), .. } => &[K::MlpOut],
            Self::Patch { what: Patched::Hook(hook), .. } | Self::Add { hook, .. } => of_hook(*hook),
            _ => &[],
        }
    }
}

impl Edit {
    /// The first position and layer that it can change.
    fn first_place(&self, prompt: usize, dims: Dims) -> (usize, usize) {
        (self.scope.range(prompt).start, self.layers.below(dims.layers).first().copied().unwrap_or(dims.layers))
    }
}
