//! Selected tokens: by the keys, or by dragging over the text.

use crate::analysis::RunUsage;
use crate::state::State;
use crate::trace::Source;
use std::ops::Range;

/// What is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The tokens between two places.
    Tokens,
    /// The lines of the text between two places.
    Lines,
    /// The tokens of the prompt.
    Prompt,
    /// The tokens after the prompt.
    Generated,
}

/// Selected tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The token where the selection began.
    pub from: usize,
    /// The token where it ends.
    pub to: usize,
    /// What is selected.
    pub unit: Unit,
    /// Whether the end follows the cursor.
    pub follows: bool,
}

/// The usage of experts inside and outside a selection.
#[derive(Clone, Debug)]
pub struct SelectedUsage {
    range: Range<usize>,
    /// Tokens counted.
    of: usize,
    /// Of the selected tokens.
    pub inside: RunUsage,
    /// Of all others.
    pub outside: RunUsage,
}

impl State {
    /// The selected positions.
    pub fn selected(&self) -> Option<Range<usize>> {
        let selection = self.selection?;
        let (first, last) = (selection.from.min(selection.to), selection.from.max(selection.to));
        let prompt = self.prompt_tokens();
        Some(match selection.unit {
            Unit::Tokens => first..last + 1,
            Unit::Lines if self.lines.count() > 0 => {
                let line = |pos| self.lines.tokens(self.lines.line_of(pos));
                line(first).start..line(last).end
            }
            Unit::Lines => first..last + 1,
            Unit::Prompt => 0..prompt,
            Unit::Generated => prompt..self.tokens.len(),
        })
    }

    /// The number of tokens of the prompt.
    fn prompt_tokens(&self) -> usize {
        self.tokens.iter().take_while(|token| token.source == Source::Prompt).count()
    }

    /// Begins to select at the cursor; then selects whole lines, the prompt, what was generated.
    pub(super) fn select_more(&mut self) {
        let at = self.cursor.token;
        if self.tokens.is_empty() {
            return self.say("there is no token to select yet");
        }
        let prompt = self.prompt_tokens();
        let begun = Selection { from: at, to: at, unit: Unit::Tokens, follows: true };
        self.selection = Some(match self.selection {
            None => begun,
            Some(selection) => match selection.unit {
                Unit::Tokens => Selection { unit: Unit::Lines, follows: true, ..selection },
                Unit::Lines if prompt > 0 => Selection { unit: Unit::Prompt, ..selection },
                Unit::Lines | Unit::Prompt if prompt < self.tokens.len() => {
                    Selection { unit: Unit::Generated, ..selection }
                }
                _ => begun,
            },
        });
        self.renew_selected();
    }

    /// Lets the end of the selection follow the cursor.
    pub(super) fn extend_selection(&mut self) {
        let at = self.cursor.token;
        if let Some(selection) = self.selection.as_mut().filter(|selection| selection.follows) {
            selection.to = at;
        }
    }

    /// Ends a selection of tokens that are gone, and counts the usage of the others if they changed.
    pub(in crate::state) fn renew_selected(&mut self) {
        let len = self.tokens.len();
        let Some(range) = self.selected().filter(|range| range.end <= len && !range.is_empty()) else {
            (self.selection, self.selected_usage) = (None, None);
            return;
        };
        let Some(meta) = self.meta() else { return };
        let (dims, dtype) = (meta.dims, meta.router_dtype());
        // New tokens are counted; after any other change all are.
        let kept = self.selected_usage.take().filter(|usage| {
            usage.of <= len && usage.range.start == range.start && usage.range.end == range.end.min(usage.of)
        });
        let mut usage = kept.unwrap_or_else(|| {
            let empty = RunUsage::new(&dims, dtype);
            Box::new(SelectedUsage { range: range.clone(), of: 0, inside: empty.clone(), outside: empty })
        });
        for (pos, token) in self.tokens.iter().enumerate().skip(usage.of) {
            let side = if range.contains(&pos) { &mut usage.inside } else { &mut usage.outside };
            side.push(token);
        }
        (usage.range, usage.of) = (range, len);
        self.selected_usage = Some(usage);
    }

    /// The usage of the selected tokens, or of the whole run.
    pub fn shown_usage(&self) -> &RunUsage {
        self.selected_usage.as_ref().map_or(&self.usage, |selected| &selected.inside)
    }
}
