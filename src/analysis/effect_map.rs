//! Effect maps: one edit or one patch at a time, for every place of the model, and what each does.

use super::effect::Measures;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The token that an effect is measured on, and the one that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watch {
    /// The position whose distribution is read.
    pub position: usize,
    /// The target's id.
    pub token: u32,
    /// The foil's id.
    pub foil: Option<u32>,
}

/// Declares an enum of choices with their names on the command line and on the screen.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// All of them, in the order in which a key goes through them.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The next one that `fits`; the first one after the last.
            pub fn next(self, fits: impl Fn(Self) -> bool) -> Self {
                let at = Self::ALL.iter().position(|one| *one == self).unwrap_or(0);
                let after = Self::ALL.iter().cycle().skip(at + 1).take(Self::ALL.len());
                after.copied().find(|one| fits(*one)).unwrap_or(self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

choices! {
    /// The parts that are edited in turn.
    MapOver {
        /// Experts.
        #[default]
        Experts = "experts",
        /// Heads.
        Heads = "heads",
        /// Attention blocks and MLP blocks.
        Blocks = "blocks",
    }
}

impl MapOver {
    /// The name in tables of the part in a column of a map, and its index.
    pub fn part(self, column: usize) -> (&'static str, usize) {
        match (self, column) {
            (Self::Experts, _) => ("expert", column),
            (Self::Heads, _) => ("head", column),
            (Self::Blocks, 0) => ("attn", 0),
            (Self::Blocks, _) => ("mlp", 0),
        }
    }
}

choices! {
    /// What is done to a part.
    How {
        /// Its output is zero.
        #[default]
        Zero = "zero",
        /// The expert can't be chosen.
        Ban = "ban",
        /// Its output is its mean over the prompt.
        Mean = "mean",
    }
}

impl How {
    /// Whether it can be done to such parts: only experts are chosen.
    pub fn fits(self, over: MapOver) -> bool {
        self != Self::Ban || over == MapOver::Experts
    }
}

choices! {
    /// The values of a clean run that are put into a corrupted one in turn.
    PatchOver {
        /// The residual stream before each layer, position by position.
        #[default]
        ResidPre = "resid_pre",
        /// The attention block's output, position by position.
        AttnOut = "attn_out",
        /// The MLP block's output, position by position.
        MlpOut = "mlp_out",
        /// The output of each head, at all positions.
        Heads = "heads",
        /// The output of each expert, at the positions where both runs chose it.
        Experts = "experts",
    }
}

impl PatchOver {
    /// The name of a part in tables.
    pub fn part(self) -> &'static str {
        match self {
            Self::Heads => "head",
            Self::Experts => "expert",
            _ => self.name(),
        }
    }

    /// Whether values are patched position by position.
    pub fn is_by_position(self) -> bool {
        !matches!(self, Self::Heads | Self::Experts)
    }
}

choices! {
    /// What a map shows of each place.
    MapMeasure {
        /// Change of the target's log-probability.
        #[default]
        Target = "target",
        /// Change of logit(target) − logit(foil).
        Difference = "difference",
        /// Change of the mean loss; in the map of routing, of the loss of the token that came next.
        Loss = "loss",
        /// KL(without ‖ with the edit).
        Kl = "kl",
        /// Flips that it induced elsewhere.
        Flips = "flips",
    }
}

impl MapMeasure {
    /// Its value in an effect; `None` if the effect lacks it.
    pub fn of(self, found: &Measures) -> Option<f64> {
        match self {
            Self::Target => Some(found.target_logprob_change),
            Self::Difference => found.logit_difference_change,
            Self::Loss => found.loss_change,
            Self::Kl => Some(found.kl),
            Self::Flips => Some(found.flips as f64),
        }
    }

    /// Whether it can't be negative.
    pub fn is_size(self) -> bool {
        matches!(self, Self::Kl | Self::Flips)
    }

    /// What it is in a title.
    pub fn short(self) -> &'static str {
        match self {
            Self::Target => "Δ log-probability",
            Self::Difference => "Δ logit difference",
            Self::Loss => "Δ loss",
            Self::Kl => "KL",
            Self::Flips => "flips",
        }
    }

    /// What it is, with its unit.
    pub fn about(self) -> &'static str {
        match self {
            Self::Target => "change of the target's log-probability, nats",
            Self::Difference => "change of logit(target) − logit(foil)",
            Self::Loss => "change of the loss, nats",
            Self::Kl => "KL(without ‖ with), nats",
            Self::Flips => "flips elsewhere",
        }
    }
}

/// What a map goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapOf {
    /// Layers × parts, each edited in turn.
    Parts(MapOver, How),
    /// Layers × positions: the next expert instead of the last chosen one.
    Routing,
    /// Layers × positions, heads or experts: values of a clean run, put into a corrupted one.
    Patching(PatchOver),
}

/// What the columns of a map are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapAxis {
    /// Experts of a layer.
    Expert,
    /// Heads of a layer.
    Head,
    /// The attention block, then the MLP block.
    Block,
    /// Positions of the run.
    Position,
}

impl MapOf {
    /// What its columns are.
    pub fn axis(self) -> MapAxis {
        match self {
            Self::Parts(MapOver::Experts, _) | Self::Patching(PatchOver::Experts) => MapAxis::Expert,
            Self::Parts(MapOver::Heads, _) | Self::Patching(PatchOver::Heads) => MapAxis::Head,
            Self::Parts(MapOver::Blocks, _) => MapAxis::Block,
            Self::Routing | Self::Patching(_) => MapAxis::Position,
        }
    }
}

/// Identifies a map of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapKey {
    /// What it goes over.
    pub of: MapOf,
    /// What is watched; `None` for the map of routing, which watches the next token at every position.
    pub watch: Option<Watch>,
}

/// What was found at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// The effect of an edit.
    Effect(Measures),
    /// The measure of a patched run, and its recovery: (measure − corrupted) / (clean − corrupted).
    Patched {
        /// logit(target) − logit(foil); without a foil, logit(target).
        measure: f64,
        /// 0 changes nothing, 1 restores the clean run.
        recovery: f64,
    },
    /// Nothing can be changed here: the layer has no expert left to choose, or the place is as in the other run.
    Nothing,
}

impl Found {
    /// The value that a map shows.
    pub fn value(&self, measure: MapMeasure) -> Option<f64> {
        match self {
            Self::Effect(found) => measure.of(found),
            Self::Patched { recovery, .. } => Some(*recovery),
            Self::Nothing => None,
        }
    }
}

/// A map, as far as it is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectMap {
    /// What it is of.
    pub key: MapKey,
    /// Tokens of the run.
    pub tokens: usize,
    /// Places of a layer.
    pub columns: usize,
    /// The measure of the clean and the corrupted run; `None` without patching.
    pub baselines: Option<[f64; 2]>,
    /// Why a place could not be changed, if one could not.
    pub refused: Option<String>,
    /// `[layer, column]`
    cells: Vec<Option<Found>>,
    done: usize,
}

impl EffectMap {
    /// A map without a value so far.
    pub fn new(key: MapKey, (layers, columns): (usize, usize), tokens: usize) -> Self {
        Self { key, tokens, columns, baselines: None, refused: None, cells: vec![None; layers * columns], done: 0 }
    }

    /// Adds what was found at a place.
    pub fn set(&mut self, layer: usize, column: usize, found: Found) {
        if let Some(cell) = self.cells.get_mut(layer * self.columns + column).filter(|_| column < self.columns) {
            self.done += usize::from(cell.is_none());
            *cell = Some(found);
        }
    }

    /// What was found at a place; `None` if it is not computed yet, or outside the map.
    pub fn get(&self, layer: usize, column: usize) -> Option<&Found> {
        self.cells.get(layer * self.columns + column).filter(|_| column < self.columns)?.as_ref()
    }

    /// The value at a place.
    pub fn value(&self, layer: usize, column: usize, measure: MapMeasure) -> Option<f64> {
        self.get(layer, column)?.value(measure)
    }

    /// Places that are computed, and all places.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.cells.len())
    }

    /// Whether every place is computed.
    pub fn is_complete(&self) -> bool {
        self.done == self.cells.len()
    }

    /// Layers.
    pub fn layers(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    /// The places with a value, by layer and column.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize, &Found)> {
        let columns = self.columns.max(1);
        self.cells.iter().enumerate().filter_map(move |(at, cell)| Some((at / columns, at % columns, cell.as_ref()?)))
    }

    /// The places with their values, the largest absolute value first.
    pub fn ranked(&self, measure: MapMeasure) -> Vec<(usize, usize, f64)> {
        let with_value = |(layer, column, found): (usize, usize, &Found)| Some((layer, column, found.value(measure)?));
        let mut all: Vec<(usize, usize, f64)> = self.places().filter_map(with_value).collect();
        all.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
        all
    }

    /// The largest absolute value.
    pub fn largest(&self, measure: MapMeasure) -> f64 {
        let values = self.places().filter_map(|(.., found)| found.value(measure));
        values.filter(|value| value.is_finite()).fold(0.0, |most, value| value.abs().max(most))
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.cells.len() * size_of::<Option<Found>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_fills_up_and_ranks_its_places_by_size() {
        let key = MapKey { of: MapOf::Parts(MapOver::Heads, How::Zero), watch: None };
        let mut map = EffectMap::new(key, (2, 3), 7);
        let of = |kl: f64| Found::Effect(Measures { kl, ..Measures::default() });
        map.set(0, 2, of(1.0));
        map.set(1, 0, of(-3.0));
        map.set(1, 0, of(-2.0));
        map.set(1, 3, of(9.0));
        assert_eq!((map.progress(), map.layers(), map.get(1, 3)), ((2, 6), 2, None));
        assert_eq!(map.ranked(MapMeasure::Kl), [(1, 0, -2.0), (0, 2, 1.0)]);
        assert_eq!(map.largest(MapMeasure::Kl), 2.0);
        for column in 0..3 {
            map.set(0, column, Found::Nothing);
            map.set(1, column, Found::Nothing);
        }
        assert!(map.is_complete() && map.ranked(MapMeasure::Kl).is_empty());
    }

    #[test]
    fn choices_go_round_and_skip_what_does_not_fit() {
        assert_eq!(How::Zero.next(|how| how.fits(MapOver::Heads)), How::Mean);
        assert_eq!(How::Mean.next(|_| true), How::Zero);
        assert_eq!(MapOver::Blocks.next(|_| true), MapOver::Experts);
    }
}
