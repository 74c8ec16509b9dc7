//! Everything that a user can ask for.

use crate::analysis::view::Tab;
use std::fmt;

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
    Token(Move),
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
    /// Give the next pane the focus.
    OtherPane,
    /// Give this pane the focus; a click on the pane means it.
    FocusPane(usize),
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
    Edit(TextEdit),
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

/// Up or down on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vertical {
    /// To the line above.
    Up,
    /// To the line below.
    Down,
}

/// How much is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The value under the cursor.
    Cell,
    /// Its row.
    Row,
    /// The view.
    View,
}

/// Where the token cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
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

/// Keys that edit a typed text, or move in a list or a page.
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
