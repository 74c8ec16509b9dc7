//! The views of a sweep as numbers, which the screen, pictures and tables share.

use super::about::About;
use super::contexts::{PickedBy, Sample};
use super::counts::{Count, Counts, Total};
use super::reading::Phase;
use super::state::Sweep;
use super::sum::Sum;
use super::vocabulary::TokenKind;

/// A view of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepView {
    /// Layers × experts of a group.
    Usage,
    /// Groups × experts of a layer.
    Groups,
    /// Experts × experts that tokens chose together.
    Pairs,
    /// Experts of a layer × experts of the next.
    Transitions,
    /// Layers × experts: a group against another, or against the same group of another sweep.
    Compare,
    /// Tokens of an expert.
    Vocabulary,
    /// Contexts of an expert.
    Contexts,
}

impl SweepView {
    /// All of them, in the order of their keys.
    pub const ALL: [SweepView; 7] = [
        SweepView::Usage,
        SweepView::Groups,
        SweepView::Pairs,
        SweepView::Transitions,
        SweepView::Compare,
        SweepView::Vocabulary,
        SweepView::Contexts,
    ];

    /// The name on the screen, on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Groups => "groups",
            Self::Pairs => "pairs",
            Self::Transitions => "transitions",
            Self::Compare => "compare",
            Self::Vocabulary => "vocabulary",
            Self::Contexts => "contexts",
        }
    }

    /// Whether it is a matrix of numbers and not a list of texts.
    pub fn is_grid(self) -> bool {
        !matches!(self, Self::Vocabulary | Self::Contexts)
    }

    /// Whether a measure can be chosen.
    pub fn has_measures(self) -> bool {
        matches!(self, Self::Usage | Self::Groups | Self::Compare)
    }
}

/// A number of each expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepMeasure {
    /// Share of tokens that chose the expert.
    Specialisation,
    /// Share of tokens whose first choice it is.
    First,
    /// Mean mixing weight.
    Weight,
    /// Mean router probability over all tokens.
    Prob,
    /// Mean norm of its outputs.
    Norm,
    /// REAP: mean norm times weight.
    Reap,
    /// Largest magnitude in its outputs.
    Largest,
}

impl SweepMeasure {
    /// All of them.
    pub const ALL: [SweepMeasure; 7] = [
        SweepMeasure::Specialisation,
        SweepMeasure::First,
        SweepMeasure::Weight,
        SweepMeasure::Prob,
        SweepMeasure::Norm,
        SweepMeasure::Reap,
        SweepMeasure::Largest,
    ];

    /// The word in options and titles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Specialisation => "specialisation",
            Self::First => "first",
            Self::Weight => "weight",
            Self::Prob => "prob",
            Self::Norm => "norm",
            Self::Reap => "reap",
            Self::Largest => "largest",
        }
    }

    /// What it is.
    pub fn about(self) -> &'static str {
        match self {
            Self::Specialisation => "share of tokens that chose the expert",
            Self::First => "share of tokens whose first choice it is",
            Self::Weight => "mean mixing weight where it was chosen",
            Self::Prob => "mean router probability over all tokens",
            Self::Norm => "mean norm of its outputs",
            Self::Reap => "REAP: mean norm times mixing weight",
            Self::Largest => "largest magnitude in its outputs",
        }
    }

    /// The value of an expert; `None` if no token chose it or it is not known.
    pub fn of(self, counts: &Counts, layer: usize, expert: usize) -> Option<f64> {
        let tokens = counts.one(Count::Tokens, layer);
        let chosen = counts.of(Count::Chosen, layer)[expert];
        let share = |part: u64| (tokens > 0).then(|| part as f64 / tokens as f64);
        let mean = |total, count| {
            let sum = counts.total(total, layer)[expert];
            sum.mean(count).filter(|_| sum != Sum::default())
        };
        match self {
            Self::Specialisation => share(chosen),
            Self::First => share(counts.of(Count::First, layer)[expert]),
            Self::Weight => mean(Total::Weight, chosen),
            Self::Prob => mean(Total::Prob, tokens),
            Self::Norm => mean(Total::Norm, chosen),
            Self::Reap => mean(Total::WeightedNorm, chosen),
            Self::Largest => Some(f64::from(counts.largest(layer)[expert])).filter(|largest| *largest > 0.0),
        }
    }

    /// The value of experts that are chosen at random; `None` if there is none.
    pub fn at_random(self, about: &About) -> Option<f64> {
        let (k, experts) = (about.model.shape.top_k as f64, about.model.shape.experts as f64);
        match self {
            Self::Specialisation => Some(k / experts),
            Self::First | Self::Prob => Some(1.0 / experts),
            _ => None,
        }
    }
}

/// What a view shows.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSpec {
    /// The view.
    pub view: SweepView,
    /// The measure, where there are several.
    pub measure: SweepMeasure,
    /// The group; `None`: all.
    pub group: Option<String>,
    /// The group that it is compared with; `None`: all.
    pub against: Option<String>,
    /// The layer, where one is shown.
    pub layer: usize,
    /// The expert, where one is shown.
    pub expert: usize,
    /// Prefill or decode.
    pub phase: Phase,
    /// Which tokens, in the vocabulary.
    pub kind: TokenKind,
    /// Which contexts.
    pub picked: PickedBy,
}

impl Default for SweepSpec {
    fn default() -> Self {
        Self {
            view: SweepView::Usage,
            measure: SweepMeasure::Specialisation,
            group: None,
            against: None,
            layer: 0,
            expert: 0,
            phase: Phase::Prefill,
            kind: TokenKind::Input,
            picked: PickedBy::Random,
        }
    }
}

/// A matrix of numbers with names.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepGrid {
    /// What it shows, in a sentence without a full stop.
    pub title: String,
    /// The name of the rows, and one for each.
    pub rows: (&'static str, Vec<String>),
    /// The name of the columns, and one for each.
    pub columns: (&'static str, Vec<String>),
    /// `[rows, columns]`; `None` where there is no number.
    pub values: Vec<Option<f64>>,
    /// The number to expect at random.
    pub at_random: Option<f64>,
    /// Whether the numbers are differences.
    pub is_signed: bool,
}

impl SweepGrid {
    /// The largest magnitude.
    pub fn most(&self) -> f64 {
        self.values.iter().flatten().fold(0.0, |most, value| value.abs().max(most))
    }

    /// The number in a row and column.
    pub fn value(&self, row: usize, column: usize) -> Option<f64> {
        self.values.get(row * self.columns.1.len() + column).copied().flatten()
    }
}

/// A token of an expert's vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct VocabularyEntry {
    /// Id of the token.
    pub id: u32,
    /// How often it occurred.
    pub count: u64,
    /// How often it chose the expert.
    pub chosen: u64,
    /// How often the expert was its first choice.
    pub first: u64,
}

impl Sweep {
    /// The counts of a group in a phase, or of all groups; `None` if there is nothing.
    pub fn counts(&self, group: Option<&str>, phase: Phase) -> Option<Counts> {
        let groups = self.groups.iter().filter(|(name, _)| group.is_none_or(|group| *name == group));
        let mut all = groups.filter_map(|(_, group)| group.phases.get(&phase));
        let mut sum = all.next()?.clone();
        all.for_each(|counts| sum.merge(counts));
        Some(sum)
    }

    /// The numbers of a view that is a matrix. With `other`, Compare shows the group of this sweep against the same view of
    /// that one.
    pub fn grid(&self, spec: &SweepSpec, other: Option<&Sweep>) -> Option<SweepGrid> {
        let shape = self.about.model.shape;
        let experts = || (0..shape.experts).map(|expert| format!("E{expert}")).collect::<Vec<_>>();
        let layers = || (0..shape.layers).map(|layer| format!("L{layer}")).collect::<Vec<_>>();
        let group = spec.group.as_deref();
        let name = |group: Option<&str>| group.map_or_else(|| "all groups".to_owned(), |group| format!("`{group}`"));
        let (layer, measure) = (spec.layer.min(shape.layers - 1), spec.measure);
        let of_layers = |counts: &Counts| -> Vec<Option<f64>> {
            let all = (0..shape.layers).flat_map(|layer| (0..shape.experts).map(move |expert| (layer, expert)));
            all.map(|(layer, expert)| measure.of(counts, layer, expert)).collect()
        };
        let by_pair = |values: &dyn Fn(&Counts, usize, usize) -> (u64, u64)| {
            let counts = self.counts(group, spec.phase)?;
            let all = (0..shape.experts).flat_map(|a| (0..shape.experts).map(move |b| (a, b)));
            let share = |(a, b)| {
                let (part, whole) = values(&counts, a, b);
                (whole > 0).then(|| part as f64 / whole as f64)
            };
            Some(all.map(share).collect::<Vec<_>>())
        };
        match spec.view {
            SweepView::Usage => Some(SweepGrid {
                title: format!("{}: {}", name(group), measure.about()),
                rows: ("layer", layers()),
                columns: ("expert", experts()),
                values: of_layers(&self.counts(group, spec.phase)?),
                at_random: measure.at_random(&self.about),
                is_signed: false,
            }),
            SweepView::Groups => {
                let of = |group: &String| {
                    let counts = self.counts(Some(group), spec.phase);
                    let value = move |expert| counts.as_ref().and_then(|counts| measure.of(counts, layer, expert));
                    (0..shape.experts).map(value).collect::<Vec<_>>()
                };
                Some(SweepGrid {
                    title: format!("layer {layer}: {}, by group", measure.about()),
                    rows: ("group", self.groups.keys().cloned().collect()),
                    columns: ("expert", experts()),
                    values: self.groups.keys().flat_map(of).collect(),
                    at_random: measure.at_random(&self.about),
                    is_signed: false,
                })
            }
            SweepView::Pairs => Some(SweepGrid {
                title: format!("{}, layer {layer}: share of the row's tokens that chose both", name(group)),
                rows: ("expert", experts()),
                columns: ("together with", experts()),
                values: by_pair(&|counts, a, b| match a == b {
                    true => (0, 0),
                    false => (counts.of(Count::Pairs, layer)[shape.pair(a, b)], counts.of(Count::Chosen, layer)[a]),
                })?,
                at_random: (shape.experts > 1).then(|| (shape.top_k as f64 - 1.0) / (shape.experts as f64 - 1.0)),
                is_signed: false,
            }),
            SweepView::Transitions => {
                let layer = layer.min(shape.layers.saturating_sub(2));
                Some(SweepGrid {
                    title: format!(
                        "{}, layer {layer} to {}: share of the row's first choices whose first choice is the column's",
                        name(group),
                        layer + 1
                    ),
                    rows: ("expert", experts()),
                    columns: ("next expert", experts()),
                    values: by_pair(&|counts, a, b| {
                        (counts.of(Count::NextFirst, layer)[a * shape.experts + b], counts.of(Count::First, layer)[a])
                    })?,
                    at_random: Some(1.0 / shape.experts as f64),
                    is_signed: false,
                })
            }
            SweepView::Compare => {
                let mine = of_layers(&self.counts(group, spec.phase)?);
                let (theirs, of_other) = match other {
                    Some(other) => {
                        (of_layers(&other.counts(spec.against.as_deref(), spec.phase)?), " of the other sweep")
                    }
                    None => (of_layers(&self.counts(spec.against.as_deref(), spec.phase)?), ""),
                };
                let difference = |(a, b): (Option<f64>, Option<f64>)| Some(a? - b?);
                Some(SweepGrid {
                    title: format!(
                        "{} minus {}{of_other}: {}",
                        name(group),
                        name(spec.against.as_deref()),
                        measure.about()
                    ),
                    rows: ("layer", layers()),
                    columns: ("expert", experts()),
                    values: mine.into_iter().zip(theirs).map(difference).collect(),
                    at_random: None,
                    is_signed: true,
                })
            }
            SweepView::Vocabulary | SweepView::Contexts => None,
        }
    }

    /// The tokens that are most specialised on the expert of the view, among those that occurred at least `least` times.
    pub fn vocabulary_of(&self, spec: &SweepSpec, least: u64) -> Vec<VocabularyEntry> {
        let Some(wide) = self.wide.get(&spec.phase) else { return Vec::new() };
        let tokens = wide.vocabulary.tokens(spec.kind, spec.layer).filter_map(|(id, first, chosen)| {
            let count: u64 = first.iter().sum();
            let entry =
                VocabularyEntry { id, count, chosen: *chosen.get(spec.expert)?, first: *first.get(spec.expert)? };
            (entry.chosen > 0 && count >= least).then_some(entry)
        });
        let mut entries: Vec<VocabularyEntry> = tokens.collect();
        // As fractions, exactly: a / b > c / d is a·d > c·b.
        entries.sort_by(|a, b| {
            let [left, right] = [(a, b), (b, a)].map(|(x, y)| u128::from(x.chosen) * u128::from(y.count));
            right.cmp(&left).then(b.count.cmp(&a.count)).then(a.id.cmp(&b.id))
        });
        entries
    }

    /// The contexts of the expert of the view.
    pub fn contexts_of(&self, spec: &SweepSpec) -> &[Sample] {
        self.wide.get(&spec.phase).map_or(&[], |wide| wide.contexts.of(spec.layer, spec.expert, spec.picked))
    }
}
