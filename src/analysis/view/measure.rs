//! What views measure.

use crate::analysis::{LensMeasure, MapMeasure, Measure, UsageMeasure};

/// A measure of some view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownMeasure {
    /// Of the usage of experts.
    Usage(UsageMeasure),
    /// Of heads.
    Heads(Measure),
    /// Of the lens.
    Lens(LensMeasure),
    /// Of effect maps.
    Effects(MapMeasure),
}

impl ShownMeasure {
    /// The name in titles and in the palette.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage(UsageMeasure::First) => "first",
            Self::Usage(UsageMeasure::Chosen) => "chosen",
            Self::Usage(UsageMeasure::Weight) => "weight",
            Self::Usage(UsageMeasure::Difference) => "difference",
            Self::Heads(measure) => measure.name(),
            Self::Lens(measure) => measure.name(),
            Self::Effects(measure) => measure.name(),
        }
    }
}
