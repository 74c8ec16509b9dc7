//! The panes of the screen: their arrangement, the focus, and what each of them shows.

use super::views::attention::Heads;
use super::views::details::Details;
use super::views::effects::Effects;
use super::views::lens::Lens;
use super::views::routing::UsageMeasure;
use crate::analysis::view::{Tab, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A named arrangement of panes on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrangement {
    /// One pane.
    #[default]
    One,
    /// Two panes side by side; one above the other on a narrow screen.
    Two,
}

impl Arrangement {
    /// Number of panes in each column, from left to right.
    pub fn columns(self) -> &'static [usize] {
        match self {
            Self::One => &[1],
            Self::Two => &[1, 1],
        }
    }

    /// Number of panes.
    pub fn count(self) -> usize {
        self.columns().iter().sum()
    }
}

/// A pane: the view that it shows, and the user's choices in all views. The cursor is common to all panes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pane {
    view: View,
    /// The last view of each tab.
    layouts: BTreeMap<Tab, View>,
    /// The measure of the usage of experts.
    pub usage: UsageMeasure,
    /// The score, order and drawing of heads.
    pub heads: Heads,
    /// The residual and measure of the lens.
    pub lens: Lens,
    /// What effect maps go over and show.
    #[serde(skip_serializing_if = "Effects::is_default")]
    pub effects: Effects,
    /// First line of a scrolled view.
    pub scroll: usize,
    /// The details next to the view.
    pub details: Details,
}

impl Default for Pane {
    fn default() -> Self {
        Self {
            view: View::ALL[0],
            layouts: BTreeMap::new(),
            usage: UsageMeasure::default(),
            heads: Heads::default(),
            lens: Lens::default(),
            effects: Effects::default(),
            scroll: 0,
            details: Details::default(),
        }
    }
}

impl Pane {
    /// The view that it shows.
    pub fn view(&self) -> View {
        self.view
    }

    /// The tab of this view.
    pub fn tab(&self) -> Tab {
        self.view.tab()
    }

    /// Shows a view.
    pub fn show(&mut self, view: View) {
        if view != self.view {
            self.scroll = 0;
        }
        if view.tab() != self.tab() {
            self.layouts.insert(self.tab(), self.view);
        }
        self.view = view;
    }

    /// Shows the next view of the same tab.
    pub fn show_next_layout(&mut self) {
        self.show(self.view.next_layout());
    }

    /// Shows the last view of a tab.
    pub fn show_tab(&mut self, tab: Tab) {
        if tab != self.tab() {
            let last = self.layouts.get(&tab).copied().filter(|view| view.tab() == tab);
            self.show(last.unwrap_or(tab.first()));
        }
    }
}

/// The panes of the screen: as many as the arrangement has places, and at least one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Panes {
    arrangement: Arrangement,
    /// The index of the pane with the focus.
    focus: usize,
    /// Whether the pane with the focus has the whole screen.
    pub zoomed: bool,
    panes: Vec<Pane>,
}

/// Panes in a session file.
#[derive(Deserialize)]
struct Written {
    arrangement: Arrangement,
    focus: usize,
    zoomed: bool,
    panes: Vec<Pane>,
}

impl TryFrom<Written> for Panes {
    type Error = String;

    fn try_from(Written { arrangement, focus, zoomed, panes }: Written) -> Result<Self, String> {
        let (count, places) = (panes.len(), arrangement.count());
        if count != places || focus >= count {
            return Err(format!("{count} panes in {places} places, the focus on pane {focus}"));
        }
        Ok(Self { arrangement, focus, zoomed, panes })
    }
}

impl Default for Panes {
    fn default() -> Self {
        Self::one(Pane::default())
    }
}

impl Panes {
    /// One pane.
    pub fn one(pane: Pane) -> Self {
        Self { arrangement: Arrangement::One, focus: 0, zoomed: false, panes: vec![pane] }
    }

    /// Two panes, from left to right; the second one has the focus, or else the first.
    pub fn two(panes: [Pane; 2], second_has_focus: bool) -> Self {
        Self { arrangement: Arrangement::Two, focus: usize::from(second_has_focus), zoomed: false, panes: panes.into() }
    }

    /// The arrangement of the panes.
    pub fn arrangement(&self) -> Arrangement {
        self.arrangement
    }

    /// All panes, in the order of their places.
    pub fn all(&self) -> &[Pane] {
        &self.panes
    }

    /// The index of the pane with the focus.
    pub fn focus(&self) -> usize {
        self.focus
    }

    /// The pane with the focus.
    pub fn focused(&self) -> &Pane {
        &self.panes[self.focus]
    }

    /// The pane with the focus, mutable.
    pub fn focused_mut(&mut self) -> &mut Pane {
        &mut self.panes[self.focus]
    }

    /// The pane at `place`, mutable.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Pane> {
        self.panes.get_mut(place)
    }

    /// Changes every pane.
    pub fn each(&mut self, change: impl FnMut(&mut Pane)) {
        self.panes.iter_mut().for_each(change);
    }

    /// The place of a pane that shows `tab`: the pane with the focus if it does, else the first one.
    pub fn showing(&self, tab: Tab) -> Option<usize> {
        let others = 0..self.panes.len();
        std::iter::once(self.focus).chain(others).find(|place| self.panes[*place].tab() == tab)
    }

    /// Changes the arrangement. Panes without a place are removed, but never the one with the focus. New panes are
    /// copies of it, and the last of them gets the focus.
    pub fn arrange(&mut self, arrangement: Arrangement) {
        let count = arrangement.count();
        while self.panes.len() > count {
            let last = self.panes.len() - 1;
            let gone = if self.focus == last { last - 1 } else { last };
            self.panes.remove(gone);
            self.focus -= usize::from(gone < self.focus);
        }
        while self.panes.len() < count {
            let copy = self.focused().clone();
            self.focus += 1;
            self.panes.insert(self.focus, copy);
        }
        (self.arrangement, self.zoomed) = (arrangement, false);
    }

    /// Gives the pane at `place` the focus, if there is one.
    pub fn set_focus(&mut self, place: usize) {
        if place < self.panes.len() {
            self.focus = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_comes_back_with_the_view_it_showed_last() {
        let mut pane = Pane::default();
        assert_eq!(pane.view(), View::RoutingToken);
        pane.show(View::RoutingMap);
        pane.show_tab(Tab::Next);
        pane.show_tab(Tab::Lens);
        assert_eq!(pane.view(), View::LensGrid);
        pane.show_tab(Tab::Routing);
        assert_eq!(pane.view(), View::RoutingMap);
        pane.show_tab(Tab::Routing);
        assert_eq!(pane.view(), View::RoutingMap);
    }

    #[test]
    fn the_pane_with_the_focus_outlives_every_arrangement() {
        let mut panes = Panes::default();
        panes.focused_mut().scroll = 7;
        panes.arrange(Arrangement::Two);
        assert_eq!((panes.focus(), panes.all().len()), (1, 2));
        assert!(panes.all().iter().all(|pane| pane.scroll == 7), "a new pane is a copy");
        panes.focused_mut().scroll = 8;
        let mut one = panes.clone();
        one.arrange(Arrangement::One);
        assert_eq!((one.focus(), one.focused().scroll), (0, 8));
        panes.set_focus(0);
        panes.arrange(Arrangement::One);
        assert_eq!((panes.focus(), panes.focused().scroll), (0, 7));
        panes.set_focus(1);
        assert_eq!(panes.focus(), 0, "there is no such pane");
    }

    #[test]
    fn a_file_with_panes_that_do_not_fit_is_refused() {
        let panes = Panes::two(Default::default(), true);
        let json = serde_json::to_string(&panes).unwrap();
        assert_eq!(serde_json::from_str::<Panes>(&json).unwrap(), panes);
        for (good, bad) in
            [("\"two\"", "\"one\""), ("\"focus\":1", "\"focus\":2"), ("\"panes\":[{", "\"panes\":[],\"x\":[{")]
        {
            let wrong = json.replacen(good, bad, 1);
            assert!(wrong != json && serde_json::from_str::<Panes>(&wrong).is_err(), "{wrong}");
        }
    }
}
