//! The table of all keys, from which dispatch, help, hints and the palette are made.

use super::action::{Action, Extent, Move, TextEdit};
use super::key::{Chord, Code, Key};
use super::scope::Scope;
use crate::analysis::view::Tab;

/// The keys of one action.
pub struct Binding {
    /// The action.
    pub action: Action,
    /// Its keys: single ones, or pairs of keys pressed one after the other.
    pub keys: &'static [Chord],
    /// Where the keys apply.
    pub scope: Scope,
    /// The line in the help.
    pub help: &'static str,
    /// The word in the footer; empty if the footer leaves the action out.
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

/// All bindings, in the order of the help.
pub static TABLE: &[Binding] = {
    use Action as A;
    use Code as C;
    use Scope::{Anywhere, Branches, Edits, Explore, Form, Input, List, Page, Palette, Picker};
    &[
        bind(Explore, &[ch('q')], A::Quit, "quit", "quit"),
        bind(Explore, &[ch('?')], A::Help, "the keys", "help"),
        bind(Explore, &[ch(':'), ctrl('p')], A::Palette, "command palette: find an action by its name", "palette"),
        bind(Explore, &[ch('i')], A::EditPrompt, "edit the prompt; only what changed is computed again", "prompt"),
        bind(Explore, &[ch(' ')], A::Generate, "generate one token; pause if it runs", "step"),
        bind(Explore, &[ch('g')], A::Go, "generate until stopped; pause if it runs", "go"),
        bind(Explore, &[ch('r')], A::RunCount, "generate a number of tokens", ""),
        bind(Explore, &[ch('u'), k(C::Backspace)], A::Back, "step back: forget the last token", "back"),
        bind(Explore, &[ch('U')], A::Rewind, "rewind: forget everything after the cursor", ""),
        bind(Explore, &[ch('z')], A::Undo, "undo the last action: prompt, step, forced token, policy, edits", ""),
        bind(Explore, &[ch('Z')], A::Redo, "redo what was undone", ""),
        bind(
            Explore,
            &[ch('Y')],
            A::Branches,
            "branches: the tree of runs, a history to go back to, name and compare",
            "",
        ),
        bind(
            Explore,
            &[k(C::Enter)],
            A::ForceCandidate,
            "show the candidates; in Next, read the marked one next; in Fidelity's lab and in Effects, compute",
            "candidates",
        ),
        bind(Explore, &[ch('o')], A::OpenModel, "open another model; the prompt stays", "model"),
        bind(Explore, &[ch('f')], A::ForceText, "type what the model reads next", ""),
        bind(Explore, &[ch('s')], A::Sampling, "temperature, top-k, top-p, seed", "sampling"),
        bind(Explore, &[ch('1')], A::Show(Tab::Routing), "Routing: which experts read a token, how narrowly", ""),
        bind(Explore, &[ch('2')], A::Show(Tab::Attention), "Attention: where each head looks", ""),
        bind(Explore, &[ch('3')], A::Show(Tab::Lens), "Lens: what the model would say at each layer", ""),
        bind(Explore, &[ch('4')], A::Show(Tab::Next), "Next: candidates for the next token", ""),
        bind(Explore, &[ch('5')], A::Show(Tab::Fidelity), "Fidelity: what was validated, the precision policy", ""),
        bind(Explore, &[ch('6')], A::Show(Tab::Effects), "Effects: what matters: edits, patches, contributions", ""),
        bind(Explore, &[k(C::Tab)], A::NextView, "next view", ""),
        bind(Explore, &[k(C::BackTab)], A::PreviousView, "previous view", ""),
        bind(Explore, &[ch('v')], A::CycleLens, "next layout of the view (its title says which)", "layout"),
        bind(Explore, &[ch('a')], A::NextMeasure, "next measure of the view (its title says which)", ""),
        bind(Explore, &[ch('t')], A::CloseCalls, "list the closest calls of the router, to jump to", ""),
        bind(
            Explore,
            &[ch('{')],
            A::PreviousNearTie,
            "previous near-tie in the layer of the cursor; in Fidelity, flip",
            "",
        ),
        bind(Explore, &[ch('}')], A::NextNearTie, "next near-tie in the layer of the cursor; in Fidelity, flip", ""),
        bind(Explore, &[k(C::Left), ch('h')], A::Token(Move::Left), "previous token", ""),
        bind(Explore, &[k(C::Right), ch('l')], A::Token(Move::Right), "next token", ""),
        bind(
            Explore,
            &[k(C::Up), ch('k')],
            A::Up,
            "layer up; row up in sorted heads; candidate up in Next; line up in Fidelity",
            "",
        ),
        bind(
            Explore,
            &[k(C::Down), ch('j')],
            A::Down,
            "layer down; row down in sorted heads; candidate down in Next; line down in Fidelity",
            "",
        ),
        bind(Explore, &[ch('K'), shift(C::Up)], A::LayerUp, "layer up in every view", ""),
        bind(Explore, &[ch('J'), shift(C::Down)], A::LayerDown, "layer down in every view", ""),
        bind(Explore, &[ch('H'), shift(C::Left), k(C::PageUp)], A::Token(Move::FarLeft), "ten tokens back", ""),
        bind(Explore, &[ch('L'), shift(C::Right), k(C::PageDown)], A::Token(Move::FarRight), "ten tokens forward", ""),
        bind(Explore, &[k(C::Home), ch('0')], A::Token(Move::First), "first token", ""),
        bind(Explore, &[k(C::End), ch('$')], A::Token(Move::Last), "last token; the cursor then follows new ones", ""),
        bind(Explore, &[ch('/')], A::Search, "search in the text; capitals count only if you type some", ""),
        bind(Explore, &[ch('n')], A::NextMatch, "next match", ""),
        bind(Explore, &[ch('N')], A::PreviousMatch, "previous match", ""),
        bind(Explore, &[ch('m')], A::ToggleBookmark, "set a bookmark on the token, or remove it", ""),
        bind(Explore, &[ch('\'')], A::NextBookmark, "next bookmark", ""),
        bind(Explore, &[ch('"')], A::PreviousBookmark, "previous bookmark", ""),
        bind(
            Explore,
            &[Chord::pair('y', 'c')],
            A::Copy(Extent::Cell),
            "copy the value under the cursor, or the selected text",
            "",
        ),
        bind(Explore, &[Chord::pair('y', 'r')], A::Copy(Extent::Row), "copy the row under the cursor as CSV", ""),
        bind(Explore, &[Chord::pair('y', 'v')], A::Copy(Extent::View), "copy the view as CSV", ""),
        bind(Explore, &[ch('[')], A::PreviousHead, "previous head", ""),
        bind(Explore, &[ch(']')], A::NextHead, "next head", ""),
        bind(Explore, &[ch(',')], A::PreviousExpert, "previous expert; in Effects, previous place of the layer", ""),
        bind(Explore, &[ch('.')], A::NextExpert, "next expert; in Effects, next place of the layer", ""),
        bind(Explore, &[ch('c')], A::CycleColour, "colour the text by expert, loss, entropy or attention", "colour"),
        bind(Explore, &[ch('e')], A::SaveView, "write this view to files: PNG and CSV", "export"),
        bind(Explore, &[ch('E')], A::SaveRun, "write the whole run to a folder: tables, pictures, trace", ""),
        bind(Explore, &[ch('S')], A::SaveScreen, "write the screen as a picture: PNG and SVG", ""),
        bind(Explore, &[Chord::pair('w', 's')], A::Split, "two views side by side, or one again", ""),
        bind(Explore, &[Chord::pair('w', 'w')], A::OtherPane, "the other view of the two", ""),
        bind(Explore, &[Chord::pair('w', 'z')], A::Zoom, "all the room for this view, or back", ""),
        bind(Explore, &[ch('A')], A::SortHeads, "sort heads and effects by the measure, or by place", ""),
        bind(
            Explore,
            &[ch('b')],
            A::BestHead,
            "go to the best head by the measure; in Effects, to the largest effect",
            "",
        ),
        bind(Explore, &[ch('O')], A::NextMapOver, "Effects: over experts, heads or blocks; patch other values", ""),
        bind(Explore, &[ch('W')], A::NextHow, "Effects: zero each part, ban it, or set it to its mean", ""),
        bind(
            Explore,
            &[ch('=')],
            A::PinTarget,
            "experiments: keep this target while the cursor moves, or let it follow",
            "",
        ),
        bind(
            Explore,
            &[ch('F')],
            A::Foil,
            "experiments: the token that the target is compared with (in Next, the marked one)",
            "",
        ),
        bind(Explore, &[ch('C')], A::SecondPrompt, "compare with a second prompt, token by token", ""),
        bind(Explore, &[ch('R')], A::RepeatedTokens, "measure heads on random tokens given twice, or on this text", ""),
        bind(
            Explore,
            &[ch('x')],
            A::HeadsTogether,
            "one head, the mean or the maximum over the heads of the layer",
            "",
        ),
        bind(Explore, &[ch('X')], A::FlipSide, "attention from the cursor (row) or to the cursor (column)", ""),
        bind(Explore, &[ch('d')], A::ToggleDetails, "show or hide the details next to the view", ""),
        bind(
            Explore,
            &[ch('D')],
            A::ToggleContributions,
            "details: summary, or contributions to a candidate's logit (Next marks which)",
            "",
        ),
        bind(Explore, &[ch('%')], A::ToggleLog, "linear or logarithmic scale (Attention, plot of Lens)", ""),
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
        bind(Explore, &[ch('P')], A::Policies, "list the precision policies, to run the same tokens under one", ""),
        bind(
            Explore,
            &[ch('I')],
            A::Edits,
            "intervene: edit the pass at the cursor (ban, zero, force, cut …) and run again",
            "edit",
        ),
        bind(Explore, &[ch('M')], A::ListEdits, "list the edits: switch off and on, delete, order, save, load", ""),
        bind(Explore, &[ch('B')], A::FlipEdits, "show the run without its edits, or with them again", ""),
        bind(Explore, &[ch('!')], A::Causes, "the whole last message, with its causes", ""),
        bind(Input, &[k(C::Enter)], A::Accept, "accept: run the prompt, read the text", ""),
        bind(Input, &[alt(C::Enter), ctrl('j')], A::NewLine, "new line (in the prompt)", ""),
        bind(Input, &[k(C::Tab)], A::Example, "next example prompt", ""),
        bind(Input, &[alt(C::Char('1'))], A::PickExample(1), "first example prompt", ""),
        bind(Input, &[alt(C::Char('2'))], A::PickExample(2), "second example prompt", ""),
        bind(Input, &[alt(C::Char('3'))], A::PickExample(3), "third example prompt", ""),
        bind(Input, &[ctrl('t')], A::ToggleChat, "put the prompt into the model's chat template, or not", ""),
        bind(Input, &[k(C::Up)], A::Edit(TextEdit::Up), "line up; on the first line, earlier prompts", ""),
        bind(Input, &[k(C::Down)], A::Edit(TextEdit::Down), "line down; on the last line, later prompts", ""),
        bind(Input, &[ctrl('p'), k(C::PageUp)], A::Edit(TextEdit::HistoryBack), "earlier prompt", ""),
        bind(Input, &[ctrl('n'), k(C::PageDown)], A::Edit(TextEdit::HistoryForward), "later prompt", ""),
        bind(Input, &[k(C::Left), ctrl('b')], A::Edit(TextEdit::Left), "left", ""),
        bind(Input, &[k(C::Right), ctrl('f')], A::Edit(TextEdit::Right), "right", ""),
        bind(Input, &[alt(C::Left), alt(C::Char('b'))], A::Edit(TextEdit::WordLeft), "word left", ""),
        bind(Input, &[alt(C::Right), alt(C::Char('f'))], A::Edit(TextEdit::WordRight), "word right", ""),
        bind(Input, &[k(C::Home), ctrl('a')], A::Edit(TextEdit::LineStart), "start of the line", ""),
        bind(Input, &[k(C::End), ctrl('e')], A::Edit(TextEdit::LineEnd), "end of the line", ""),
        bind(Input, &[k(C::Backspace), ctrl('h')], A::Edit(TextEdit::DeleteLeft), "delete to the left", ""),
        bind(Input, &[k(C::Delete), ctrl('d')], A::Edit(TextEdit::DeleteRight), "delete to the right", ""),
        bind(Input, &[ctrl('w'), alt(C::Backspace)], A::Edit(TextEdit::DeleteWord), "delete the word before", ""),
        bind(Input, &[ctrl('u')], A::Edit(TextEdit::DeleteToStart), "delete to the start of the line", ""),
        bind(Input, &[ctrl('k')], A::Edit(TextEdit::DeleteToEnd), "delete to the end of the line", ""),
        bind(Form, &[k(C::Enter)], A::Accept, "use these values", ""),
        bind(Form, &[k(C::Up), k(C::BackTab)], A::Edit(TextEdit::Up), "field above", ""),
        bind(Form, &[k(C::Down), k(C::Tab)], A::Edit(TextEdit::Down), "field below", ""),
        bind(Form, &[k(C::Backspace)], A::Edit(TextEdit::DeleteLeft), "delete; empty = off", ""),
        bind(Form, &[ctrl('u')], A::Edit(TextEdit::DeleteToStart), "clear the field", ""),
        bind(Picker, &[k(C::Enter)], A::Accept, "open the marked model, or what is typed", ""),
        bind(Picker, &[k(C::Tab)], A::Complete, "complete the path or name", ""),
        bind(Picker, &[k(C::Up), ctrl('p'), k(C::BackTab)], A::Edit(TextEdit::Up), "choice above", ""),
        bind(Picker, &[k(C::Down), ctrl('n')], A::Edit(TextEdit::Down), "choice below", ""),
        bind(Picker, &[k(C::PageUp)], A::Edit(TextEdit::PageUp), "ten choices up", ""),
        bind(Picker, &[k(C::PageDown)], A::Edit(TextEdit::PageDown), "ten choices down", ""),
        bind(Picker, &[k(C::Left), ctrl('b')], A::Edit(TextEdit::Left), "left", ""),
        bind(Picker, &[k(C::Right), ctrl('f')], A::Edit(TextEdit::Right), "right", ""),
        bind(Picker, &[k(C::Home), ctrl('a')], A::Edit(TextEdit::LineStart), "start of the line", ""),
        bind(Picker, &[k(C::End), ctrl('e')], A::Edit(TextEdit::LineEnd), "end of the line", ""),
        bind(Picker, &[k(C::Backspace), ctrl('h')], A::Edit(TextEdit::DeleteLeft), "delete to the left", ""),
        bind(Picker, &[k(C::Delete), ctrl('d')], A::Edit(TextEdit::DeleteRight), "delete to the right", ""),
        bind(Picker, &[ctrl('w')], A::Edit(TextEdit::DeleteWord), "delete the word before", ""),
        bind(Picker, &[ctrl('u')], A::Edit(TextEdit::DeleteToStart), "delete to the start of the line", ""),
        bind(Palette, &[k(C::Enter)], A::Accept, "do what is marked", ""),
        bind(Palette, &[k(C::Up), ctrl('p'), k(C::BackTab)], A::Edit(TextEdit::Up), "action above", ""),
        bind(Palette, &[k(C::Down), ctrl('n'), k(C::Tab)], A::Edit(TextEdit::Down), "action below", ""),
        bind(Palette, &[k(C::PageUp)], A::Edit(TextEdit::PageUp), "ten actions up", ""),
        bind(Palette, &[k(C::PageDown)], A::Edit(TextEdit::PageDown), "ten actions down", ""),
        bind(Palette, &[k(C::Left), ctrl('b')], A::Edit(TextEdit::Left), "left", ""),
        bind(Palette, &[k(C::Right), ctrl('f')], A::Edit(TextEdit::Right), "right", ""),
        bind(Palette, &[k(C::Home), ctrl('a')], A::Edit(TextEdit::LineStart), "start of the line", ""),
        bind(Palette, &[k(C::End), ctrl('e')], A::Edit(TextEdit::LineEnd), "end of the line", ""),
        bind(Palette, &[k(C::Backspace), ctrl('h')], A::Edit(TextEdit::DeleteLeft), "delete to the left", ""),
        bind(Palette, &[k(C::Delete), ctrl('d')], A::Edit(TextEdit::DeleteRight), "delete to the right", ""),
        bind(Palette, &[ctrl('w')], A::Edit(TextEdit::DeleteWord), "delete the word before", ""),
        bind(Palette, &[ctrl('u')], A::Edit(TextEdit::DeleteToStart), "delete to the start of the line", ""),
        bind(List, &[k(C::Enter)], A::Accept, "go to the marked row", ""),
        bind(List, &[k(C::Up), ch('k')], A::Edit(TextEdit::Up), "row above", ""),
        bind(List, &[k(C::Down), ch('j')], A::Edit(TextEdit::Down), "row below", ""),
        bind(List, &[k(C::PageUp)], A::Edit(TextEdit::PageUp), "ten rows up", ""),
        bind(List, &[k(C::PageDown), ch(' ')], A::Edit(TextEdit::PageDown), "ten rows down", ""),
        bind(List, &[k(C::Home)], A::Edit(TextEdit::LineStart), "first row", ""),
        bind(List, &[k(C::End)], A::Edit(TextEdit::LineEnd), "last row", ""),
        bind(List, &[ch('q'), ch('t')], A::Escape, "close", ""),
        bind(Branches, &[k(C::Enter)], A::Accept, "go to the marked branch: it becomes the run", ""),
        bind(Branches, &[k(C::Up), ch('k')], A::Edit(TextEdit::Up), "row above", ""),
        bind(Branches, &[k(C::Down), ch('j')], A::Edit(TextEdit::Down), "row below", ""),
        bind(Branches, &[k(C::PageUp)], A::Edit(TextEdit::PageUp), "ten rows up", ""),
        bind(Branches, &[k(C::PageDown), ch(' ')], A::Edit(TextEdit::PageDown), "ten rows down", ""),
        bind(Branches, &[k(C::Home)], A::Edit(TextEdit::LineStart), "first row", ""),
        bind(Branches, &[k(C::End)], A::Edit(TextEdit::LineEnd), "last row", ""),
        bind(Branches, &[ch('n')], A::NameBranch, "name the marked branch, or take its name away", ""),
        bind(Branches, &[ch('c')], A::CompareBranch, "compare the marked branch with the current run", ""),
        bind(Branches, &[ch('d'), k(C::Delete)], A::DeleteBranch, "delete the marked branch and all below it", ""),
        bind(Branches, &[ch('q'), ch('Y')], A::Escape, "close", ""),
        bind(Edits, &[k(C::Enter)], A::Accept, "run under the marked edit; in the list, switch it off or on", ""),
        bind(Edits, &[k(C::Tab)], A::NextReach, "at every token, at this one, or from this one on", ""),
        bind(Edits, &[k(C::Up), ch('k')], A::Edit(TextEdit::Up), "row above", ""),
        bind(Edits, &[k(C::Down), ch('j')], A::Edit(TextEdit::Down), "row below", ""),
        bind(Edits, &[k(C::Home)], A::Edit(TextEdit::LineStart), "first row", ""),
        bind(Edits, &[k(C::End)], A::Edit(TextEdit::LineEnd), "last row", ""),
        bind(Edits, &[ch(' ')], A::ToggleEdit, "switch the marked edit off or on", ""),
        bind(Edits, &[ch('d'), k(C::Delete)], A::DeleteEdit, "delete the marked edit", ""),
        bind(Edits, &[ch('K')], A::RaiseEdit, "move the marked edit up: edits apply in their order", ""),
        bind(Edits, &[ch('J')], A::LowerEdit, "move the marked edit down", ""),
        bind(Edits, &[ch('t')], A::TypeEdit, "type an edit", ""),
        bind(Edits, &[ch('s')], A::SaveEdits, "write the edits to a file", ""),
        bind(Edits, &[ch('o')], A::LoadEdits, "read edits from a file", ""),
        bind(Edits, &[ch('q'), ch('I'), ch('M')], A::Escape, "close", ""),
        bind(Page, &[k(C::Up), ch('k')], A::Edit(TextEdit::Up), "line up", ""),
        bind(Page, &[k(C::Down), ch('j')], A::Edit(TextEdit::Down), "line down", ""),
        bind(Page, &[k(C::PageUp)], A::Edit(TextEdit::PageUp), "page up", ""),
        bind(Page, &[k(C::PageDown), ch(' ')], A::Edit(TextEdit::PageDown), "page down", ""),
        bind(Page, &[ch('q'), ch('?'), ch('!'), k(C::Enter)], A::Escape, "close", ""),
        bind(Anywhere, &[k(C::Esc)], A::Escape, "close what is open; else pause", ""),
        bind(Anywhere, &[ctrl('c')], A::Quit, "quit", ""),
        bind(Anywhere, &[ctrl('z')], A::Suspend, "suspend; fg continues", ""),
        bind(Anywhere, &[ctrl('l')], A::Redraw, "draw the screen again", ""),
    ]
};
