//! Edits of the pass: those in force, and what they did.

use crate::protocol::{Ask, EditsFound, Failure};
use crate::state::{Effect, State};
use crate::trace::{Edit, EditNote, Site};

/// An edit of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedEdit {
    /// The edit.
    pub edit: Edit,
    /// Whether it is in force.
    pub on: bool,
}

impl ListedEdit {
    /// A line of a file: `# ` before an edit that is switched off.
    pub fn to_line(&self) -> String {
        format!("{}{}", if self.on { "" } else { "# " }, self.edit)
    }

    /// The edit of such a line.
    ///
    /// # Errors
    /// If it is no edit.
    pub fn of_line(line: &str) -> anyhow::Result<Self> {
        let off = line.strip_prefix("# ");
        Ok(Self { edit: off.unwrap_or(line).parse()?, on: off.is_none() })
    }
}

/// The edits that the user made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EditList {
    /// In their order.
    pub list: Vec<ListedEdit>,
    /// Whether the run without edits is shown.
    pub is_off: bool,
}

impl EditList {
    /// The edits in force.
    pub fn active(&self) -> Vec<Edit> {
        let on = self.list.iter().filter(|listed| listed.on && !self.is_off);
        on.map(|listed| listed.edit.clone()).collect()
    }
}

impl State {
    /// Adds an edit and runs the tokens under it.
    pub(in crate::state) fn add_edits(&mut self, edits: Vec<Edit>) -> Vec<Effect> {
        self.edits_before = self.edits.clone();
        // What is off stays off: a new edit brings back no other.
        if std::mem::take(&mut self.edits.is_off) {
            self.edits.list.iter_mut().for_each(|listed| listed.on = false);
        }
        self.edits.list.extend(edits.into_iter().map(|edit| ListedEdit { edit, on: true }));
        self.run_edited()
    }

    /// Puts edits that were read from a file in place of the list.
    pub(in crate::state) fn load_edits(&mut self, edits: Vec<Edit>) -> Vec<Effect> {
        let Some(dims) = self.meta().map(|meta| meta.dims) else { return Vec::new() };
        if let Some(wrong) = edits.iter().find_map(|edit| edit.check(dims).err()) {
            self.fail(Failure::of(&wrong));
            return Vec::new();
        }
        self.edits_before = self.edits.clone();
        let list = edits.into_iter().map(|edit| ListedEdit { edit, on: true }).collect();
        self.edits = EditList { list, is_off: false };
        self.run_edited()
    }

    /// Shows the run without its edits, or with them again.
    pub(in crate::state) fn flip_edits(&mut self) -> Vec<Effect> {
        if self.edits.list.iter().all(|listed| !listed.on) {
            self.say("there is no edit yet: I makes one");
            return Vec::new();
        }
        if self.is_busy() {
            self.say("pause first: the run is being computed");
            return Vec::new();
        }
        self.edits_before = self.edits.clone();
        self.edits.is_off = !self.edits.is_off;
        self.run_edited()
    }

    /// Runs the tokens under the edits in force.
    pub(in crate::state) fn run_edited(&mut self) -> Vec<Effect> {
        if self.meta().is_none_or(|meta| meta.recording.is_some()) {
            return Vec::new();
        }
        let edits = self.edits.active();
        if self.meta().is_some_and(|meta| *meta.edits == edits[..]) && !self.is_busy() {
            return Vec::new();
        }
        // Before the first token has arrived, the effect is measured at the end of the prompt.
        let at = if self.tokens.is_empty() { usize::MAX } else { self.cursor.token };
        self.start_job(Ask::Edits { edits, at })
    }

    /// Takes back a change of the list that the engine did not carry out.
    pub(in crate::state) fn restore_edits(&mut self) {
        self.edits = std::mem::take(&mut self.edits_before);
    }

    /// Follows the edits of the engine's run, which undo, redo and sessions change, too.
    pub(in crate::state) fn follow_edits(&mut self, now: &[Edit]) {
        if self.edits.active() == now {
            return;
        }
        if now.is_empty() && self.edits.list.iter().any(|listed| listed.on) {
            self.edits.is_off = true;
            return;
        }
        self.edits.is_off = false;
        for listed in &mut self.edits.list {
            listed.on = now.contains(&listed.edit);
        }
        if self.edits.active() != now {
            // Those that are switched off stay, after the others.
            let off = std::mem::take(&mut self.edits.list).into_iter().filter(|listed| !listed.on);
            let on = now.iter().map(|edit| ListedEdit { edit: edit.clone(), on: true });
            self.edits.list = on.chain(off).collect();
        }
    }

    /// The edits of the run on screen.
    pub(in crate::state) fn edits_of_run(&self) -> Vec<Edit> {
        self.meta().map_or_else(Vec::new, |meta| meta.edits.to_vec())
    }

    /// Says in one line what the edits did.
    pub(in crate::state) fn on_edited(&mut self, found: &EditsFound) {
        let sites: usize = found.notes.iter().map(|note| note.sites).sum();
        let what = match found.notes.as_slice() {
            [one] => one.edit.clone(),
            all => format!("{} edits", all.len()),
        };
        if sites == 0 {
            return self.say(format!("{what}: 0 sites, so nothing changed: every bit is as before"));
        }
        let loss = found.loss_change.map(|change| format!(", loss {change:+.4}")).unwrap_or_default();
        let (at, kl) = found.kl;
        let first = match &found.first {
            Some((pos, [a, b])) => {
                format!(", the answer first differs after {pos}: `{}` became `{}`", a.text(), b.text())
            }
            None => ", every answer is the same".to_owned(),
        };
        let s = if sites == 1 { "" } else { "s" };
        self.say(format!(
            "{what}: {sites} site{s}{loss}, KL after {at} {kl:.4}, {} elsewhere{first}",
            if found.flips == 1 { "1 flip".to_owned() } else { format!("{} flips", found.flips) }
        ));
    }

    /// The edits that changed a layer at a position.
    pub fn sites_at(&self, position: usize, layer: usize) -> impl Iterator<Item = &Site> {
        let sites = self.tokens.get(position).map(|token| token.sites.as_slice()).unwrap_or_default();
        sites.iter().filter(move |site| usize::from(site.layer) == layer)
    }

    /// The edits of the run on screen, with the number of their sites.
    pub fn edit_notes(&self) -> Vec<EditNote> {
        self.meta().map_or_else(Vec::new, |meta| {
            crate::trace::Records { meta: meta.clone(), tokens: self.tokens.clone() }.edit_notes()
        })
    }
}
