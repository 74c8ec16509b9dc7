//! The menu of edits at the cursor, and the list of the edits in force.

use super::{InputKind, Overlay};
use crate::analysis::routing::exchange;
use crate::analysis::view::{Tab, View};
use crate::analysis::{MapOf, MapOver, PatchOver};
use crate::state::input::TextEdit;
use crate::state::run::EditList;
use crate::state::{Cursor, Effect, State};
use crate::trace::{Change, Edit, Part, Picks, Scope, Span};

/// The positions that a new edit applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All.
    #[default]
    Everywhere,
    /// That of the cursor.
    Here,
    /// Those from the cursor on.
    FromHere,
}

impl Reach {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::Everywhere => Self::Here,
            Self::Here => Self::FromHere,
            Self::FromHere => Self::Everywhere,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "at every token",
            Self::Here => "at this token",
            Self::FromHere => "from this token on",
        }
    }
}

/// The menu of edits at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct EditMenu {
    /// The marked row.
    pub at: usize,
    /// The positions of the new edit.
    pub reach: Reach,
}

/// The list of edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditsInForce {
    /// The marked row.
    pub at: usize,
}

/// What can be done to an edit of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListAction {
    /// Switch it off or on.
    Toggle,
    /// Delete it.
    Delete,
    /// Move it up.
    MoveUp,
    /// Move it down.
    MoveDown,
}

/// The edits that the menu offers: of the expert or head at the cursor, and of its layer; with what each does.
pub fn offers(state: &State, reach: Reach) -> Vec<(Edit, &'static str)> {
    let cursor = &state.cursor;
    let expert = || Picks::one(cursor.expert);
    let head = || Picks::one(cursor.head);
    let experts = [
        (Change::Ban(expert()), "can't be chosen: the next best moves up"),
        (Change::Zero(Part::Experts(expert())), "chosen as before, its output counts nothing"),
        (Change::Scale(Part::Experts(expert()), 0.5), "half of its weighted output"),
        (Change::Force(expert()), "is chosen, then the best others"),
        (Change::Bias(expert(), 1.0), "added to its router logit"),
        (Change::Mean(Part::Experts(expert())), "its output is its mean over the prompt"),
        (Change::TopK(1), "one expert a token in this layer"),
    ];
    let heads = [
        (Change::Zero(Part::Heads(head())), "its output is zero"),
        (Change::Mean(Part::Heads(head())), "its output is its mean over the prompt"),
        (Change::Scale(Part::Heads(head()), 0.5), "half of its output"),
        (Change::Cut { heads: head(), query: Span::All, key: Span::These(0, 0) }, "can't see the first token"),
        (
            Change::Cut { heads: head(), query: Span::All, key: Span::These(cursor.token, cursor.token) },
            "can't see the token at the cursor",
        ),
    ];
    let blocks = [
        (Change::Zero(Part::Attn), "the attention block adds nothing"),
        (Change::Zero(Part::Mlp), "the experts of the layer add nothing"),
        (Change::Mean(Part::Attn), "the attention block adds its mean over the prompt"),
        (Change::Mean(Part::Mlp), "the MLP block adds its mean over the prompt"),
    ];
    let offered: Vec<(Change, &'static str)> = match state.pane().view().tab() {
        Tab::Attention => heads.into_iter().chain(blocks).collect(),
        Tab::Routing => experts.into_iter().chain(blocks).collect(),
        Tab::Effects => offered_in_effects(state, experts.to_vec(), heads.to_vec(), blocks.to_vec()),
        _ => blocks.into_iter().chain(experts).chain(heads).collect(),
    };
    let scope = match reach {
        Reach::Everywhere => Scope::Everywhere,
        Reach::Here => Scope::Positions(cursor.token, cursor.token),
        Reach::FromHere => Scope::From(cursor.token),
    };
    let layer = Picks::one(cursor.layer);
    offered.into_iter().map(|(change, about)| (Edit::new(layer.clone(), change).at(scope.clone()), about)).collect()
}

type Offers = Vec<(Change, &'static str)>;

/// In Effects, what belongs to the place at the cursor comes first.
fn offered_in_effects(state: &State, experts: Offers, heads: Offers, blocks: Offers) -> Offers {
    let effects = &state.pane().effects;
    match effects.of(state.view()) {
        Some(MapOf::Parts(MapOver::Heads, _) | MapOf::Patching(PatchOver::Heads)) => [heads, blocks].concat(),
        Some(MapOf::Parts(MapOver::Blocks, _)) => [blocks, heads, experts].concat(),
        Some(MapOf::Routing) => {
            let edits = state.edits_of_run();
            let next = state.token().and_then(|token| exchange(token, state.cursor.layer, &edits));
            let offer = next.map(|next| (Change::Force(Picks::one(next.winner)), "the next expert wins"));
            [offer.into_iter().collect(), experts, blocks].concat()
        }
        _ => [experts, heads, blocks].concat(),
    }
}

fn moved(at: usize, edit: TextEdit, rows: usize) -> usize {
    let by = match edit {
        TextEdit::Up => -1,
        TextEdit::Down => 1,
        TextEdit::LineStart | TextEdit::PageUp => isize::MIN,
        TextEdit::LineEnd | TextEdit::PageDown => isize::MAX,
        _ => 0,
    };
    at.saturating_add_signed(by).min(rows.saturating_sub(1))
}

impl State {
    /// Opens the menu of edits at the cursor.
    pub(in crate::state) fn open_edit_menu(&mut self) {
        let is_one_token = self.view() == View::EffectsRouting;
        let reach = if is_one_token { Reach::Here } else { Reach::default() };
        self.overlays.push(Overlay::EditMenu(EditMenu { at: 0, reach }));
    }

    /// Opens an input about edits, in place of their menu or list.
    pub(in crate::state) fn open_edit_input(&mut self, kind: InputKind, text: &str) {
        self.overlays.retain(|overlay| !matches!(overlay, Overlay::EditMenu(_) | Overlay::Edits(_)));
        if kind == InputKind::SaveEdits && self.edits.list.is_empty() {
            return self.say("there is no edit to write");
        }
        self.open_input(kind, text);
    }

    /// Opens the list of edits.
    pub(in crate::state) fn open_edits(&mut self) {
        self.overlays.push(Overlay::Edits(EditsInForce { at: 0 }));
    }

    /// Moves in the menu or the list.
    pub(in crate::state) fn move_in_edits(&mut self, edit: TextEdit) {
        // The last rows of the menu are for typing.
        let offered = offers(self, Reach::default()).len() + 2;
        let listed = self.edits.list.len();
        match self.overlays.last_mut() {
            Some(Overlay::EditMenu(menu)) => menu.at = moved(menu.at, edit, offered),
            Some(Overlay::Edits(list)) => list.at = moved(list.at, edit, listed),
            _ => {}
        }
    }

    /// Lets the new edit apply to other positions.
    pub(in crate::state) fn next_reach(&mut self) {
        if let Some(Overlay::EditMenu(menu)) = self.overlays.last_mut() {
            menu.reach = menu.reach.next();
        }
    }

    /// Makes the marked edit of the menu.
    pub(in crate::state) fn choose_edit(&mut self) -> Vec<Effect> {
        let Some(Overlay::EditMenu(menu)) = self.overlays.pop() else { return Vec::new() };
        let offered = offers(self, menu.reach);
        let (is_patch, chosen) = (menu.at == offered.len(), offered.into_iter().nth(menu.at));
        if chosen.is_some() && self.is_busy() {
            self.say("pause first: an edit reads the run again");
            return Vec::new();
        }
        match chosen {
            Some((edit, _)) => self.add_edits(vec![edit]),
            None if is_patch => {
                let Cursor { layer, token, .. } = self.cursor;
                let start = format!("patch L{layer}.resid_pre@{token} trace.safetensors");
                self.open_input(InputKind::Edit, &start);
                if let Some(Overlay::Input(input)) = self.overlays.last_mut() {
                    input.suggested = false;
                }
                Vec::new()
            }
            None => {
                let start = format!("ban L{}.E{}", self.cursor.layer, self.cursor.expert);
                self.open_input(InputKind::Edit, &start);
                Vec::new()
            }
        }
    }

    /// Changes the marked edit of the list.
    pub(in crate::state) fn change_edits(&mut self, action: ListAction) -> Vec<Effect> {
        if self.is_busy() {
            self.say("pause first: a change of the edits reads the run again");
            return Vec::new();
        }
        if self.meta().is_some_and(|meta| meta.recording.is_some()) {
            self.say("these are the edits of a saved run: o opens its model, which can run without them");
            return Vec::new();
        }
        self.edits_before = self.edits.clone();
        let Some(Overlay::Edits(marked)) = self.overlays.last_mut() else { return Vec::new() };
        let EditList { list, is_off } = &mut self.edits;
        if marked.at >= list.len() {
            return Vec::new();
        }
        match action {
            ListAction::Toggle => {
                list[marked.at].on = !list[marked.at].on || *is_off;
                *is_off = false;
            }
            ListAction::Delete => {
                list.remove(marked.at);
                marked.at = marked.at.min(list.len().saturating_sub(1));
                *is_off &= !list.is_empty();
            }
            ListAction::MoveUp if marked.at > 0 => {
                list.swap(marked.at, marked.at - 1);
                marked.at -= 1;
            }
            ListAction::MoveDown if marked.at + 1 < list.len() => {
                list.swap(marked.at, marked.at + 1);
                marked.at += 1;
            }
            ListAction::MoveUp | ListAction::MoveDown => return Vec::new(),
        }
        self.run_edited()
    }

    /// Makes an edit that was typed. If it can't be made, the input stays open and says why.
    pub(in crate::state) fn type_edit(&mut self, text: &str) -> Vec<Effect> {
        let dims = self.meta().map(|meta| meta.dims);
        let read = text.parse::<Edit>().and_then(|edit| {
            dims.map_or(Ok(()), |dims| edit.check(dims))?;
            Ok(edit)
        });
        match read {
            Ok(edit) => self.add_edits(vec![edit]),
            Err(error) => {
                self.open_input(InputKind::Edit, text);
                if let Some(Overlay::Input(input)) = self.overlays.last_mut() {
                    input.error = Some(format!("{error:#}"));
                }
                Vec::new()
            }
        }
    }
}
