//! What the user chose to see in a view.

use super::{Part, View};
use crate::analysis::effect_map::{MapMeasure, MapOf};
use crate::analysis::heads::{Measure, MeasuredOn, Pick};
use crate::analysis::lens::LensMeasure;
use crate::analysis::usage::UsageMeasure;
use crate::trace::LensSite;

/// One view of one run, and the choices that it depends on. A view ignores the fields that it does not depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewSpec {
    /// The view.
    pub view: View,
    /// Position in the run.
    pub pos: usize,
    /// Decoder layer.
    pub layer: usize,
    /// Query head, or all heads of the layer combined.
    pub head: Pick,
    /// The score of the heads.
    pub measure: Measure,
    /// The text on which heads are measured.
    pub on: MeasuredOn,
    /// Whether the best heads come first; else they are in the order of layer and head.
    pub sorted: bool,
    /// The residual that the lens reads; `None` = both.
    pub site: Option<LensSite>,
    /// What the lens shows of a residual.
    pub lens: LensMeasure,
    /// Tokens followed through the layers; empty = the model's own answer.
    pub targets: Vec<u32>,
    /// What an effect map goes over.
    pub map: Option<MapOf>,
    /// What it shows of each place.
    pub effect: MapMeasure,
    /// What the usage of experts is measured by; `None` = everything, in one picture.
    pub usage: Option<UsageMeasure>,
}

impl ViewSpec {
    /// `view` at the first token, layer and head, with the choices that the screen and the command line begin with.
    pub fn new(view: View) -> Self {
        Self {
            view,
            pos: 0,
            layer: 0,
            head: Pick::One(0),
            measure: Measure::Entropy,
            on: MeasuredOn::Text,
            sorted: false,
            site: Some(LensSite::ResidPost),
            lens: LensMeasure::Top,
            targets: Vec::new(),
            map: None,
            effect: MapMeasure::default(),
            usage: None,
        }
    }

    /// The residuals that the lens reads, in the order of the forward pass.
    pub fn sites(&self) -> Vec<LensSite> {
        self.site.map_or_else(|| LensSite::ALL.to_vec(), |site| vec![site])
    }

    /// The name of its files without an ending, as `attention-L05H04`, `routing-map` or `next-t17`: the name of the
    /// view, and whatever distinguishes two files of one run.
    pub fn stem(&self) -> String {
        let name = self.view.name().replace('.', "-");
        let measure = |default: &[LensMeasure]| match self.lens {
            shown if default.contains(&shown) => String::new(),
            shown => format!("-{}", shown.name()),
        };
        let choices = match self.view {
            View::LensGrid => {
                let sites: String = self.sites().iter().map(|site| format!("-{site}")).collect();
                sites + &measure(&[LensMeasure::Top])
            }
            View::AttentionScores if self.on == MeasuredOn::Repeated => format!("-{}-random", self.measure.name()),
            View::AttentionScores => format!("-{}", self.measure.name()),
            View::RoutingUsage => self.usage.map(|usage| format!("-{}", usage.name())).unwrap_or_default(),
            // Probabilities and ranks are in one picture.
            View::LensTargets => measure(&[LensMeasure::Top, LensMeasure::Rank]),
            _ => match self.map {
                Some(MapOf::Parts(over, how)) if self.view == View::EffectsMap => {
                    format!("-{how}-{over}-{}", self.effect)
                }
                Some(MapOf::Patching(over)) if self.view == View::EffectsPatching => format!("-{over}"),
                _ if self.view == View::EffectsRouting => format!("-{}", self.effect),
                _ => String::new(),
            },
        };
        let part = match (self.view.part(), self.head) {
            (Part::Run, _) => String::new(),
            (Part::Position, _) => format!("-t{}", self.pos),
            (Part::Layer, _) => format!("-L{:02}", self.layer),
            (Part::Head, Pick::One(head)) => format!("-L{:02}H{head:02}", self.layer),
            (Part::Head, heads) => format!("-L{:02}-{}", self.layer, heads.name()),
        };
        // The part says already that it is a head.
        let name = if self.view.part() == Part::Head { name.trim_end_matches("-head") } else { &name };
        format!("{name}{choices}{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn files_are_named_after_the_view_and_what_it_shows() {
        let spec = |view| ViewSpec { pos: 17, layer: 5, head: Pick::One(4), ..ViewSpec::new(view) };
        let stems = View::ALL.map(|view| spec(view).stem());
        assert_eq!(HashSet::from(stems.clone()).len(), View::ALL.len());
        for stem in
            ["routing-token-t17", "routing-layer-L05", "routing-load", "attention-L05H04", "next-t17", "fidelity"]
        {
            assert!(stems.iter().any(|found| found == stem), "{stem} is missing in {stems:?}");
        }
        let kl = ViewSpec { lens: LensMeasure::Kl, ..spec(View::LensGrid) };
        assert_eq!(kl.stem(), "lens-resid_post-kl");
        assert_eq!(ViewSpec { site: None, ..kl.clone() }.stem(), "lens-resid_mid-resid_post-kl");
        assert_eq!(ViewSpec { view: View::LensTargets, ..kl.clone() }.stem(), "lens-targets-kl-t17");
        let rank = ViewSpec { lens: LensMeasure::Rank, ..kl };
        assert_eq!(ViewSpec { view: View::LensTargets, ..rank }.stem(), "lens-targets-t17");
        let weight = ViewSpec { usage: Some(UsageMeasure::Weight), ..spec(View::RoutingUsage) };
        assert_eq!(weight.stem(), "routing-load-weight");
        assert_eq!(ViewSpec { head: Pick::Mean, ..spec(View::AttentionHead) }.stem(), "attention-L05-mean");
    }
}
