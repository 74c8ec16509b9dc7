//! The layouts of a tab: its views, and what the lens reads.

use super::{Tab, View};
use crate::trace::LensSite;

/// A layout of a tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The view.
    pub view: View,
    /// The residual that the lens reads, `None` within for both; `None` for other views.
    pub site: Option<Option<LensSite>>,
}

impl Layout {
    /// The layout of a view; of the lens, the first one.
    pub fn of(view: View) -> Self {
        Self { view, site: (view == View::LensGrid).then_some(Some(LensSite::ResidPost)) }
    }

    /// The layouts of a tab, in the order of the key.
    pub fn all(tab: Tab) -> Vec<Self> {
        let sites = |view: View| match view {
            View::LensGrid => vec![Some(Some(LensSite::ResidPost)), Some(Some(LensSite::ResidMid)), Some(None)],
            _ => vec![None],
        };
        tab.views().flat_map(|view| sites(view).into_iter().map(move |site| Self { view, site })).collect()
    }

    /// The name among the layouts of its tab.
    pub fn name(self) -> &'static str {
        match (self.view, self.site) {
            (View::RoutingUsage, _) => "usage",
            (View::FidelityValidated, _) => "validated",
            (View::LensTargets, _) => "plot",
            (_, Some(Some(LensSite::ResidPost))) => "post",
            (_, Some(Some(LensSite::ResidMid))) => "mid",
            (_, Some(None)) => "both",
            (view, None) => view.name().split_once('.').map_or(view.name(), |(_, name)| name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn layouts_of_a_tab_have_names_of_their_own_and_include_all_views() {
        for tab in Tab::ALL {
            let all = Layout::all(tab);
            let names: HashSet<&str> = all.iter().map(|layout| layout.name()).collect();
            assert_eq!(names.len(), all.len(), "{tab:?}");
            assert!(tab.views().all(|view| all.contains(&Layout::of(view))), "{tab:?}");
        }
        let names: Vec<&str> = Layout::all(Tab::Routing).into_iter().map(Layout::name).collect();
        assert_eq!(names, ["token", "layer", "map", "usage", "pairs"]);
    }
}
