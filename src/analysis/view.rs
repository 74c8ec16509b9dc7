//! Views of a run as they can be written to files: which one, and the numbers it is made of.

use super::diff::shared;
use super::heads::{HeadMap, HeadStats, Measure, Pattern, Pick};
use super::lab::Lab;
use super::lens::LensMeasure;
use crate::trace::{LensCell, LensKey, LensSite, Records};
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
    /// What was validated when the model was opened.
    FidelityValidated,
    /// Layers × tokens: where another run of the same tokens chose other experts.
    FidelityFlips,
    /// What each token costs the two runs.
    FidelityLoss,
    /// The same prompt under several policies.
    FidelityLab,
}

/// Largest side of a thumbnail of a head, cells.
pub const THUMB: usize = 72;

use ViewKind as K;

const NAMES: [(ViewKind, &str); 14] = [
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
    (K::FidelityValidated, "fidelity"),
    (K::FidelityFlips, "fidelity.flips"),
    (K::FidelityLoss, "fidelity.loss"),
    (K::FidelityLab, "fidelity.lab"),
];

impl ViewKind {
    /// All of them, in the order of the views on screen.
    pub fn all() -> impl Iterator<Item = ViewKind> {
        NAMES.into_iter().map(|(kind, _)| kind)
    }

    /// Whether it shows two runs of the same tokens.
    pub fn is_of_two(self) -> bool {
        matches!(self, K::FidelityFlips | K::FidelityLoss)
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

/// One view of one run: what the cursor chose of it, and how it is looked at. Fields that a view does not depend on are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewSpec {
    /// Which view.
    pub kind: ViewKind,
    /// Position in the run.
    pub pos: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Query head, or all heads of the layer together.
    pub head: Pick,
    /// What heads are measured by.
    pub measure: Measure,
    /// Whether the best heads come first; else they stand by layer and head.
    pub sorted: bool,
    /// Which residual the lens reads; `None` = both.
    pub site: Option<LensSite>,
    /// What the lens says of a residual.
    pub lens: LensMeasure,
    /// Tokens whose way through the layers is drawn; empty = the model's own answer.
    pub targets: Vec<u32>,
}

impl ViewSpec {
    /// A view at the first token, layer and head, looked at as the screen and the command line do at first.
    pub fn new(kind: ViewKind) -> Self {
        Self {
            kind,
            pos: 0,
            layer: 0,
            head: Pick::One(0),
            measure: Measure::Entropy,
            sorted: false,
            site: Some(LensSite::ResidPost),
            lens: LensMeasure::Top,
            targets: Vec::new(),
        }
    }

    /// The residuals that the lens reads, in the order of the forward pass.
    pub fn sites(&self) -> Vec<LensSite> {
        self.site.map_or_else(|| LensSite::ALL.to_vec(), |site| vec![site])
    }
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
    pub trace: Records,
    /// The weights of the one head, or of the heads together, that it shows.
    pub pattern: Option<Pattern>,
    /// All heads it shows, by layer and head: each pooled to a thumbnail of at most [`THUMB`] cells a side, and what it
    /// does on the run.
    pub heads: Vec<(HeadMap, HeadStats)>,
    /// The lens cells it shows, by position, layer and site.
    pub lens: Vec<(LensKey, Arc<LensCell>)>,
    /// The targets it follows.
    pub trajectories: Vec<Arc<Trajectory>>,
    /// The run that it is compared with; of the same tokens, and at least as long.
    pub beside: Option<Records>,
    /// What a precision lab found.
    pub lab: Option<Arc<Lab>>,
}

impl ViewData {
    /// Of a run, without anything that is not in its records.
    pub fn of(trace: Records) -> Self {
        Self {
            trace,
            pattern: None,
            heads: Vec::new(),
            lens: Vec::new(),
            trajectories: Vec::new(),
            beside: None,
            lab: None,
        }
    }

    /// Compares it with another run, as far as both are of the same tokens.
    pub fn compare_with(&mut self, beside: Records) {
        self.trace.tokens.truncate(shared(&beside.tokens, &self.trace.tokens));
        self.beside = Some(beside);
    }
}
