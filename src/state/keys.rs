//! Actions, and the one table that connects them with keys.

use super::Tab;
pub use super::copy::Extent;
pub use super::key::{Chord, Code, Key};
pub use super::keymap::{Entry, Found, Keymap};
pub use super::table::TABLE;
use std::fmt;

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere, whatever is open.
    Anywhere,
    /// In the views.
    Explore,
    /// In the prompt editor and the one-line inputs.
    Input,
    /// In the sampling form.
    Form,
    /// In the model picker.
    Picker,
    /// In the command palette.
    Palette,
    /// In a list to jump from.
    List,
    /// In the help and error pages.
    Page,
}

impl Scope {
    /// Its heading in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::Explore => "in the views",
            Self::Input => "while typing",
            Self::Form => "in the sampling form",
            Self::Picker => "choosing a model",
            Self::Palette => "in the command palette",
            Self::List => "in lists",
            Self::Page => "in help and messages",
        }
    }

    /// Whether characters are typed there.
    pub fn takes_text(self) -> bool {
        matches!(self, Self::Input | Self::Form | Self::Picker | Self::Palette)
    }

    /// All scopes, in the order of the help.
    pub const ALL: [Scope; 8] =
        [Self::Explore, Self::Input, Self::Form, Self::Picker, Self::Palette, Self::List, Self::Page, Self::Anywhere];
}

/// Everything that a user can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave the program.
    Quit,
    /// Stop it and return to the shell; `fg` comes back.
    Suspend,
    /// Draw the whole screen anew.
    Redraw,
    /// Close what is open; else pause what runs.
    Escape,
    /// Show the keys.
    Help,
    /// Show this view.
    Show(Tab),
    /// Show the next view.
    NextView,
    /// Show the view before.
    PreviousView,
    /// Look at the same data another way.
    CycleLens,
    /// Measure what the view shows by something else.
    NextMeasure,
    /// List the choices that were narrowest.
    CloseCalls,
    /// The near-tie before the cursor in its layer.
    PreviousNearTie,
    /// The near-tie after the cursor in its layer.
    NextNearTie,
    /// Token cursor.
    Token(Step),
    /// One layer up: towards the output. In Next, the better candidate; in Fidelity, scroll.
    Up,
    /// One layer down: towards the embedding. In Next, the next candidate; in Fidelity, scroll.
    Down,
    /// One layer up in every view.
    LayerUp,
    /// One layer down in every view.
    LayerDown,
    /// The head before.
    PreviousHead,
    /// The next head.
    NextHead,
    /// The expert before.
    PreviousExpert,
    /// The next expert.
    NextExpert,
    /// Open the prompt editor.
    EditPrompt,
    /// Generate one token, or pause what runs.
    Generate,
    /// Generate until stopped, or pause.
    Go,
    /// Ask for a number of tokens and generate them.
    RunCount,
    /// Forget the last token.
    Back,
    /// Forget everything behind the cursor.
    Rewind,
    /// Read the candidate under the cursor next (Next view); elsewhere, show the candidates.
    ForceCandidate,
    /// Type what the model must read next.
    ForceText,
    /// Open the sampling form.
    Sampling,
    /// Run the same tokens under the next precision policy.
    CyclePolicy,
    /// List the precision policies, to run the same tokens under one of them.
    Policies,
    /// Colour the text by something else.
    CycleColour,
    /// Sort the heads by the measure, or by place.
    SortHeads,
    /// Go to the best head by the measure.
    BestHead,
    /// Measure heads on random tokens given twice, or on the run.
    RepeatedTokens,
    /// One head, the mean or the maximum over the heads of the layer.
    HeadsTogether,
    /// Attention from the cursor or to the cursor.
    FlipSide,
    /// Show or hide the details beside the view.
    ToggleDetails,
    /// Write the view as picture and table.
    SaveView,
    /// Write the whole run, as `mixscope run` does.
    SaveRun,
    /// Write the screen as a picture.
    SaveScreen,
    /// Put a second pane beside the view, or take the other one away.
    Split,
    /// Give the other pane the focus.
    OtherPane,
    /// Give the view all the room, or back what is around it.
    Zoom,
    /// Details: what belongs to the view, or what the candidate's logit is made of.
    ToggleContributions,
    /// Linear or logarithmic scale.
    ToggleLog,
    /// Follow the candidate under the cursor (Next) or the lens's top token at the cursor (Lens).
    AddTarget,
    /// Follow this token, or no longer; a click on its name means it.
    ToggleTarget(u32),
    /// Type a token to follow.
    TypeTarget,
    /// No longer follow the last target.
    DropTarget,
    /// Show the last message whole, with its causes.
    Causes,
    /// Accept what was typed or set.
    Accept,
    /// Start a new line.
    NewLine,
    /// Fill in the next example prompt.
    Example,
    /// Fill in this example prompt, from 1.
    PickExample(u8),
    /// Choose another model.
    OpenModel,
    /// Complete what is typed.
    Complete,
    /// Put the prompt into the model's chat template, or not.
    ToggleChat,
    /// The cursor of the input.
    Edit(Edit),
    /// Open the command palette.
    Palette,
    /// Put the cursor on this token; the palette offers it for a typed number.
    GoTo(usize),
    /// Look for text in the run.
    Search,
    /// The next match.
    NextMatch,
    /// The match before.
    PreviousMatch,
    /// Mark the token at the cursor, or take its mark away.
    ToggleBookmark,
    /// The next marked token.
    NextBookmark,
    /// The marked token before.
    PreviousBookmark,
    /// Take the last edit of the run back.
    Undo,
    /// Do again what was taken back.
    Redo,
    /// Copy to the clipboard.
    Copy(Extent),
}

impl fmt::Display for Action {
    /// Its name in the configuration: the variant's words joined by `-`, as in `show-routing` or `pick-example-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        let mut begins = false;
        for c in format!("{self:?}").chars() {
            if !c.is_alphanumeric() {
                begins = true;
                continue;
            }
            if (begins || c.is_uppercase()) && !name.is_empty() {
                name.push('-');
            }
            begins = false;
            name.extend(c.to_lowercase());
        }
        f.pad(&name)
    }
}

/// Steps of the token cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One token back.
    Left,
    /// One token on.
    Right,
    /// Ten tokens back.
    FarLeft,
    /// Ten tokens on.
    FarRight,
    /// The first token.
    First,
    /// The last token.
    Last,
}

/// Editing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Edit {
    Left,
    Right,
    Up,
    Down,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    DeleteLeft,
    DeleteRight,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    HistoryBack,
    HistoryForward,
    PageUp,
    PageDown,
}

/// One line of the table.
pub struct Binding {
    /// What it means.
    pub action: Action,
    /// The keys for it: single ones, or two one after the other.
    pub keys: &'static [Chord],
    /// Where.
    pub scope: Scope,
    /// What the help says.
    pub help: &'static str,
    /// What the hint line says, if it is on it.
    pub hint: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_or_hides_another() {
        assert_eq!(Keymap::default().check(), Ok(()));
    }

    /// Configuration files name actions: a name that changes breaks them.
    #[test]
    fn actions_have_names_of_their_own_that_stay() {
        let mut names = std::collections::HashMap::new();
        for binding in TABLE {
            let name = binding.action.to_string();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert_eq!(*names.entry(name.clone()).or_insert(binding.action), binding.action, "{name} means two things");
        }
        for name in [
            "quit",
            "suspend",
            "redraw",
            "escape",
            "help",
            "causes",
            "show-routing",
            "show-attention",
            "show-lens",
            "show-next",
            "show-fidelity",
            "next-view",
            "previous-view",
            "cycle-lens",
            "token-left",
            "token-right",
            "token-far-left",
            "token-far-right",
            "token-first",
            "token-last",
            "up",
            "down",
            "previous-head",
            "next-head",
            "previous-expert",
            "next-expert",
            "edit-prompt",
            "generate",
            "go",
            "run-count",
            "back",
            "rewind",
            "force-candidate",
            "force-text",
            "sampling",
            "cycle-policy",
            "cycle-colour",
            "toggle-details",
            "accept",
            "new-line",
            "example",
            "pick-example-1",
            "pick-example-2",
            "pick-example-3",
            "open-model",
            "complete",
            "toggle-chat",
            "edit-left",
            "edit-right",
            "edit-up",
            "edit-down",
            "edit-word-left",
            "edit-word-right",
            "edit-line-start",
            "edit-line-end",
            "edit-delete-left",
            "edit-delete-right",
            "edit-delete-word",
            "edit-delete-to-start",
            "edit-delete-to-end",
            "edit-history-back",
            "edit-history-forward",
            "edit-page-up",
            "edit-page-down",
        ] {
            assert!(names.contains_key(name), "{name} is gone");
        }
    }

    #[test]
    fn every_action_is_found_by_its_keys_and_has_a_help_text() {
        let keymap = Keymap::default();
        for binding in TABLE {
            for chord in binding.keys {
                if let Some(prefix) = chord.prefix {
                    assert_eq!(keymap.look_up(binding.scope, None, prefix), Found::Prefix);
                }
                assert_eq!(keymap.look_up(binding.scope, chord.prefix, chord.key), Found::Action(binding.action));
            }
            assert!(!binding.help.is_empty());
        }
    }
}
