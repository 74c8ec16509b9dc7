//! The views of a run: the one list of them, what the user chose to see in one, and the numbers it is made of.

mod data;
mod file;
mod layout;
mod look;
mod measure;
mod spec;

pub use data::{THUMB, ViewData};
pub use file::{FileFormat, FileOrder};
pub use layout::Layout;
pub use look::{DPI, DPI_RANGE, Look, LookOptions, Style, Width};
pub use measure::ShownMeasure;
pub use spec::ViewSpec;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A tab of the explorer: the views of one subject, which are its layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tab {
    /// Which experts read a token, and how narrowly.
    Routing,
    /// Where each head looks.
    Attention,
    /// What the model would say at each layer.
    Lens,
    /// Candidates for the next token.
    Next,
    /// What was validated, and how two runs differ.
    Fidelity,
    /// What parts of the model matter: effects of edits, patches and contributions.
    Effects,
}

impl Tab {
    /// All tabs, in the order of their number keys.
    pub const ALL: [Tab; 6] = [Self::Routing, Self::Attention, Self::Lens, Self::Next, Self::Fidelity, Self::Effects];

    /// The name on the tab.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routing => "Routing",
            Self::Attention => "Attention",
            Self::Lens => "Lens",
            Self::Next => "Next",
            Self::Fidelity => "Fidelity",
            Self::Effects => "Effects",
        }
    }

    /// Its number key.
    pub fn number(self) -> usize {
        Self::ALL.iter().position(|tab| *tab == self).map_or(0, |at| at + 1)
    }

    /// The views of this tab, in the order of the layout key.
    pub fn views(self) -> impl Iterator<Item = View> {
        View::ALL.into_iter().filter(move |view| view.tab() == self)
    }

    /// The view that the tab shows at first.
    pub fn first(self) -> View {
        self.views().next().unwrap_or(View::ALL[0])
    }
}

/// The part of a run that a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole run.
    Run,
    /// One position.
    Position,
    /// One layer.
    Layer,
    /// One head of one layer, or the heads of the layer combined.
    Head,
}

/// Declares [`View`] from one table: documentation, variant, tab, name and other spellings, part of the run.
macro_rules! views {
    ($($(#[$doc:meta])* $view:ident: $tab:ident, $name:literal $(| $alias:literal)*, $part:ident;)*) => {
        /// What a pane or a file can show.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum View {
            $($(#[$doc])* $view,)*
        }

        impl View {
            /// All views, tab by tab.
            pub const ALL: [View; [$($name),*].len()] = [$(Self::$view),*];

            /// The tab that the view belongs to.
            pub fn tab(self) -> Tab {
                match self {
                    $(Self::$view => Tab::$tab,)*
                }
            }

            /// The name on the command line, in help and in session files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$view => $name,)*
                }
            }

            /// The part of a run that the view shows.
            pub fn part(self) -> Part {
                match self {
                    $(Self::$view => Part::$part,)*
                }
            }
        }

        impl FromStr for View {
            type Err = anyhow::Error;

            fn from_str(name: &str) -> anyhow::Result<Self> {
                match name {
                    $($name $(| $alias)* => Ok(Self::$view),)*
                    _ => anyhow::bail!("`{name}` is not one of {}", Self::ALL.map(Self::name).join(", ")),
                }
            }
        }
    };
}

views! {
    /// Layers × experts of one token: router probabilities.
    RoutingToken: Routing, "routing.token", Position;
    /// Experts × tokens of one layer: router probabilities.
    RoutingLayer: Routing, "routing.layer", Layer;
    /// Layers × tokens: the chosen experts.
    RoutingMap: Routing, "routing.map", Run;
    /// Layers × experts over the run: share of first choices, of all choices, mean weight.
    RoutingUsage: Routing, "routing.load" | "routing.usage", Run;
    /// Experts × experts of one layer: how often two are chosen together.
    RoutingPairs: Routing, "routing.pairs", Layer;
    /// All heads of all layers as thumbnails.
    AttentionGrid: Attention, "attention.grid", Run;
    /// One head: query × key.
    AttentionHead: Attention, "attention.head", Head;
    /// Layers × heads: one score of every head.
    AttentionScores: Attention, "attention.scores", Run;
    /// Layers × tokens: the best token after each layer, or a number.
    LensGrid: Lens, "lens" | "lens.grid", Run;
    /// One token: rank and probability of target tokens by layer.
    LensTargets: Lens, "lens.targets", Position;
    /// The candidates for the token after one position.
    Next: Next, "next", Position;
    /// What was validated when the model was opened.
    FidelityValidated: Fidelity, "fidelity" | "fidelity.validated", Run;
    /// Layers × tokens: where another run of the same tokens chose other experts.
    FidelityFlips: Fidelity, "fidelity.flips", Run;
    /// The loss of each token in two runs.
    FidelityLoss: Fidelity, "fidelity.loss", Run;
    /// The same prompt under several policies.
    FidelityLab: Fidelity, "fidelity.lab", Run;
    /// Two runs side by side, token by token: of the same text, or of two prompts.
    Compare: Fidelity, "compare", Run;
    /// Layers × parts: what each expert, head or block does to a target.
    EffectsMap: Effects, "effects.map" | "effects", Run;
    /// Layers × tokens: what if the next expert had won?
    EffectsRouting: Effects, "effects.routing", Run;
    /// Layers × positions, heads or experts: values of the run, put into that of a second prompt.
    EffectsPatching: Effects, "effects.patching", Run;
    /// Heads and experts of all layers by their contribution to a logit.
    EffectsContributions: Effects, "effects.contributions", Run;
}

impl View {
    /// Whether the view may show a second prompt.
    pub fn needs_second(self) -> bool {
        matches!(self, Self::Compare | Self::EffectsPatching)
    }

    /// Whether the numbers of the view are computed by a model, which a saved run lacks.
    pub fn needs_model(self) -> bool {
        self.tab() == Tab::Effects
    }

    /// Whether the view compares two runs of the same tokens.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::FidelityFlips | Self::FidelityLoss | Self::Compare)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<View> for &'static str {
    fn from(view: View) -> Self {
        view.name()
    }
}

impl TryFrom<String> for View {
    type Error = anyhow::Error;

    fn try_from(name: String) -> anyhow::Result<Self> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_view_has_a_name_of_its_own_that_leads_back_to_it() {
        let names: HashSet<&str> = View::ALL.map(View::name).into();
        assert_eq!(names.len(), View::ALL.len());
        for view in View::ALL {
            assert_eq!(view.name().parse::<View>().unwrap(), view);
            assert_eq!(serde_json::from_str::<View>(&serde_json::to_string(&view).unwrap()).unwrap(), view);
        }
        assert_eq!("routing.usage".parse::<View>().unwrap(), View::RoutingUsage);
        let error = "routing".parse::<View>().unwrap_err().to_string();
        assert!(View::ALL.iter().all(|view| error.contains(view.name())), "{error}");
    }
}
