//! What edits put into the residual stream, apart from what the blocks of the model do.

use super::PromptEdits;
use super::source::Data;
use super::values::output;
use crate::trace::{Change, Edit, Hook, HookKind as K, Part, Patched};

/// A vector that an edit added at one position, times a factor.
#[derive(Clone, Debug, PartialEq)]
pub struct Added<'a> {
    /// The index of the edit.
    pub edit: usize,
    /// The vector.
    pub vector: &'a [f32],
    /// Its factor, with those of later edits.
    pub factor: f64,
}

/// What edits made of a value of the stream, or of a block's output, at one position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Streamed<'a> {
    /// The edit that replaced the value by that of another run, if one did.
    pub patched: Option<usize>,
    /// What was added, and not replaced later.
    pub added: Vec<Added<'a>>,
    /// The factor that is left of the value before the edits.
    pub kept: f64,
}

impl PromptEdits {
    /// What the edits make of the value at `hook` at one position.
    pub fn streamed(&self, hook: Hook, position: usize) -> Streamed<'_> {
        let (kind, layer) = (hook.kind, hook.layer as usize);
        let mut found = Streamed { kept: 1.0, ..Streamed::default() };
        for (index, (edit, data)) in self.edits.list.iter().enumerate() {
            if !edit.layers.has(layer) || !self.range(index).contains(&position) {
                continue;
            }
            match (&edit.change, data) {
                (Change::Add { hook, factor, .. }, Data::Vector(vector)) if *hook == kind => {
                    found.added.push(Added { edit: index, vector, factor: f64::from(*factor) });
                }
                (Change::Patch { what: Patched::Hook(hook), from, .. }, Data::Rows(rows)) if *hook == kind => {
                    let other = from.map_or(position, |from| from + position - self.range(index).start);
                    if rows.row(other, layer).is_some() {
                        found = Streamed { patched: Some(index), ..Streamed::default() };
                    }
                }
                (Change::Zero(part) | Change::Mean(part), _) if is_block(part, kind) => found = Streamed::default(),
                (Change::Scale(part, by), _) if is_block(part, kind) => {
                    found.kept *= f64::from(*by);
                    found.added.iter_mut().for_each(|added| added.factor *= f64::from(*by));
                }
                _ => {}
            }
        }
        found
    }

    /// What an edit did to the stream, in words: `added: FILE`.
    pub fn label(&self, edit: usize) -> String {
        let edit: &Edit = &self.edits.list[edit].0;
        match (&edit.change, edit.source()) {
            (Change::Add { .. }, Some(source)) => format!("added: {source}"),
            (_, Some(source)) => format!("patched: {source}"),
            (_, None) => edit.to_string(),
        }
    }
}

fn is_block(part: &Part, kind: K) -> bool {
    matches!(part, Part::Attn | Part::Mlp) && output(part, K::MixingWeights) == kind
}
