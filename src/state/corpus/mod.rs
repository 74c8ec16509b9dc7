//! What the user sees of a sweep: a view, and a cursor of group, layer and expert that all views share.

use super::input::{Code, Key};
use crate::analysis::sweep::{Phase, PickedBy, Sweep, SweepMeasure, SweepSpec, SweepView, TokenKind};
use std::sync::Arc;

/// A key of the sweep's explorer, and what it does.
pub const KEYS: [(&str, &str); 14] = [
    ("1 … 7", "usage, groups, pairs, transitions, compare, vocabulary, contexts"),
    ("tab shift-tab", "next and previous view"),
    ("← → h l", "expert"),
    ("↑ ↓ k j", "layer; in groups, the group; in lists, the row"),
    ("[ ]", "group; the first is all groups"),
    ("{ }", "the group that Compare subtracts"),
    ("+ -", "layer, in every view"),
    ("m M", "measure"),
    ("t", "which tokens the vocabulary counts: input, next, predicted"),
    ("c", "contexts at random, or the strongest"),
    ("p", "prefill or decode"),
    ("e", "write this view as picture and table"),
    ("?", "these keys"),
    ("q", "leave"),
];

/// What has to be done outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorpusEffect {
    /// Write the view as files.
    Export,
    /// Draw everything again.
    Redraw,
    /// Stop the program until the shell continues it.
    Suspend,
    /// Leave.
    Quit,
}

/// The explorer of a sweep.
pub struct Corpus {
    /// The sweep.
    pub sweep: Arc<Sweep>,
    /// Another one, which Compare subtracts.
    pub other: Option<Arc<Sweep>>,
    /// Its name on the screen.
    pub name: String,
    /// What is shown. `against` is a group of `other`, if there is one.
    pub spec: SweepSpec,
    /// The row at the cursor of a list.
    pub row: usize,
    /// Whether the keys are shown.
    pub help: bool,
    /// What was done last.
    pub message: Option<String>,
    /// Tokens that occur less often are left out of the vocabulary.
    pub least: u64,
    groups: Vec<String>,
    others: Vec<String>,
}

impl Corpus {
    /// The explorer of a sweep, which begins with the usage of all groups.
    pub fn new(sweep: Arc<Sweep>, name: String, other: Option<Arc<Sweep>>, least: u64) -> Self {
        let names = |sweep: &Sweep| sweep.groups.keys().cloned().collect::<Vec<_>>();
        let others = names(other.as_ref().unwrap_or(&sweep));
        let phase = sweep.wide.keys().next().copied().unwrap_or(Phase::Prefill);
        let spec = SweepSpec { phase, ..SweepSpec::default() };
        let (row, help, message, groups) = (0, false, None, names(&sweep));
        Self { sweep, other, name, spec, row, help, message, least, groups, others }
    }

    /// The names of the groups.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Handles a key.
    pub fn press(&mut self, key: Key) -> Option<CorpusEffect> {
        self.message = None;
        if self.help {
            self.help = false;
            return None;
        }
        if key.ctrl {
            return match key.code {
                Code::Char('c') => Some(CorpusEffect::Quit),
                Code::Char('l') => Some(CorpusEffect::Redraw),
                Code::Char('z') => Some(CorpusEffect::Suspend),
                _ => None,
            };
        }
        match key.code {
            Code::Char('q') => return Some(CorpusEffect::Quit),
            Code::Char('e') => return Some(CorpusEffect::Export),
            Code::Char('?') => self.help = true,
            Code::Char(digit @ '1'..='7') => self.show(SweepView::ALL[digit as usize - '1' as usize]),
            Code::Tab => self.turn_view(1),
            Code::BackTab => self.turn_view(SweepView::ALL.len() - 1),
            Code::Left | Code::Char('h') => self.move_expert(false),
            Code::Right | Code::Char('l') => self.move_expert(true),
            Code::Up | Code::Char('k') => self.move_row(false, 1),
            Code::Down | Code::Char('j') => self.move_row(true, 1),
            Code::PageUp => self.move_row(false, 10),
            Code::PageDown => self.move_row(true, 10),
            Code::Char('+') => self.move_layer(true),
            Code::Char('-') => self.move_layer(false),
            Code::Char('[') => self.spec.group = turned(&self.groups, self.spec.group.as_deref(), false),
            Code::Char(']') => self.spec.group = turned(&self.groups, self.spec.group.as_deref(), true),
            Code::Char('{') => self.spec.against = turned(&self.others, self.spec.against.as_deref(), false),
            Code::Char('}') => self.spec.against = turned(&self.others, self.spec.against.as_deref(), true),
            Code::Char('m') => self.spec.measure = next(&SweepMeasure::ALL, self.spec.measure, 1),
            Code::Char('M') => {
                self.spec.measure = next(&SweepMeasure::ALL, self.spec.measure, SweepMeasure::ALL.len() - 1);
            }
            Code::Char('t') => {
                let kinds = self.sweep.about.options.vocabulary.clone();
                self.spec.kind = if kinds.is_empty() { TokenKind::Input } else { next(&kinds, self.spec.kind, 1) };
                self.row = 0;
            }
            Code::Char('c') => self.spec.picked = next(&PickedBy::ALL, self.spec.picked, 1),
            Code::Char('p') => self.turn_phase(),
            _ => {}
        }
        None
    }

    fn show(&mut self, view: SweepView) {
        self.spec.view = view;
        self.row = 0;
    }

    fn turn_view(&mut self, by: usize) {
        self.show(next(&SweepView::ALL, self.spec.view, by));
    }

    fn turn_phase(&mut self) {
        let phases: Vec<Phase> = self.sweep.wide.keys().copied().collect();
        if phases.len() > 1 {
            self.spec.phase = next(&phases, self.spec.phase, 1);
        } else {
            self.message = Some("this sweep has one phase; --decode N adds generated tokens".to_owned());
        }
    }

    fn move_expert(&mut self, forward: bool) {
        let experts = self.sweep.about.model.shape.experts;
        self.spec.expert = moved(self.spec.expert, forward, 1, experts);
        self.row = 0;
    }

    fn move_layer(&mut self, forward: bool) {
        self.spec.layer = moved(self.spec.layer, forward, 1, self.sweep.about.model.shape.layers);
        self.row = 0;
    }

    /// Moves what the rows of the view are.
    fn move_row(&mut self, down: bool, by: usize) {
        let shape = self.sweep.about.model.shape;
        match self.spec.view {
            // The last layer is on top.
            SweepView::Usage | SweepView::Compare => self.spec.layer = moved(self.spec.layer, !down, by, shape.layers),
            SweepView::Groups => {
                let at = self.group_index().map_or(0, |at| moved(at, down, by, self.groups.len()));
                self.spec.group = self.groups.get(at).cloned();
            }
            SweepView::Pairs | SweepView::Transitions => {
                self.spec.expert = moved(self.spec.expert, down, by, shape.experts);
            }
            SweepView::Vocabulary => {
                let rows = self.sweep.vocabulary_of(&self.spec, self.least).len();
                self.row = moved(self.row, down, by, rows);
            }
            SweepView::Contexts => self.row = moved(self.row, down, by, self.sweep.contexts_of(&self.spec).len()),
        }
    }

    /// The place of the group among the groups; `None` for all of them.
    pub fn group_index(&self) -> Option<usize> {
        let group = self.spec.group.as_ref()?;
        self.groups.iter().position(|name| name == group)
    }
}

fn moved(at: usize, forward: bool, by: usize, len: usize) -> usize {
    if forward { (at + by).min(len.saturating_sub(1)) } else { at.saturating_sub(by) }
}

fn next<T: Copy + PartialEq>(all: &[T], at: T, by: usize) -> T {
    let place = all.iter().position(|other| *other == at).unwrap_or(0);
    all[(place + by) % all.len()]
}

/// The next or previous group; all groups come before the first.
fn turned(groups: &[String], at: Option<&str>, forward: bool) -> Option<String> {
    let place = at.and_then(|at| groups.iter().position(|name| name == at)).map_or(0, |place| place + 1);
    let place = (place + if forward { 1 } else { groups.len() }) % (groups.len() + 1);
    place.checked_sub(1).map(|place| groups[place].clone())
}
