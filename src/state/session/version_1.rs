//! Sessions of version 1: the fields of one pane are those of the session, and each tab has an enum of layouts.

use super::Saved;
use crate::analysis::UsageMeasure;
use crate::analysis::view::{Tab, View};
use crate::protocol::Branches;
use crate::state::cursor::Cursor;
use crate::state::panes::{Pane, Panes};
use crate::state::text::StripColour;
use crate::state::views::attention::Heads;
use crate::state::views::details::{Details, DetailsPage};
use crate::state::views::lens::{Lens, LensMeasure};
use crate::trace::{Dtype, LensSite, Policy, Sampling, Source};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

/// A session of version 1. Fields with a default were added to the version later.
#[derive(Deserialize)]
pub struct SavedVersion1 {
    model: String,
    precision: Policy,
    dtype: Option<Dtype>,
    prompt: String,
    chat: bool,
    tokens: Vec<(u32, Source)>,
    sampling: Sampling,
    cursor: Cursor,
    #[serde(flatten)]
    pane: PaneOne,
    colour: StripColour,
    #[serde(deserialize_with = "flipped")]
    details_flipped: BTreeSet<Tab>,
    scroll: usize,
    #[serde(default)]
    details: DetailsPage,
    #[serde(default)]
    other: Option<OtherPane>,
    #[serde(default)]
    zoomed: bool,
    #[serde(default)]
    load: UsageMeasure,
    #[serde(default)]
    heads: Heads,
    #[serde(default)]
    lens_measure: LensMeasure,
    #[serde(default)]
    log_scale: bool,
    #[serde(default)]
    targets: Vec<(u32, String)>,
    #[serde(default)]
    bookmarks: BTreeSet<usize>,
    #[serde(default)]
    beside: Option<Policy>,
    #[serde(default)]
    branches: Branches,
}

/// The views of a pane.
#[derive(Deserialize)]
struct PaneOne {
    view: Tab,
    routing: Routing,
    attention: Attention,
    #[serde(default)]
    lens: LensLayout,
    lens_site: LensSite,
    #[serde(default)]
    fidelity: Fidelity,
}

/// The pane without the focus.
#[derive(Deserialize)]
struct OtherPane {
    pane: PaneOne,
    is_left: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Routing {
    Token,
    Layer,
    Map,
    Load,
    Pairs,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Attention {
    Grid,
    Head,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LensLayout {
    #[default]
    Grid,
    Both,
    Plot,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fidelity {
    #[default]
    Validated,
    Flips,
    Loss,
    Lab,
}

/// Reads names of tabs, or one boolean for all tabs, as the first versions of the program wrote.
fn flipped<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Tab>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        All(bool),
        Tabs(BTreeSet<Tab>),
    }
    Ok(match Written::deserialize(from)? {
        Written::All(true) => Tab::ALL.into(),
        Written::All(false) => BTreeSet::new(),
        Written::Tabs(tabs) => tabs,
    })
}

impl PaneOne {
    /// The pane, with the choices that were common to all panes.
    fn with(self, common: &Pane) -> Pane {
        let mut pane = common.clone();
        pane.lens.site = (!matches!(self.lens, LensLayout::Both)).then_some(self.lens_site);
        let views = [
            match self.routing {
                Routing::Token => View::RoutingToken,
                Routing::Layer => View::RoutingLayer,
                Routing::Map => View::RoutingMap,
                Routing::Load => View::RoutingUsage,
                Routing::Pairs => View::RoutingPairs,
            },
            match self.attention {
                Attention::Grid => View::AttentionGrid,
                Attention::Head => View::AttentionHead,
            },
            match self.lens {
                LensLayout::Grid | LensLayout::Both => View::LensGrid,
                LensLayout::Plot => View::LensTargets,
            },
            match self.fidelity {
                Fidelity::Validated => View::FidelityValidated,
                Fidelity::Flips => View::FidelityFlips,
                Fidelity::Loss => View::FidelityLoss,
                Fidelity::Lab => View::FidelityLab,
            },
        ];
        // Each tab keeps its last view.
        views.into_iter().for_each(|view| pane.show(view));
        pane.show_tab(self.view);
        pane
    }
}

impl From<SavedVersion1> for Saved {
    fn from(one: SavedVersion1) -> Self {
        let mut common = Pane::default();
        common.usage = one.load;
        common.heads = one.heads;
        common.lens = Lens { measure: one.lens_measure, log: one.log_scale, ..Lens::default() };
        common.scroll = one.scroll;
        common.details = Details { page: one.details, flipped: one.details_flipped };
        let focused = one.pane.with(&common);
        let mut panes = match one.other {
            None => Panes::one(focused),
            Some(OtherPane { pane, is_left: true }) => Panes::two([pane.with(&common), focused], true),
            Some(OtherPane { pane, is_left: false }) => Panes::two([focused, pane.with(&common)], false),
        };
        panes.zoomed = one.zoomed;
        Self {
            version: Self::VERSION,
            model: one.model,
            precision: one.precision,
            dtype: one.dtype,
            prompt: one.prompt,
            chat: one.chat,
            tokens: one.tokens,
            sampling: one.sampling,
            cursor: one.cursor,
            panes,
            colour: one.colour,
            targets: one.targets,
            bookmarks: one.bookmarks,
            baseline: one.beside,
            branches: one.branches,
            tree: Default::default(),
            edits: Vec::new(),
            edits_off: false,
            second: None,
            foil: None,
            pin: None,
        }
    }
}
