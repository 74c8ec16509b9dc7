//! Tabs, panes and themes: what shows what where.

use crate::analysis::view::{Layout, Tab, View};
use crate::state::{Arrangement, FirstArrangement, State, ThemeName};

impl State {
    /// Shows a tab. From the dashboard, shows it alone; shown alone, the same tab leads back to the dashboard.
    pub(super) fn show_tab(&mut self, tab: Tab) {
        if self.panes.is_dashboard() {
            self.panes.step_out(tab);
            self.say(format!("{} alone · {} again: the dashboard", tab.name(), tab.number()));
        } else if self.tab() != tab || !self.panes.step_back() {
            self.pane_mut().show_tab(tab);
        }
    }

    /// Shows a view.
    pub(in crate::state) fn show_view(&mut self, view: View) {
        self.show_layout(Layout::of(view));
    }

    /// Changes the arrangement of the panes.
    pub(super) fn arrange(&mut self, arrangement: Arrangement) {
        if arrangement == Arrangement::Dashboard {
            self.panes.show_dashboard();
        } else {
            self.panes.arrange(arrangement);
        }
        let how = match arrangement {
            Arrangement::One => "",
            Arrangement::Dashboard => " · a number shows one view alone",
            _ => " · 1 to 6 choose what this pane shows, w w goes to the next",
        };
        self.say(format!("arrangement: {arrangement}{how} · w a next"));
    }

    /// Arranges the panes of a session that begins on a screen of so many columns and lines.
    pub fn begin_with(&mut self, arrangement: FirstArrangement, width: u16, height: u16) {
        match arrangement.on(width, height) {
            Arrangement::Dashboard => self.panes.show_dashboard(),
            arrangement => self.panes.arrange(arrangement),
        }
    }

    /// Shows the dashboard, or the view with the focus alone.
    pub(super) fn toggle_dashboard(&mut self) {
        let other = if self.panes.is_dashboard() { Arrangement::One } else { Arrangement::Dashboard };
        self.arrange(other);
    }

    /// Puts a second pane next to the view, or takes the other panes away.
    pub(super) fn split(&mut self) {
        if self.panes.all().len() > 1 {
            return self.panes.arrange(Arrangement::One);
        }
        self.panes.arrange(Arrangement::Two);
        self.turn_tab(crate::trace::Direction::Forward);
        self.say("split: 1 to 6 choose what this pane shows, w w goes to the other, w s ends it");
    }

    /// Gives the next pane the focus.
    pub(super) fn turn_pane(&mut self) {
        match self.panes.all().len() {
            1 => self.say("there is one pane only: w s splits it"),
            count => self.panes.set_focus((self.panes.focus() + 1) % count),
        }
    }

    /// Shows a theme.
    pub(super) fn show_theme(&mut self, theme: ThemeName) {
        self.theme = theme;
        self.say(format!("theme: {theme} · for good: theme = \"{theme}\" below [ui] in the configuration"));
    }
}
