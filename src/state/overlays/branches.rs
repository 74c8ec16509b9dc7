//! The list of branches: the tree of runs.

use super::{InputKind, Overlay};
use crate::state::input::TextEdit;
use crate::state::{Effect, State};

/// The list of branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchList {
    /// The id of the marked node.
    pub marked: u32,
    /// The node with a name that the user was asked about before deleting it.
    pub(in crate::state) asked: Option<u32>,
}

impl State {
    /// Opens the list at the current run.
    pub(in crate::state) fn open_branches(&mut self) {
        let place = self.tree().current();
        let node = place.and_then(|place| self.tree().nodes().get(place.node));
        let marked = node.or(self.tree().nodes().first()).map_or(0, |node| node.id);
        self.overlays.push(Overlay::Branches(BranchList { marked, asked: None }));
    }

    /// The row of the marked branch.
    pub fn marked_branch(&self, list: &BranchList) -> usize {
        self.branch_rows().iter().position(|row| row.id == list.marked).unwrap_or(0)
    }

    /// Marks the branch of a row; returns whether it was marked before.
    pub(in crate::state) fn mark_branch(&mut self, row: usize) -> bool {
        let Some(id) = self.branch_rows().get(row).map(|row| row.id) else { return false };
        match self.overlays.last_mut() {
            Some(Overlay::Branches(list)) => {
                list.asked = None;
                std::mem::replace(&mut list.marked, id) == id
            }
            _ => false,
        }
    }

    /// Moves the mark.
    pub(in crate::state) fn move_in_branches(&mut self, edit: TextEdit) {
        let Some(Overlay::Branches(list)) = self.overlays.last() else { return };
        let by = match edit {
            TextEdit::Up => -1,
            TextEdit::Down => 1,
            TextEdit::PageUp => -10,
            TextEdit::PageDown => 10,
            TextEdit::LineStart => isize::MIN,
            TextEdit::LineEnd => isize::MAX,
            _ => 0,
        };
        let last = self.branch_rows().len().saturating_sub(1);
        let row = self.marked_branch(list).saturating_add_signed(by).min(last);
        self.mark_branch(row);
    }

    /// The marked branch, if the list is on top.
    fn branch_on_top(&self) -> Option<BranchList> {
        match self.overlays.last() {
            Some(Overlay::Branches(list)) => Some(*list),
            _ => None,
        }
    }

    /// Closes the list and goes to the marked branch.
    pub(in crate::state) fn choose_branch(&mut self) -> Vec<Effect> {
        let Some(list) = self.branch_on_top() else { return Vec::new() };
        self.overlays.pop();
        self.go_to_branch(list.marked)
    }

    /// Closes the list and compares the marked branch with the run.
    pub(in crate::state) fn compare_marked_branch(&mut self) {
        if let Some(list) = self.branch_on_top() {
            self.overlays.pop();
            self.compare_with_branch(list.marked);
        }
    }

    /// Asks for a name of the marked branch.
    pub(in crate::state) fn open_branch_name(&mut self) {
        let Some(list) = self.branch_on_top() else { return };
        let Some(name) = self.tree().find(list.marked).map(|(_, node)| node.name.clone().unwrap_or_default()) else {
            return;
        };
        self.overlays.pop();
        self.open_input(InputKind::BranchName(list.marked), &name);
    }

    /// Names a branch and shows the list again.
    pub(in crate::state) fn accept_branch_name(&mut self, id: u32, name: &str) {
        self.name_branch(id, name);
        self.overlays.push(Overlay::Branches(BranchList { marked: id, asked: None }));
    }

    /// Deletes the marked branch; if it has a name, only the second time.
    pub(in crate::state) fn delete_marked_branch(&mut self) {
        let Some(mut list) = self.branch_on_top() else { return };
        if self.tree().find(list.marked).is_none() {
            return;
        }
        let row = self.marked_branch(&list);
        let must_ask = self.delete_branch(list.marked, list.asked == Some(list.marked));
        list.asked = must_ask.then_some(list.marked);
        let rows = self.branch_rows();
        if !rows.iter().any(|row| row.id == list.marked)
            && let Some(next) = rows.get(row.min(rows.len().saturating_sub(1)))
        {
            list.marked = next.id;
        }
        if let Some(Overlay::Branches(top)) = self.overlays.last_mut() {
            *top = list;
        }
    }
}
