use super::LayerUsage;
use serde::{Deserialize, Serialize};

/// What the usage of an expert is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageMeasure {
    /// Share of the layer's first choices.
    #[default]
    First,
    /// Share of all choices of the layer.
    Chosen,
    /// Mean renormalised weight where the expert was chosen.
    Weight,
    /// Share of all choices of the selected tokens, minus that of all others.
    Difference,
}

impl UsageMeasure {
    /// The measures that a run alone has, which files can hold.
    pub const OF_RUNS: [Self; 3] = [Self::First, Self::Chosen, Self::Weight];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Chosen => "chosen",
            Self::Weight => "weight",
            Self::Difference => "difference",
        }
    }

    /// The quantity in words.
    pub fn quantity(self) -> &'static str {
        match self {
            Self::First => "share of first choices",
            Self::Chosen => "share of all choices",
            Self::Weight => "mean weight when chosen",
            Self::Difference => "share of the selected tokens minus that of the others",
        }
    }

    /// The usage of an expert of a layer; `None` if no token chose it, or if it takes more than the usage of a run.
    pub fn of(self, layer: &LayerUsage, expert: usize) -> Option<f64> {
        match self {
            Self::First => layer.first_share(expert),
            Self::Chosen => layer.chosen_share(expert),
            Self::Weight => layer.mean_weight(expert),
            Self::Difference => None,
        }
    }
}
