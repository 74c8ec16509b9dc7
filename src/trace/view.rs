//! Views of a run as they can be written to files: which one, and the numbers it is made of.

use super::{LensCell, LensKey, LensSite, Pattern, Trace};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A view that can be a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViewKind {
    /// Layers × experts of one token: router probabilities.
    RoutingToken,
    /// Experts × tokens of one layer: router probabilities.
    RoutingLayer,
    /// Layers × tokens: the chosen experts.
    RoutingMap,
    /// Layers × experts over the run: share of first choices, of all choices, mean weight.
    RoutingLoad,
    /// Experts × experts of one layer: how often two are chosen together.
    RoutingPairs,
    /// All heads of all layers as thumbnails.
    AttentionGrid,
    /// One head: query × key.
    AttentionHead,
    /// Layers × tokens: the best token after each layer.
    LensGrid,
    /// One token: rank and probability of target tokens by layer.
    LensTargets,
    /// The candidates for the token after one position.
    Next,
}

use ViewKind as K;

const NAMES: [(ViewKind, &str); 10] = [
    (K::RoutingToken, "routing.token"),
    (K::RoutingLayer, "routing.layer"),
    (K::RoutingMap, "routing.map"),
    (K::RoutingLoad, "routing.load"),
    (K::RoutingPairs, "routing.pairs"),
    (K::AttentionGrid, "attention.grid"),
    (K::AttentionHead, "attention.head"),
    (K::LensGrid, "lens"),
    (K::LensTargets, "lens.targets"),
    (K::Next, "next"),
];

impl ViewKind {
    /// All of them, in the order of the views on screen.
    pub fn all() -> impl Iterator<Item = ViewKind> {
        NAMES.into_iter().map(|(kind, _)| kind)
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for ViewKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ViewKind {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        NAMES.iter().find(|(_, n)| *n == name).map(|(kind, _)| *kind).ok_or_else(|| {
            let all: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            anyhow::anyhow!("`{name}` is not one of {}", all.join(", "))
        })
    }
}

/// One view of one run: what the cursor chose of it. Fields that a view does not depend on are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewSpec {
    /// Which view.
    pub kind: ViewKind,
    /// Position in the run.
    pub pos: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// Which residual the lens reads.
    pub site: LensSite,
    /// Tokens whose way through the layers is drawn; empty = the model's own answer.
    pub targets: Vec<u32>,
}

/// Where one token stands in every lens cell of one position.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Token id.
    pub id: u32,
    /// The tokenizer's spelling.
    pub piece: Arc<str>,
    /// (layer, site, rank from 1, probability), in the order of the forward pass.
    pub points: Vec<(usize, LensSite, u32, f32)>,
}

/// The numbers of a view.
#[derive(Clone, Debug)]
pub struct ViewData {
    /// The run.
    pub trace: Trace,
    /// (layer, head, pattern) of the heads it shows.
    pub patterns: Vec<(usize, usize, Pattern)>,
    /// The lens cells it shows, by position, layer and site.
    pub lens: Vec<(LensKey, Arc<LensCell>)>,
    /// The targets it follows.
    pub trajectories: Vec<Trajectory>,
}
