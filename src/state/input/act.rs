//! What actions do.

use super::action::{Action, Vertical};
use crate::analysis::view::FileOrder;
use crate::protocol::Ask;
use crate::state::overlays::{Form, InputKind, ListAction, Overlay, Picker, Topic};
use crate::state::{Effect, Save, State};
use crate::trace::Direction;

/// Default number of tokens in the input for a number.
const DEFAULT_COUNT: &str = "16";

impl State {
    /// Carries out an action, or shows why it means nothing now.
    pub(in crate::state) fn act(&mut self, action: Action) -> Vec<Effect> {
        if let Some(sentence) = self.refusal(action) {
            self.say(sentence);
            return Vec::new();
        }
        self.move_on(action);
        let before = self.stop();
        let effects = self.carry_out(action);
        self.clamp();
        self.remember_jump(action, before);
        self.extend_selection();
        self.renew_selected();
        effects
    }

    fn carry_out(&mut self, action: Action) -> Vec<Effect> {
        use Direction::{Back, Forward};
        match action {
            Action::Quit => return self.quit(),
            Action::Suspend => return vec![Effect::Suspend],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Escape => return self.escape(),
            Action::Help => self.open_page(Topic::Help),
            Action::Causes => self.open_page(Topic::Message),
            Action::Show(tab) => self.show_tab(tab),
            Action::NextView => self.turn_tab(Forward),
            Action::PreviousView => self.turn_tab(Back),
            Action::CycleLens => self.turn_layout(Forward),
            Action::PreviousLayout => self.turn_layout(Back),
            Action::ShowLayout(layout) => self.show_layout(layout),
            Action::NextMeasure => self.turn_measure(Forward),
            Action::PreviousMeasure => self.turn_measure(Back),
            Action::ShowMeasure(measure) => self.show_measure(measure),
            Action::CloseCalls => self.open_closest_calls(),
            Action::PreviousNearTie => self.jump(Back),
            Action::NextNearTie => self.jump(Forward),
            Action::Token(to) => self.move_token(to),
            Action::Up => self.move_vertically(Vertical::Up),
            Action::Down => self.move_vertically(Vertical::Down),
            Action::Half(to) => self.move_half_a_page(to),
            Action::Jump(direction) => self.jump_along(direction),
            Action::Select => self.select_more(),
            Action::LayerUp => self.move_layer(Vertical::Up),
            Action::LayerDown => self.move_layer(Vertical::Down),
            Action::PreviousHead => self.move_head(Back),
            Action::NextHead => self.move_head(Forward),
            Action::PreviousExpert => self.move_column(Back),
            Action::NextExpert => self.move_column(Forward),
            Action::EditPrompt => self.open_prompt(),
            Action::Generate => return self.generate(Some(1)),
            Action::Go => return self.generate(None),
            Action::RunCount => self.open_input(InputKind::Count, DEFAULT_COUNT),
            Action::Back => return self.forget(Ask::Back),
            Action::Rewind => return self.forget(Ask::Truncate { len: self.cursor.token + 1 }),
            Action::ForceCandidate => return self.enter(),
            Action::ForceText => self.open_input(InputKind::Force, ""),
            Action::Sampling => self.overlays.push(Overlay::Form(Form::new(&self.sampling))),
            Action::CyclePolicy => return self.cycle_policy(),
            Action::Policies => self.open_policies(),
            Action::Edits => self.open_edit_menu(),
            Action::ListEdits => self.open_edits(),
            Action::FlipEdits => return self.flip_edits(),
            Action::TypeEdit => self.open_edit_input(InputKind::Edit, ""),
            Action::NextReach => self.next_reach(),
            Action::ToggleEdit => return self.change_edits(ListAction::Toggle),
            Action::DeleteEdit => return self.change_edits(ListAction::Delete),
            Action::RaiseEdit => return self.change_edits(ListAction::MoveUp),
            Action::LowerEdit => return self.change_edits(ListAction::MoveDown),
            Action::SaveEdits => self.open_edit_input(InputKind::SaveEdits, "edits.txt"),
            Action::LoadEdits => self.open_edit_input(InputKind::LoadEdits, "edits.txt"),
            Action::NextMapOver => self.next_map_over(),
            Action::NextHow => self.next_how(),
            Action::PinTarget => self.toggle_pin(),
            Action::Foil => self.choose_foil(),
            Action::SecondPrompt => self.open_second(),
            Action::CycleColour => self.cycle_colour(),
            Action::SaveView => return self.save_view(FileOrder::default()),
            Action::Export(order) => return self.save_view(order),
            Action::SaveRun => return self.save(Save::Run),
            Action::SaveScreen => return self.save(Save::Screen),
            Action::Split => self.split(),
            Action::OtherPane => self.turn_pane(),
            Action::FocusPane(place) => self.panes.set_focus(place),
            Action::Zoom => self.panes.zoomed = !self.panes.zoomed,
            Action::Dashboard => self.toggle_dashboard(),
            Action::NextArrangement => self.arrange(self.panes.arrangement().next()),
            Action::Arrange(arrangement) => self.arrange(arrangement),
            Action::NextTheme => self.show_theme(self.theme.next()),
            Action::ShowTheme(theme) => self.show_theme(theme),
            Action::RunUnder(policy) => return self.run_under(policy),
            Action::ToggleDetails => self.toggle_details(),
            Action::WholeCell => self.open_page(Topic::Cell),
            Action::ToggleContributions => self.toggle_contributions(),
            Action::ToggleLog => self.next_scale(),
            Action::AddTarget => self.add_target(),
            Action::ToggleTarget(id) => self.toggle_target(id),
            Action::TypeTarget => self.open_target(),
            Action::DropTarget => self.drop_target(),
            Action::SortHeads => self.toggle_sorted(),
            Action::BestHead => self.go_to_best_head(),
            Action::RepeatedTokens => self.flip_measured_on(),
            Action::HeadsTogether => self.next_over(),
            Action::FlipSide => self.flip_side(),
            Action::Accept => return self.accept(),
            Action::NewLine => self.insert_line(),
            Action::Example => self.fill_example(None),
            Action::PickExample(number) => self.fill_example(Some(usize::from(number).saturating_sub(1))),
            Action::OpenModel => {
                self.overlays.push(Overlay::Picker(Picker::default()));
                return self.find_models();
            }
            Action::Complete => return self.complete(),
            Action::ToggleChat => self.toggle_chat(),
            Action::Palette => self.open_palette(),
            Action::GoTo(address) => self.go_to_address(address),
            Action::Search => self.open_search(),
            Action::NextMatch => self.next_match(Forward),
            Action::PreviousMatch => self.next_match(Back),
            Action::ToggleBookmark => self.toggle_bookmark(),
            Action::NextBookmark => self.next_bookmark(Forward),
            Action::PreviousBookmark => self.next_bookmark(Back),
            Action::Undo => return self.revise(Ask::Undo),
            Action::Redo => return self.revise(Ask::Redo),
            Action::Branches => self.open_branches(),
            Action::NameBranch => self.open_branch_name(),
            Action::CompareBranch => self.compare_marked_branch(),
            Action::DeleteBranch => self.delete_marked_branch(),
            Action::Copy(extent) => return self.copy(extent),
            Action::Edit(edit) => return self.edit(edit),
        }
        Vec::new()
    }

    fn escape(&mut self) -> Vec<Effect> {
        if let Some(Overlay::Page(page)) = self.overlays.last_mut()
            && page.clear()
        {
            return Vec::new();
        }
        if self.overlays.pop().is_some() {
            return Vec::new();
        }
        if self.is_busy() {
            return self.pause();
        }
        if let Some(stop) = self.stop_maps() {
            return vec![stop];
        }
        if self.opening.is_some() {
            let name = self.opening.as_ref().map(|opening| opening.name.clone()).unwrap_or_default();
            let effects = self.cancel_opening().into_iter().collect();
            self.say(format!("opening {name} was cancelled; what was downloaded is kept"));
            return effects;
        }
        if self.saving.is_some() {
            return vec![Effect::StopSaving];
        }
        self.selected_usage = None;
        if self.selection.take().is_none() {
            self.message = None;
            self.search = None;
        }
        Vec::new()
    }
}
