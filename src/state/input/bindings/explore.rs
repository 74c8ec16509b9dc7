//! The keys of the views, by task.

use super::{Binding, alt, ch, ctrl, k, shift, view};
use crate::analysis::view::Tab;
use crate::state::input::action::{Action, Extent, Move, Vertical};
use crate::state::input::key::{Chord, Code};
use crate::state::input::scope::Task;
use crate::trace::Direction;

/// Tabs with a router's choices.
const ROUTED: &[Tab] = &[Tab::Routing, Tab::Fidelity];
/// Tabs whose places can be sorted.
const SORTED: &[Tab] = &[Tab::Attention, Tab::Effects];
/// Tabs with several measures.
const MEASURED: &[Tab] = &[Tab::Routing, Tab::Attention, Tab::Lens, Tab::Effects];

pub(super) static EXPLORE: &[Binding] = {
    use Action as A;
    use Code as C;
    use Direction::{Back, Forward};
    use Task::{Clipboard, Experiments, Generate, Moving, Program, Runs, Screen, Views};
    &[
        view(Generate, &[ch(' ')], A::Generate, "generate one token; pause if it runs")
            .hint("step")
            .words("next token continue pause stop"),
        view(Generate, &[Chord::pair('g', 'o'), ctrl('g')], A::Go, "go: generate until stopped; pause if it runs")
            .hint("go")
            .words("run play continue pause stop generation"),
        view(Generate, &[ch('r')], A::RunCount, "generate a number of tokens").words("run count steps"),
        view(Generate, &[ch('u'), k(C::Backspace)], A::Back, "step back: forget the last token")
            .hint("back")
            .words("remove delete token"),
        view(Generate, &[ch('U')], A::Rewind, "rewind: forget everything after the cursor")
            .words("delete truncate cut"),
        view(Generate, &[ch('i')], A::EditPrompt, "edit the prompt; only what changed is computed again")
            .hint("prompt")
            .words("text input write type insert"),
        view(Generate, &[ch('f')], A::ForceText, "type what the model reads next").words("force continue append text"),
        view(
            Generate,
            &[k(C::Enter)],
            A::ForceCandidate,
            "show the candidates; in Next, read the marked one next; in Fidelity's lab and in Effects, compute",
        )
        .hint_in("compute", &[Tab::Effects])
        .words("force candidate lab map compute"),
        view(Generate, &[ch('s')], A::Sampling, "sampling: temperature, top-k, top-p, seed")
            .words("temperature greedy random top-k top-p seed"),
        view(Moving, &[k(C::Left), ch('h')], A::Token(Move::Left), "previous token"),
        view(Moving, &[k(C::Right), ch('l')], A::Token(Move::Right), "next token"),
        view(
            Moving,
            &[k(C::Up), ch('k')],
            A::Up,
            "layer up; row up in sorted heads; candidate up in Next; line up in Fidelity",
        ),
        view(
            Moving,
            &[k(C::Down), ch('j')],
            A::Down,
            "layer down; row down in sorted heads; candidate down in Next; line down in Fidelity",
        ),
        view(Moving, &[ctrl('u')], A::Half(Vertical::Up), "half a page up").words("scroll"),
        view(Moving, &[ctrl('d')], A::Half(Vertical::Down), "half a page down").words("scroll"),
        view(Moving, &[ch('K'), shift(C::Up)], A::LayerUp, "layer up in every view"),
        view(Moving, &[ch('J'), shift(C::Down)], A::LayerDown, "layer down in every view"),
        view(Moving, &[ch('H'), shift(C::Left), k(C::PageUp)], A::Token(Move::FarLeft), "ten tokens back"),
        view(Moving, &[ch('L'), shift(C::Right), k(C::PageDown)], A::Token(Move::FarRight), "ten tokens forward"),
        view(Moving, &[k(C::Home), Chord::pair('g', 'g'), ch('0')], A::Token(Move::First), "first token")
            .words("start beginning top"),
        view(
            Moving,
            &[k(C::End), ch('G'), Chord::pair('g', 'e'), ch('$')],
            A::Token(Move::Last),
            "last token; the cursor then follows new ones",
        )
        .words("end bottom follow"),
        view(Moving, &[ch('[')], A::PreviousHead, "previous head"),
        view(Moving, &[ch(']')], A::NextHead, "next head").hint_in("head", &[Tab::Attention]),
        view(Moving, &[ch(',')], A::PreviousExpert, "previous expert; in Effects, previous place of the layer"),
        view(Moving, &[ch('.')], A::NextExpert, "next expert; in Effects, next place of the layer"),
        view(Moving, &[ch('/')], A::Search, "search in the text; capitals count only if you type some")
            .words("find grep text"),
        view(Moving, &[ch('n')], A::NextMatch, "next match"),
        view(Moving, &[ch('N')], A::PreviousMatch, "previous match"),
        view(Moving, &[ch('}')], A::NextNearTie, "next near-tie, around the ends; in Fidelity, next flip")
            .hint_in("near-tie", ROUTED)
            .words("flip margin close call"),
        view(Moving, &[ch('{')], A::PreviousNearTie, "previous near-tie, around the ends; in Fidelity, flip")
            .words("flip margin close call"),
        view(Moving, &[ch('t')], A::CloseCalls, "list the closest calls of the router, to jump to")
            .hint_in("close calls", &[Tab::Routing])
            .words("near-ties margin narrow"),
        view(Moving, &[ch('b')], A::BestHead, "go to the best head by the measure; in Effects, to the largest effect")
            .hint_in("best", SORTED)
            .words("largest strongest"),
        view(Moving, &[ch('m')], A::ToggleBookmark, "set a bookmark on the token, or remove it").words("mark"),
        view(Moving, &[ch('\'')], A::NextBookmark, "next bookmark"),
        view(Moving, &[ch('"')], A::PreviousBookmark, "previous bookmark"),
        view(Moving, &[ctrl('o')], A::Jump(Back), "back to where the cursor was before the last jump")
            .words("jump list history previous place"),
        view(Moving, &[alt(C::Char('o'))], A::Jump(Forward), "forward again to where the cursor jumped")
            .words("jump list history next place"),
        view(
            Moving,
            &[ch('V')],
            A::Select,
            "select tokens while moving; again: whole lines, the prompt, what was generated",
        )
        .words("visual selection mark range"),
        view(Views, &[ch('1')], A::Show(Tab::Routing), "Routing: which experts read a token, how narrowly")
            .words("router experts"),
        view(Views, &[ch('2')], A::Show(Tab::Attention), "Attention: where each head looks").words("heads patterns"),
        view(Views, &[ch('3')], A::Show(Tab::Lens), "Lens: what the model would say at each layer").words("logit lens"),
        view(Views, &[ch('4')], A::Show(Tab::Next), "Next: candidates for the next token")
            .words("logits predictions probabilities"),
        view(Views, &[ch('5')], A::Show(Tab::Fidelity), "Fidelity: what was validated, the precision policy")
            .words("compare precision check"),
        view(Views, &[ch('6')], A::Show(Tab::Effects), "Effects: what matters: edits, patches, contributions")
            .words("ablation patching attribution experiments"),
        view(Views, &[k(C::Tab)], A::NextView, "next view").words("tab"),
        view(Views, &[k(C::BackTab)], A::PreviousView, "previous view").words("tab"),
        view(Views, &[ch('v'), ch('>')], A::CycleLens, "next layout of the view (its title lists them)").hint("layout"),
        view(Views, &[ch('<')], A::PreviousLayout, "previous layout of the view").words("layout back"),
        view(Views, &[ch('a'), ch(')')], A::NextMeasure, "next measure of the view (its title lists them)")
            .hint_in("measure", MEASURED),
        view(Views, &[ch('(')], A::PreviousMeasure, "previous measure of the view").words("measure back"),
        view(Views, &[ch('A')], A::SortHeads, "sort heads, experts and effects by the measure, or by place")
            .hint_in("sort", SORTED)
            .words("order rank best first"),
        view(Views, &[ch('x')], A::HeadsTogether, "one head, the mean or the maximum over the heads of the layer")
            .hint_in("mean/max", &[Tab::Attention])
            .words("average"),
        view(Views, &[ch('X')], A::FlipSide, "attention from the cursor (row) or to the cursor (column)")
            .hint_in("row/column", &[Tab::Attention])
            .words("query key"),
        view(Views, &[ch('R')], A::RepeatedTokens, "measure heads on random tokens given twice, or on this text")
            .hint_in("random tokens", &[Tab::Attention])
            .words("induction repeated"),
        view(Views, &[ch('%')], A::ToggleLog, "linear or logarithmic scale (Attention, plot of Lens)")
            .words("log scale"),
        view(
            Views,
            &[ch('+')],
            A::AddTarget,
            "follow a token in Lens: the candidate marked in Next, the top token at the cursor in Lens",
        )
        .hint_in("follow", &[Tab::Lens, Tab::Next])
        .words("target track"),
        view(Views, &[ch('T')], A::TypeTarget, "type a token to follow in Lens")
            .hint_in("follow…", &[Tab::Lens])
            .words("target track"),
        view(Views, &[ch('-')], A::DropTarget, "no longer follow the last token").words("target remove"),
        view(Views, &[ch('d')], A::ToggleDetails, "show or hide the details next to the view").words("panel side"),
        view(
            Views,
            &[ch('D')],
            A::ToggleContributions,
            "details: summary, or contributions to a candidate's logit (Next marks which)",
        )
        .hint_in("contributions", &[Tab::Routing, Tab::Attention, Tab::Lens, Tab::Next])
        .words("attribution direct logit"),
        view(Views, &[ch(';')], A::WholeCell, "the whole text and value of the cell at the cursor")
            .words("full text value read inspect"),
        view(Views, &[ch('c')], A::CycleColour, "colour the text by expert, loss, entropy or attention").hint("colour"),
        view(
            Experiments,
            &[ch('I')],
            A::Edits,
            "intervene: edit the pass at the cursor (ban, zero, force, cut and more) and run again",
        )
        .hint("edit")
        .words("ablate patch intervention ban zero scale force cut"),
        view(Experiments, &[ch('M')], A::ListEdits, "list the edits: switch off and on, delete, order, save, load")
            .words("interventions"),
        view(Experiments, &[ch('B')], A::FlipEdits, "show the run without its edits, or with them again")
            .words("a b compare interventions"),
        view(Experiments, &[ch('O')], A::NextMapOver, "Effects: over experts, heads or blocks; patch other values")
            .hint_in("over", &[Tab::Effects]),
        view(Experiments, &[ch('W')], A::NextHow, "Effects: zero each part, ban it, or set it to its mean")
            .hint_in("how", &[Tab::Effects])
            .words("ablation"),
        view(
            Experiments,
            &[ch('=')],
            A::PinTarget,
            "experiments: keep this target while the cursor moves, or let it follow",
        )
        .hint_in("pin", &[Tab::Effects]),
        view(
            Experiments,
            &[ch('F')],
            A::Foil,
            "experiments: the token that the target is compared with (in Next, the marked one)",
        )
        .hint_in("foil", &[Tab::Effects, Tab::Next])
        .words("difference contrast"),
        view(Experiments, &[ch('C')], A::SecondPrompt, "compare with a second prompt, token by token")
            .hint_in("2nd prompt", &[Tab::Effects, Tab::Fidelity])
            .words("corrupted clean pair"),
        view(Runs, &[ch('z')], A::Undo, "undo the last action: prompt, step, forced token, policy, edits")
            .words("back"),
        view(Runs, &[ch('Z')], A::Redo, "redo what was undone"),
        view(Runs, &[ch('Y')], A::Branches, "branches: the tree of runs, a history to go back to, name and compare")
            .words("history tree"),
        view(Runs, &[ch('p')], A::CyclePolicy, "run the same tokens under the next precision policy")
            .hint_in("policy", &[Tab::Fidelity])
            .words("precision bf16 f32 compare"),
        view(Runs, &[ch('P')], A::Policies, "list the precision policies, to run the same tokens under one")
            .hint_in("policies", &[Tab::Fidelity])
            .words("precision bf16 f32 ggml compare"),
        view(Runs, &[ch('o')], A::OpenModel, "open another model; the prompt stays").words("load switch model file"),
        view(Clipboard, &[ch('e')], A::SaveView, "export this view to files: picture and table")
            .hint("export")
            .words("save write png svg pdf csv figure"),
        view(Clipboard, &[ch('E')], A::SaveRun, "export the whole run to a folder: tables, pictures, trace")
            .words("save write all csv json trace"),
        view(Clipboard, &[ch('S')], A::SaveScreen, "screenshot: write the screen as a picture, PNG and SVG")
            .words("save export write image"),
        view(
            Clipboard,
            &[Chord::pair('y', 'c')],
            A::Copy(Extent::Cell),
            "copy the value under the cursor, or the selected text",
        )
        .words("yank clipboard"),
        view(Clipboard, &[Chord::pair('y', 'r')], A::Copy(Extent::Row), "copy the row under the cursor as CSV")
            .words("yank clipboard"),
        view(Clipboard, &[Chord::pair('y', 'v')], A::Copy(Extent::View), "copy the view as CSV")
            .words("yank clipboard"),
        view(Screen, &[Chord::pair('w', 's')], A::Split, "two views side by side, or one again")
            .words("split window pane two"),
        view(
            Screen,
            &[Chord::pair('w', 'd')],
            A::Dashboard,
            "dashboard: map, head and lens together, or one view again",
        )
        .words("overview arrangement panes"),
        view(
            Screen,
            &[Chord::pair('w', 'a')],
            A::NextArrangement,
            "next arrangement: one view, two, two stacked, three, dashboard",
        )
        .words("layout panes windows split"),
        view(Screen, &[Chord::pair('w', 'w')], A::OtherPane, "the next view of several").words("focus window pane"),
        view(Screen, &[Chord::pair('w', 'z')], A::Zoom, "zoom: all the room for this view, or back")
            .words("full screen maximise"),
        view(Screen, &[Chord::pair('w', 't')], A::NextTheme, "next theme: dark, light, colour-vision-safe, mono")
            .words("colours background"),
        view(Program, &[ch('?')], A::Help, "help: the keys, by task").hint("help").words("keys manual"),
        view(Program, &[ch(':'), ctrl('p')], A::Palette, "command palette: find an action by its name").hint("palette"),
        view(Program, &[ch('!')], A::Causes, "the whole last message, with its causes").words("error warning log"),
        view(Program, &[ch('q')], A::Quit, "quit").hint("quit").words("exit leave close"),
    ]
};
