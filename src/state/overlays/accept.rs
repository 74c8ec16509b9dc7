//! Enter in an overlay.

use super::text_input::InputKind;
use super::{ListAction, Origin, Overlay};
use crate::protocol::Ask;
use crate::state::{Effect, State};

impl State {
    /// Accepts what was typed, set or marked in the overlay on top.
    pub(in crate::state) fn accept(&mut self) -> Vec<Effect> {
        match self.overlays.last_mut() {
            Some(Overlay::Input(_)) => return self.accept_text(),
            Some(Overlay::Form(form)) => match form.read() {
                Ok(sampling) => {
                    self.sampling = sampling;
                    self.overlays.pop();
                }
                Err(error) => form.error = Some(error),
            },
            Some(Overlay::Picker(picker)) => match picker.chosen() {
                Some(folder) if folder.origin == Origin::Folder => {
                    picker.enter(&folder.name);
                    return self.find_models();
                }
                Some(choice) if choice.name.ends_with('/') && picker.leads_on() => {
                    picker.error = Some("a folder: ↓ chooses what is in it, tab completes".to_owned());
                }
                Some(choice) => {
                    self.overlays.pop();
                    return self.open_model(choice.name);
                }
                None => picker.error = Some("type a path or a name on the Hub: owner/name".to_owned()),
            },
            Some(Overlay::Palette(_)) => return self.run_command(),
            Some(Overlay::Policies(_)) => return self.choose_policy(),
            Some(Overlay::EditMenu(_)) => return self.choose_edit(),
            Some(Overlay::Edits(_)) => return self.change_edits(ListAction::Toggle),
            Some(Overlay::Branches(_)) => return self.choose_branch(),
            Some(Overlay::ClosestCalls(_)) => self.jump_to_call(),
            Some(Overlay::Page(page)) => page.is_typing = false,
            None => {}
        }
        Vec::new()
    }

    fn accept_text(&mut self) -> Vec<Effect> {
        let Some(Overlay::Input(input)) = self.overlays.last_mut() else { return Vec::new() };
        let (kind, text) = (input.kind, input.editor.text().to_owned());
        let count = text.trim().parse::<usize>().ok().filter(|count| *count > 0);
        match kind {
            InputKind::Force | InputKind::Target | InputKind::Edit if text.is_empty() => return Vec::new(),
            InputKind::SaveEdits | InputKind::LoadEdits if text.trim().is_empty() => return Vec::new(),
            InputKind::Count if count.is_none() => {
                input.error = Some("a whole number of tokens, at least 1".to_owned());
                return Vec::new();
            }
            _ => {}
        }
        self.overlays.pop();
        match kind {
            InputKind::Prompt => self.submit(text),
            InputKind::Force => self.start_job(Ask::ForceText(text)),
            InputKind::Target => self.type_target(text),
            InputKind::Edit => self.type_edit(&text),
            InputKind::Second => self.compare_with_text(text),
            InputKind::Foil => self.type_foil(&text),
            InputKind::BranchName(id) => {
                self.accept_branch_name(id, &text);
                Vec::new()
            }
            InputKind::SaveEdits => {
                let lines = self.edits.list.iter().map(|listed| listed.to_line() + "\n");
                vec![Effect::SaveEdits { path: text, text: lines.collect() }]
            }
            InputKind::LoadEdits => vec![Effect::LoadEdits(text)],
            InputKind::Count => self.generate(count),
            InputKind::Search => {
                self.start_search(text);
                Vec::new()
            }
        }
    }
}
