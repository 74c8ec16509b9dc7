//! A model under edits, compared with a recording.

use crate::control::Control;
use crate::model::{Cuts, EditHooks, Edits, Hooks, Loaded, Precision, PromptEdits};
use crate::trace::{Edit, EditNote, Hook, TraceReader};
use anyhow::{Result, bail};
use std::ops::Range;

/// Carries out edits before `then` sees and replaces a value. The edits of an expert's output go by the experts that `then`
/// leaves.
pub struct Edited<'a, H> {
    pub edits: Option<EditHooks<'a>>,
    pub then: H,
}

impl<H: Hooks> Hooks for Edited<'_, H> {
    fn wants(&self, hook: Hook) -> bool {
        self.edits.wants(hook) || self.then.wants(hook)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], positions: Range<usize>) -> Result<()> {
        if self.edits.wants(hook) {
            self.edits.at(hook, value, positions.clone())?;
        }
        if self.then.wants(hook) {
            self.then.at(hook, value, positions)?;
        }
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], positions: Range<usize>) -> Result<()> {
        if self.then.wants(hook) {
            self.then.at_ids(hook, ids, positions.clone())?;
        }
        if self.edits.wants(hook) {
            self.edits.at_ids(hook, ids, positions)?;
        }
        Ok(())
    }

    fn counts(&mut self, layer: usize) -> Option<Vec<usize>> {
        self.edits.counts(layer)
    }

    fn cuts(&mut self, layer: usize) -> Option<Cuts> {
        self.edits.cuts(layer)
    }
}

/// The edits of a run over the tokens of a recording.
///
/// # Errors
/// If the recording names other edits; as [`Edits::of_prompt`].
pub fn edits_over(
    loaded: &Loaded,
    reference: &TraceReader,
    edits: Option<&Edits>,
    precision: Precision,
    control: &Control,
) -> Result<Option<PromptEdits>> {
    let given: Vec<&Edit> = edits.into_iter().flat_map(Edits::list).collect();
    agree(reference, &given)?;
    let Some(edits) = edits.filter(|edits| !edits.is_empty()) else { return Ok(None) };
    let ids = reference.tokens()?;
    let prompt = reference.prompt_len(ids.len())?;
    edits.of_prompt(&ids[..prompt], &loaded.model, precision, &control.quiet()).map(Some)
}

/// Checks that a recording that names its edits names the given ones.
fn agree(reference: &TraceReader, given: &[&Edit]) -> Result<()> {
    let Some(named) = reference.metadata.get("edits") else { return Ok(()) };
    let notes: Option<Vec<EditNote>> = serde_json::from_str(named).ok();
    let Some(notes) = notes else {
        bail!("{}: its list of edits can't be read ({named}); record it again", reference.name());
    };
    let texts: Vec<&str> = notes.iter().map(|note| note.edit.as_str()).collect();
    let parsed = texts.iter().map(|text| text.parse::<Edit>().ok());
    if parsed.eq(given.iter().map(|edit| Some((*edit).clone()))) {
        return Ok(());
    }
    let quoted = |texts: &[&str]| texts.iter().map(|text| format!("--edit '{text}'")).collect::<Vec<_>>().join(" ");
    let other = match given {
        [] => String::new(),
        some => format!(", not under {}", some.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    };
    bail!(
        "{}: the run was edited ({}){other}; compare it with the model under the same edits: {}",
        reference.name(),
        texts.join("; "),
        quoted(&texts)
    )
}
