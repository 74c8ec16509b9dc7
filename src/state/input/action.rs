//! Actions: everything that a key, a click or the palette can do.

use super::address::Address;
use crate::analysis::view::{FileOrder, Layout, ShownMeasure, Tab};
use crate::state::arrangement::Arrangement;
use crate::state::theme::ThemeName;
use crate::trace::{Direction, Policy};
use std::fmt;

/// An action of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave the program.
    Quit,
    /// Stop the program and return to the shell; `fg` continues it.
    Suspend,
    /// Draw the whole screen again.
    Redraw,
    /// Close the overlay on top; else pause the run.
    Escape,
    /// Show the keys.
    Help,
    /// Show this tab.
    Show(Tab),
    /// Show the next tab.
    NextView,
    /// Show the previous tab.
    PreviousView,
    /// Show the next layout of the tab.
    CycleLens,
    /// Show the previous layout of the tab.
    PreviousLayout,
    /// Show this layout; a click on its name does it, and the palette.
    ShowLayout(Layout),
    /// Show the next measure of the view.
    NextMeasure,
    /// Show the previous measure of the view.
    PreviousMeasure,
    /// Show this measure; a click on its name does it, and the palette.
    ShowMeasure(ShownMeasure),
    /// List the closest calls of the router.
    CloseCalls,
    /// Go to the previous near-tie, or to the previous flip.
    PreviousNearTie,
    /// Go to the next near-tie, or to the next flip.
    NextNearTie,
    /// Move the token cursor.
    Token(Move),
    /// Move up: to the layer above; in Next, to the better candidate; in Fidelity, a line up.
    Up,
    /// Move down: to the layer below; in Next, to the next candidate; in Fidelity, a line down.
    Down,
    /// Move up or down by half of the visible rows.
    Half(Vertical),
    /// Go back to where the cursor was before a jump, or forward again.
    Jump(Direction),
    /// Select tokens while the cursor moves, or select more.
    Select,
    /// Go to the layer above in every view.
    LayerUp,
    /// Go to the layer below in every view.
    LayerDown,
    /// Go to the previous head.
    PreviousHead,
    /// Go to the next head.
    NextHead,
    /// Go to the previous expert.
    PreviousExpert,
    /// Go to the next expert.
    NextExpert,
    /// Open the prompt editor.
    EditPrompt,
    /// Generate one token, or pause the run.
    Generate,
    /// Generate until stopped, or pause.
    Go,
    /// Ask for a number of tokens and generate them.
    RunCount,
    /// Forget the last token.
    Back,
    /// Forget everything after the cursor.
    Rewind,
    /// In Next, read the candidate under the cursor; in the lab, run it; elsewhere, show the candidates.
    ForceCandidate,
    /// Type text that the model reads next.
    ForceText,
    /// Open the sampling form.
    Sampling,
    /// Run the same tokens under the next precision policy.
    CyclePolicy,
    /// List the precision policies, to run the same tokens under one of them.
    Policies,
    /// Offer edits of the pass at the cursor.
    Edits,
    /// List the edits of the pass.
    ListEdits,
    /// Show the run without its edits, or with them again.
    FlipEdits,
    /// Type an edit of the pass.
    TypeEdit,
    /// Let the new edit apply at every token, at this one, or from this one on.
    NextReach,
    /// Switch the marked edit off or on.
    ToggleEdit,
    /// Delete the marked edit.
    DeleteEdit,
    /// Move the marked edit up.
    RaiseEdit,
    /// Move the marked edit down.
    LowerEdit,
    /// Write the edits to a file.
    SaveEdits,
    /// Read edits from a file.
    LoadEdits,
    /// Let the effect map go over other parts, or patch other values.
    NextMapOver,
    /// Do something else to each part of the effect map.
    NextHow,
    /// Let the target of experiments stay where it is, or follow the cursor again.
    PinTarget,
    /// Choose the token that the target is compared with.
    Foil,
    /// Type a second prompt, compared with the run.
    SecondPrompt,
    /// Colour the text by something else.
    CycleColour,
    /// Sort the heads by their score, or by layer and head.
    SortHeads,
    /// Go to the head with the best score.
    BestHead,
    /// Measure heads on random tokens given twice, or on the run.
    RepeatedTokens,
    /// Show one head, the mean or the maximum over the heads of the layer.
    HeadsTogether,
    /// Show attention from the cursor, or to the cursor.
    FlipSide,
    /// Show or hide the details next to the view.
    ToggleDetails,
    /// Show the whole text and value of the cell at the cursor.
    WholeCell,
    /// Write the view as picture and table.
    SaveView,
    /// Write the whole run, as `mixscope run` does.
    SaveRun,
    /// Write the screen as a picture.
    SaveScreen,
    /// Show a second pane next to the view, or one pane again.
    Split,
    /// Give the next pane the focus.
    OtherPane,
    /// Give this pane the focus; a click on the pane does it.
    FocusPane(usize),
    /// Give the view the whole screen, or show the other parts again.
    Zoom,
    /// Show the dashboard, or one view again.
    Dashboard,
    /// Show the next arrangement of views.
    NextArrangement,
    /// Show this arrangement of views; the palette offers this.
    Arrange(Arrangement),
    /// Show the next theme.
    NextTheme,
    /// Show this theme; the palette offers this.
    ShowTheme(ThemeName),
    /// Run the tokens under this precision policy; the palette offers this.
    RunUnder(Policy),
    /// Show the summary of the view, or the contributions to the candidate's logit.
    ToggleContributions,
    /// Switch between a linear and a logarithmic scale.
    ToggleLog,
    /// Follow the token at the cursor: in Next the candidate, in Lens the best token.
    AddTarget,
    /// Follow this token, or stop following it; a click on its name does it.
    ToggleTarget(u32),
    /// Type a token to follow.
    TypeTarget,
    /// Stop following the last target.
    DropTarget,
    /// Show the whole last message with its causes.
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
    /// Complete the typed text.
    Complete,
    /// Put the prompt into the model's chat template, or not.
    ToggleChat,
    /// Edit the typed text, or move in a list or a page.
    Edit(TextEdit),
    /// Open the command palette.
    Palette,
    /// Go to this address; the palette offers this for a typed number or name.
    GoTo(Address),
    /// Write a view to files, as the palette read it.
    Export(FileOrder),
    /// Search for text in the run.
    Search,
    /// Go to the next match.
    NextMatch,
    /// Go to the previous match.
    PreviousMatch,
    /// Set or remove a bookmark on the token at the cursor.
    ToggleBookmark,
    /// Go to the next bookmark.
    NextBookmark,
    /// Go to the previous bookmark.
    PreviousBookmark,
    /// Undo the last action on the run.
    Undo,
    /// Redo the action that was undone.
    Redo,
    /// List the branches: the tree of runs.
    Branches,
    /// Name the marked branch.
    NameBranch,
    /// Compare the marked branch with the current run.
    CompareBranch,
    /// Delete the marked branch and all below it.
    DeleteBranch,
    /// Copy to the clipboard.
    Copy(Extent),
}

impl fmt::Display for Action {
    /// The name in the configuration: the words of the variant joined by `-`, as in `show-routing` or `pick-example-1`.
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

/// Up or down on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vertical {
    /// To the line above.
    Up,
    /// To the line below.
    Down,
}

/// The part of a view that is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The value under the cursor.
    Cell,
    /// The row under the cursor.
    Row,
    /// The whole view.
    View,
}

/// A move of the token cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// One token back.
    Left,
    /// One token forward.
    Right,
    /// Ten tokens back.
    FarLeft,
    /// Ten tokens forward.
    FarRight,
    /// The first token.
    First,
    /// The last token.
    Last,
}

/// A key that edits a typed text, or moves in a list or a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TextEdit {
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
