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
