//! Actions, and the one table that connects them with keys.

use super::View;
pub use super::key::{Chord, Code, Key};
pub use super::keymap::{Entry, Found, Keymap};

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
            Self::Page => "in help and messages",
        }
    }

    /// Whether characters are typed there.
    pub fn takes_text(self) -> bool {
        matches!(self, Self::Input | Self::Form | Self::Picker)
    }

    /// All scopes, in the order of the help.
    pub const ALL: [Scope; 6] = [Self::Explore, Self::Input, Self::Form, Self::Picker, Self::Page, Self::Anywhere];
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
    Show(View),
    /// Show the next view.
    NextView,
    /// Show the view before.
    PreviousView,
    /// Look at the same data another way.
    CycleLens,
    /// Token cursor.
    Token(Step),
    /// One layer up: towards the output. In Next, the better candidate; in Fidelity, scroll.
    Up,
    /// One layer down: towards the embedding. In Next, the next candidate; in Fidelity, scroll.
    Down,
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
    /// Colour the text by something else.
    CycleColour,
    /// Show or hide the details beside the view.
    ToggleDetails,
    /// Show another measure of the same things.
    CycleMeasure,
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
    /// Choose another model.
    OpenModel,
    /// Complete what is typed.
    Complete,
    /// Put the prompt into the model's chat template, or not.
    ToggleChat,
    /// The cursor of the input.
    Edit(Edit),
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

const fn bind(scope: Scope, keys: &'static [Chord], action: Action, help: &'static str, hint: &'static str) -> Binding {
    Binding { action, keys, scope, help, hint }
}

const fn ch(c: char) -> Chord {
    Chord::of(Key::of(Code::Char(c)))
}

const fn k(code: Code) -> Chord {
    Chord::of(Key::of(code))
}

const fn ctrl(c: char) -> Chord {
    Chord::of(Key { ctrl: true, ..Key::of(Code::Char(c)) })
}

const fn alt(code: Code) -> Chord {
    Chord::of(Key { alt: true, ..Key::of(code) })
}

const fn shift(code: Code) -> Chord {
    Chord::of(Key { shift: true, ..Key::of(code) })
}

/// The table: dispatch, help and hints are made from it.
pub static TABLE: &[Binding] = {
    use Action as A;
    use Code as C;
    use Scope::{Anywhere, Explore, Form, Input, Page, Picker};
    &[
        bind(Explore, &[ch('q')], A::Quit, "quit", "quit"),
        bind(Explore, &[ch('?')], A::Help, "the keys", "help"),
        bind(Explore, &[ch('i')], A::EditPrompt, "edit the prompt; only what changed is computed again", "prompt"),
        bind(Explore, &[ch(' ')], A::Generate, "generate one token; pause if it runs", "step"),
        bind(Explore, &[ch('g')], A::Go, "generate until stopped; pause if it runs", "go"),
        bind(Explore, &[ch('r')], A::RunCount, "generate a number of tokens", ""),
        bind(Explore, &[ch('u'), k(C::Backspace)], A::Back, "step back: forget the last token", "back"),
        bind(Explore, &[ch('U')], A::Rewind, "rewind: forget everything after the cursor", ""),
        bind(
            Explore,
            &[k(C::Enter)],
            A::ForceCandidate,
            "show the candidates; in Next, read the marked one next",
            "candidates",
        ),
        bind(Explore, &[ch('o')], A::OpenModel, "open another model; the prompt stays", "model"),
        bind(Explore, &[ch('f')], A::ForceText, "type what the model reads next", ""),
        bind(Explore, &[ch('s')], A::Sampling, "temperature, top-k, top-p, seed", "sampling"),
        bind(Explore, &[ch('1')], A::Show(View::Routing), "Routing: which experts read a token, how narrowly", ""),
        bind(Explore, &[ch('2')], A::Show(View::Attention), "Attention: where each head looks", ""),
        bind(Explore, &[ch('3')], A::Show(View::Lens), "Lens: what the model would say at each layer", ""),
        bind(Explore, &[ch('4')], A::Show(View::Next), "Next: candidates for the next token", ""),
        bind(Explore, &[ch('5')], A::Show(View::Fidelity), "Fidelity: what was validated, the precision policy", ""),
        bind(Explore, &[k(C::Tab)], A::NextView, "next view", ""),
        bind(Explore, &[k(C::BackTab)], A::PreviousView, "view before", ""),
        bind(Explore, &[ch('v')], A::CycleLens, "next layout of the view (its title says which)", "layout"),
        bind(Explore, &[k(C::Left), ch('h')], A::Token(Step::Left), "token before", ""),
        bind(Explore, &[k(C::Right), ch('l')], A::Token(Step::Right), "next token", ""),
        bind(Explore, &[k(C::Up), ch('k')], A::Up, "layer up; candidate up in Next; scroll in Fidelity", ""),
        bind(Explore, &[k(C::Down), ch('j')], A::Down, "layer down; candidate down in Next; scroll in Fidelity", ""),
        bind(Explore, &[ch('H'), shift(C::Left), k(C::PageUp)], A::Token(Step::FarLeft), "ten tokens back", ""),
        bind(Explore, &[ch('L'), shift(C::Right), k(C::PageDown)], A::Token(Step::FarRight), "ten tokens on", ""),
        bind(Explore, &[k(C::Home), ch('0')], A::Token(Step::First), "first token", ""),
        bind(Explore, &[k(C::End), ch('$')], A::Token(Step::Last), "last token; the cursor then follows new ones", ""),
        bind(Explore, &[ch('[')], A::PreviousHead, "head before", ""),
        bind(Explore, &[ch(']')], A::NextHead, "next head", ""),
        bind(Explore, &[ch(',')], A::PreviousExpert, "expert before", ""),
        bind(Explore, &[ch('.')], A::NextExpert, "next expert", ""),
        bind(Explore, &[ch('c')], A::CycleColour, "colour the text by expert, loss, entropy or attention", "colour"),
        bind(Explore, &[ch('d')], A::ToggleDetails, "show or hide the details beside the view", ""),
        bind(Explore, &[ch('a')], A::CycleMeasure, "next measure of the view: what Lens shows of each layer", ""),
        bind(Explore, &[ch('%')], A::ToggleLog, "linear or logarithmic scale (plot of Lens)", ""),
        bind(
            Explore,
            &[ch('+')],
            A::AddTarget,
            "follow a token in Lens: the candidate marked in Next, the top token at the cursor in Lens",
            "",
        ),
        bind(Explore, &[ch('T')], A::TypeTarget, "type a token to follow in Lens", ""),
        bind(Explore, &[ch('-')], A::DropTarget, "no longer follow the last token", ""),
        bind(Explore, &[ch('p')], A::CyclePolicy, "run the same tokens under the next precision policy", ""),
        bind(Explore, &[ch('!')], A::Causes, "the last message whole, with its causes", ""),
        bind(Input, &[k(C::Enter)], A::Accept, "accept: run the prompt, read the text", ""),
        bind(Input, &[alt(C::Enter), ctrl('j')], A::NewLine, "new line (in the prompt)", ""),
        bind(Input, &[k(C::Tab)], A::Example, "next example prompt", ""),
        bind(Input, &[ctrl('t')], A::ToggleChat, "put the prompt into the model's chat template, or not", ""),
        bind(Input, &[k(C::Up)], A::Edit(Edit::Up), "line up; on the first line, earlier prompts", ""),
        bind(Input, &[k(C::Down)], A::Edit(Edit::Down), "line down; on the last line, later prompts", ""),
        bind(Input, &[ctrl('p'), k(C::PageUp)], A::Edit(Edit::HistoryBack), "earlier prompt", ""),
        bind(Input, &[ctrl('n'), k(C::PageDown)], A::Edit(Edit::HistoryForward), "later prompt", ""),
        bind(Input, &[k(C::Left), ctrl('b')], A::Edit(Edit::Left), "left", ""),
        bind(Input, &[k(C::Right), ctrl('f')], A::Edit(Edit::Right), "right", ""),
        bind(Input, &[alt(C::Left), alt(C::Char('b'))], A::Edit(Edit::WordLeft), "word left", ""),
        bind(Input, &[alt(C::Right), alt(C::Char('f'))], A::Edit(Edit::WordRight), "word right", ""),
        bind(Input, &[k(C::Home), ctrl('a')], A::Edit(Edit::LineStart), "start of the line", ""),
        bind(Input, &[k(C::End), ctrl('e')], A::Edit(Edit::LineEnd), "end of the line", ""),
        bind(Input, &[k(C::Backspace), ctrl('h')], A::Edit(Edit::DeleteLeft), "delete to the left", ""),
        bind(Input, &[k(C::Delete), ctrl('d')], A::Edit(Edit::DeleteRight), "delete to the right", ""),
        bind(Input, &[ctrl('w'), alt(C::Backspace)], A::Edit(Edit::DeleteWord), "delete the word before", ""),
        bind(Input, &[ctrl('u')], A::Edit(Edit::DeleteToStart), "delete to the start of the line", ""),
        bind(Input, &[ctrl('k')], A::Edit(Edit::DeleteToEnd), "delete to the end of the line", ""),
        bind(Form, &[k(C::Enter)], A::Accept, "use these values", ""),
        bind(Form, &[k(C::Up), k(C::BackTab)], A::Edit(Edit::Up), "field above", ""),
        bind(Form, &[k(C::Down), k(C::Tab)], A::Edit(Edit::Down), "field below", ""),
        bind(Form, &[k(C::Backspace)], A::Edit(Edit::DeleteLeft), "delete; empty = off", ""),
        bind(Form, &[ctrl('u')], A::Edit(Edit::DeleteToStart), "clear the field", ""),
        bind(Picker, &[k(C::Enter)], A::Accept, "open the marked model, or what is typed", ""),
        bind(Picker, &[k(C::Tab)], A::Complete, "complete the path or name", ""),
        bind(Picker, &[k(C::Up), ctrl('p'), k(C::BackTab)], A::Edit(Edit::Up), "choice above", ""),
        bind(Picker, &[k(C::Down), ctrl('n')], A::Edit(Edit::Down), "choice below", ""),
        bind(Picker, &[k(C::PageUp)], A::Edit(Edit::PageUp), "ten choices up", ""),
        bind(Picker, &[k(C::PageDown)], A::Edit(Edit::PageDown), "ten choices down", ""),
        bind(Picker, &[k(C::Left), ctrl('b')], A::Edit(Edit::Left), "left", ""),
        bind(Picker, &[k(C::Right), ctrl('f')], A::Edit(Edit::Right), "right", ""),
        bind(Picker, &[k(C::Home), ctrl('a')], A::Edit(Edit::LineStart), "start of the line", ""),
        bind(Picker, &[k(C::End), ctrl('e')], A::Edit(Edit::LineEnd), "end of the line", ""),
        bind(Picker, &[k(C::Backspace), ctrl('h')], A::Edit(Edit::DeleteLeft), "delete to the left", ""),
        bind(Picker, &[k(C::Delete), ctrl('d')], A::Edit(Edit::DeleteRight), "delete to the right", ""),
        bind(Picker, &[ctrl('w')], A::Edit(Edit::DeleteWord), "delete the word before", ""),
        bind(Picker, &[ctrl('u')], A::Edit(Edit::DeleteToStart), "delete to the start of the line", ""),
        bind(Page, &[k(C::Up), ch('k')], A::Edit(Edit::Up), "line up", ""),
        bind(Page, &[k(C::Down), ch('j')], A::Edit(Edit::Down), "line down", ""),
        bind(Page, &[k(C::PageUp)], A::Edit(Edit::PageUp), "page up", ""),
        bind(Page, &[k(C::PageDown), ch(' ')], A::Edit(Edit::PageDown), "page down", ""),
        bind(Page, &[ch('q'), ch('?'), ch('!'), k(C::Enter)], A::Escape, "close", ""),
        bind(Anywhere, &[k(C::Esc)], A::Escape, "close what is open; else pause", ""),
        bind(Anywhere, &[ctrl('c')], A::Quit, "quit", ""),
        bind(Anywhere, &[ctrl('z')], A::Suspend, "suspend; fg comes back", ""),
        bind(Anywhere, &[ctrl('l')], A::Redraw, "draw the screen anew", ""),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_or_hides_another() {
        assert_eq!(Keymap::default().check(), Ok(()));
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
