//! Keys, actions, and the one table that connects them.

use super::View;
use std::fmt;

/// A key, as far as the program tells keys apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A character as typed.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
}

/// A key with its modifiers; shift only where the character does not already tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which key.
    pub code: Code,
    /// Ctrl was held.
    pub ctrl: bool,
    /// Alt was held.
    pub alt: bool,
    /// Shift was held with a key that is no character.
    pub shift: bool,
}

impl Key {
    /// The key alone.
    pub const fn of(code: Code) -> Self {
        Self { code, ctrl: false, alt: false, shift: false }
    }

    const fn ctrl(c: char) -> Self {
        Self { ctrl: true, ..Self::of(Code::Char(c)) }
    }

    const fn shift(code: Code) -> Self {
        Self { shift: true, ..Self::of(code) }
    }

    const fn alt(code: Code) -> Self {
        Self { alt: true, ..Self::of(code) }
    }

    /// The character it types, if it types one.
    pub fn typed(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if held {
                f.write_str(name)?;
            }
        }
        match self.code {
            Code::Char(' ') => f.write_str("space"),
            Code::Char(c) => write!(f, "{c}"),
            Code::Enter => f.write_str("enter"),
            Code::Esc => f.write_str("esc"),
            Code::Backspace => f.write_str("backspace"),
            Code::Delete => f.write_str("del"),
            Code::Tab => f.write_str("tab"),
            Code::BackTab => f.write_str("shift-tab"),
            Code::Up => f.write_str("↑"),
            Code::Down => f.write_str("↓"),
            Code::Left => f.write_str("←"),
            Code::Right => f.write_str("→"),
            Code::Home => f.write_str("home"),
            Code::End => f.write_str("end"),
            Code::PageUp => f.write_str("pgup"),
            Code::PageDown => f.write_str("pgdn"),
        }
    }
}

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
    /// The next measure of the view: of the heads, in Attention.
    NextMeasure,
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
    /// Linear or logarithmic scale.
    ToggleScale,
    /// Show or hide the details beside the view.
    ToggleDetails,
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
    /// The keys for it.
    pub keys: &'static [Key],
    /// Where.
    pub scope: Scope,
    /// What the help says.
    pub help: &'static str,
    /// What the hint line says, if it is on it.
    pub hint: &'static str,
}

const fn bind(scope: Scope, keys: &'static [Key], action: Action, help: &'static str, hint: &'static str) -> Binding {
    Binding { action, keys, scope, help, hint }
}

const fn ch(c: char) -> Key {
    Key::of(Code::Char(c))
}

const fn k(code: Code) -> Key {
    Key::of(code)
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
        bind(Explore, &[ch('H'), Key::shift(C::Left), k(C::PageUp)], A::Token(Step::FarLeft), "ten tokens back", ""),
        bind(Explore, &[ch('L'), Key::shift(C::Right), k(C::PageDown)], A::Token(Step::FarRight), "ten tokens on", ""),
        bind(Explore, &[k(C::Home), ch('0')], A::Token(Step::First), "first token", ""),
        bind(Explore, &[k(C::End), ch('$')], A::Token(Step::Last), "last token; the cursor then follows new ones", ""),
        bind(Explore, &[ch('[')], A::PreviousHead, "head before", ""),
        bind(Explore, &[ch(']')], A::NextHead, "next head", ""),
        bind(Explore, &[ch(',')], A::PreviousExpert, "expert before", ""),
        bind(Explore, &[ch('.')], A::NextExpert, "next expert", ""),
        bind(Explore, &[ch('c')], A::CycleColour, "colour the text by expert, loss, entropy or attention", "colour"),
        bind(
            Explore,
            &[ch('a')],
            A::NextMeasure,
            "next measure of the view (Attention: what heads are measured by)",
            "",
        ),
        bind(Explore, &[ch('A')], A::SortHeads, "sort the heads by the measure, or by place", ""),
        bind(Explore, &[ch('b')], A::BestHead, "go to the best head by the measure", ""),
        bind(Explore, &[ch('R')], A::RepeatedTokens, "measure heads on random tokens given twice, or on this text", ""),
        bind(
            Explore,
            &[ch('x')],
            A::HeadsTogether,
            "one head, the mean or the maximum over the heads of the layer",
            "",
        ),
        bind(Explore, &[ch('X')], A::FlipSide, "attention from the cursor (row) or to the cursor (column)", ""),
        bind(Explore, &[ch('%')], A::ToggleScale, "attention on a linear or a logarithmic scale", ""),
        bind(Explore, &[ch('d')], A::ToggleDetails, "show or hide the details beside the view", ""),
        bind(Explore, &[ch('p')], A::CyclePolicy, "run the same tokens under the next precision policy", ""),
        bind(Explore, &[ch('!')], A::Causes, "the last message whole, with its causes", ""),
        bind(Input, &[k(C::Enter)], A::Accept, "accept: run the prompt, read the text", ""),
        bind(Input, &[Key::alt(C::Enter), Key::ctrl('j')], A::NewLine, "new line (in the prompt)", ""),
        bind(Input, &[k(C::Tab)], A::Example, "next example prompt", ""),
        bind(Input, &[Key::ctrl('t')], A::ToggleChat, "put the prompt into the model's chat template, or not", ""),
        bind(Input, &[k(C::Up)], A::Edit(Edit::Up), "line up; on the first line, earlier prompts", ""),
        bind(Input, &[k(C::Down)], A::Edit(Edit::Down), "line down; on the last line, later prompts", ""),
        bind(Input, &[Key::ctrl('p'), k(C::PageUp)], A::Edit(Edit::HistoryBack), "earlier prompt", ""),
        bind(Input, &[Key::ctrl('n'), k(C::PageDown)], A::Edit(Edit::HistoryForward), "later prompt", ""),
        bind(Input, &[k(C::Left), Key::ctrl('b')], A::Edit(Edit::Left), "left", ""),
        bind(Input, &[k(C::Right), Key::ctrl('f')], A::Edit(Edit::Right), "right", ""),
        bind(Input, &[Key::alt(C::Left), Key::alt(C::Char('b'))], A::Edit(Edit::WordLeft), "word left", ""),
        bind(Input, &[Key::alt(C::Right), Key::alt(C::Char('f'))], A::Edit(Edit::WordRight), "word right", ""),
        bind(Input, &[k(C::Home), Key::ctrl('a')], A::Edit(Edit::LineStart), "start of the line", ""),
        bind(Input, &[k(C::End), Key::ctrl('e')], A::Edit(Edit::LineEnd), "end of the line", ""),
        bind(Input, &[k(C::Backspace), Key::ctrl('h')], A::Edit(Edit::DeleteLeft), "delete to the left", ""),
        bind(Input, &[k(C::Delete), Key::ctrl('d')], A::Edit(Edit::DeleteRight), "delete to the right", ""),
        bind(Input, &[Key::ctrl('w'), Key::alt(C::Backspace)], A::Edit(Edit::DeleteWord), "delete the word before", ""),
        bind(Input, &[Key::ctrl('u')], A::Edit(Edit::DeleteToStart), "delete to the start of the line", ""),
        bind(Input, &[Key::ctrl('k')], A::Edit(Edit::DeleteToEnd), "delete to the end of the line", ""),
        bind(Form, &[k(C::Enter)], A::Accept, "use these values", ""),
        bind(Form, &[k(C::Up), k(C::BackTab)], A::Edit(Edit::Up), "field above", ""),
        bind(Form, &[k(C::Down), k(C::Tab)], A::Edit(Edit::Down), "field below", ""),
        bind(Form, &[k(C::Backspace)], A::Edit(Edit::DeleteLeft), "delete; empty = off", ""),
        bind(Form, &[Key::ctrl('u')], A::Edit(Edit::DeleteToStart), "clear the field", ""),
        bind(Picker, &[k(C::Enter)], A::Accept, "open the marked model, or what is typed", ""),
        bind(Picker, &[k(C::Tab)], A::Complete, "complete the path or name", ""),
        bind(Picker, &[k(C::Up), Key::ctrl('p'), k(C::BackTab)], A::Edit(Edit::Up), "choice above", ""),
        bind(Picker, &[k(C::Down), Key::ctrl('n')], A::Edit(Edit::Down), "choice below", ""),
        bind(Picker, &[k(C::PageUp)], A::Edit(Edit::PageUp), "ten choices up", ""),
        bind(Picker, &[k(C::PageDown)], A::Edit(Edit::PageDown), "ten choices down", ""),
        bind(Picker, &[k(C::Left), Key::ctrl('b')], A::Edit(Edit::Left), "left", ""),
        bind(Picker, &[k(C::Right), Key::ctrl('f')], A::Edit(Edit::Right), "right", ""),
        bind(Picker, &[k(C::Home), Key::ctrl('a')], A::Edit(Edit::LineStart), "start of the line", ""),
        bind(Picker, &[k(C::End), Key::ctrl('e')], A::Edit(Edit::LineEnd), "end of the line", ""),
        bind(Picker, &[k(C::Backspace), Key::ctrl('h')], A::Edit(Edit::DeleteLeft), "delete to the left", ""),
        bind(Picker, &[k(C::Delete), Key::ctrl('d')], A::Edit(Edit::DeleteRight), "delete to the right", ""),
        bind(Picker, &[Key::ctrl('w')], A::Edit(Edit::DeleteWord), "delete the word before", ""),
        bind(Picker, &[Key::ctrl('u')], A::Edit(Edit::DeleteToStart), "delete to the start of the line", ""),
        bind(Page, &[k(C::Up), ch('k')], A::Edit(Edit::Up), "line up", ""),
        bind(Page, &[k(C::Down), ch('j')], A::Edit(Edit::Down), "line down", ""),
        bind(Page, &[k(C::PageUp)], A::Edit(Edit::PageUp), "page up", ""),
        bind(Page, &[k(C::PageDown), ch(' ')], A::Edit(Edit::PageDown), "page down", ""),
        bind(Page, &[ch('q'), ch('?'), ch('!'), k(C::Enter)], A::Escape, "close", ""),
        bind(Anywhere, &[k(C::Esc)], A::Escape, "close what is open; else pause", ""),
        bind(Anywhere, &[Key::ctrl('c')], A::Quit, "quit", ""),
        bind(Anywhere, &[Key::ctrl('z')], A::Suspend, "suspend; fg comes back", ""),
        bind(Anywhere, &[Key::ctrl('l')], A::Redraw, "draw the screen anew", ""),
    ]
};

/// What `key` means in `scope`.
pub fn look_up(scope: Scope, key: Key) -> Option<Action> {
    let here = |wanted: Scope| TABLE.iter().find(move |b| b.scope == wanted && b.keys.contains(&key));
    here(scope).or_else(|| here(Scope::Anywhere)).map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_has_two_meanings_in_one_scope() {
        let mut seen = HashSet::new();
        for binding in TABLE {
            for key in binding.keys {
                assert!(seen.insert((binding.scope as u8, *key)), "{key} twice in {:?}", binding.scope);
                let shadows = binding.scope != Scope::Anywhere
                    && TABLE.iter().any(|b| b.scope == Scope::Anywhere && b.keys.contains(key));
                assert!(!shadows, "{key} hides a key that works anywhere");
            }
        }
    }

    #[test]
    fn every_action_is_found_by_its_key() {
        for binding in TABLE {
            for key in binding.keys {
                assert_eq!(look_up(binding.scope, *key), Some(binding.action));
            }
            assert!(!binding.help.is_empty());
        }
    }
}
