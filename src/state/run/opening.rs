//! Opening models.

use crate::protocol::{Ask, Download, Failure, RequestId};
use crate::state::{Effect, Phase, State};

/// A model being opened, while the current one stays in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// The request.
    pub id: RequestId,
    /// The name of the model; untrusted text.
    pub name: String,
    /// The progress of its download, if it needs one.
    pub download: Option<Download>,
}

impl State {
    /// Requests a model; the current one stays until the new one is open.
    pub fn open_model(&mut self, name: String) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.cancel_opening().into_iter().collect();
        let id = self.new_id();
        if self.meta().is_none() {
            self.phase = Phase::Loading;
        }
        self.message = None;
        self.resume.waiting = None;
        self.opening = Some(Opening { id, name: name.clone(), download: None });
        effects.push(Effect::Ask(id, Ask::Open(name)));
        effects
    }

    pub(in crate::state) fn cancel_opening(&mut self) -> Option<Effect> {
        let opening = self.opening.take()?;
        if self.meta().is_none() {
            let summary = format!("opening {} was cancelled", opening.name);
            let kept = "what was downloaded is kept, and opening it again continues from there".to_owned();
            self.phase = Phase::Failed(Failure { summary, causes: vec![kept] });
        }
        Some(Effect::CancelOpening(opening.id))
    }
}
