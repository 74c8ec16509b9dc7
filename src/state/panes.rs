//! The panes of the screen: their arrangement, the focus, and what each of them shows.

use super::arrangement::Arrangement;
use super::views::attention::Heads;
use super::views::details::Details;
use super::views::effects::Effects;
use super::views::lens::Lens;
use crate::analysis::UsageMeasure;
use crate::analysis::view::{Tab, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pane: the view that it shows, and the user's choices in all views. The cursor is common to all panes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pane {
    view: View,
    /// The last view of each tab.
    layouts: BTreeMap<Tab, View>,
    /// The measure of the usage of experts.
    pub usage: UsageMeasure,
    /// Whether the usage shows the experts that are chosen most first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub usage_sorted: bool,
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
            usage_sorted: false,
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
    /// The panes of the dashboard and the one with the focus, while one view is shown alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    dashboard: Option<(Vec<Pane>, usize)>,
}

/// Panes in a session file.
#[derive(Deserialize)]
struct Written {
    arrangement: Arrangement,
    focus: usize,
    zoomed: bool,
    panes: Vec<Pane>,
    #[serde(default)]
    dashboard: Option<(Vec<Pane>, usize)>,
}

impl TryFrom<Written> for Panes {
    type Error = String;

    fn try_from(Written { arrangement, focus, zoomed, panes, dashboard }: Written) -> Result<Self, String> {
        let check = |arrangement: Arrangement, count: usize, focus: usize| match arrangement.count() {
            places if count != places || focus >= count => {
                Err(format!("{count} panes in {places} places, the focus on pane {focus}"))
            }
            _ => Ok(()),
        };
        check(arrangement, panes.len(), focus)?;
        if let Some((panes, focus)) = &dashboard {
            check(Arrangement::Dashboard, panes.len(), *focus)?;
        }
        Ok(Self { arrangement, focus, zoomed, panes, dashboard })
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
        Self { arrangement: Arrangement::One, focus: 0, zoomed: false, panes: vec![pane], dashboard: None }
    }

    /// Two panes, from left to right; the second one has the focus, or else the first.
    pub fn two(panes: [Pane; 2], second_has_focus: bool) -> Self {
        let focus = usize::from(second_has_focus);
        Self { arrangement: Arrangement::Two, focus, zoomed: false, panes: panes.into(), dashboard: None }
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
        (self.arrangement, self.zoomed, self.dashboard) = (arrangement, false, None);
    }

    /// Whether the dashboard is shown.
    pub fn is_dashboard(&self) -> bool {
        self.arrangement == Arrangement::Dashboard
    }

    /// Whether a view of the dashboard is shown alone.
    pub fn is_stepped_out(&self) -> bool {
        self.dashboard.is_some()
    }

    /// Shows the dashboard: the last one, or a new one with the choices of the pane with the focus.
    pub fn show_dashboard(&mut self) {
        if self.is_dashboard() || self.step_back() {
            self.zoomed = false;
            return;
        }
        let of = |view: View| {
            let mut pane = self.focused().clone();
            pane.show(view);
            pane
        };
        let panes = [View::RoutingMap, View::AttentionHead, View::LensGrid].map(of).into();
        *self = Self { arrangement: Arrangement::Dashboard, focus: 0, zoomed: false, panes, dashboard: None };
    }

    /// Shows a tab of the dashboard alone: the pane that shows it, or else the one with the focus.
    pub fn step_out(&mut self, tab: Tab) {
        let place = self.showing(tab).unwrap_or(self.focus);
        let mut pane = self.panes[place].clone();
        pane.show_tab(tab);
        let panes = std::mem::replace(&mut self.panes, vec![pane]);
        self.dashboard = Some((panes, place));
        (self.arrangement, self.focus, self.zoomed) = (Arrangement::One, 0, false);
    }

    /// Shows the dashboard again if one of its views is shown alone. Returns whether it is.
    pub fn step_back(&mut self) -> bool {
        let Some((panes, focus)) = self.dashboard.take() else { return false };
        let tab = self.focused().tab();
        (self.arrangement, self.focus, self.zoomed, self.panes) = (Arrangement::Dashboard, focus, false, panes);
        self.focus = self.showing(tab).unwrap_or(focus);
        true
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
