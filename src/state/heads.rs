//! How the heads are looked at: by which measure, in which order, one of them or all together.

use super::{Effect, State, Tab};
use crate::analysis::{HeadStats, Measure, Pick};
use crate::trace::Direction;
use serde::{Deserialize, Serialize};

/// On which text heads are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredOn {
    /// The run.
    Text,
    /// Random tokens given twice.
    Repeated,
}

/// Which heads are drawn large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// The one at the cursor.
    One,
    /// The mean over the heads of the layer.
    Mean,
    /// The maximum over the heads of the layer.
    Max,
}

/// From which side attention is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// From the cursor: the token there is the query.
    Row,
    /// To the cursor: the token there is the key.
    Column,
}

/// How the heads are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsView {
    /// What they are measured by.
    pub measure: Measure,
    /// On which text.
    pub on: MeasuredOn,
    /// Whether the best come first; else they stand by layer and head.
    pub sorted: bool,
    /// Which heads are drawn large.
    pub over: Over,
    /// From which side.
    pub side: Side,
    /// Whether weights are shown on a logarithmic scale.
    pub log: bool,
}

impl Default for HeadsView {
    fn default() -> Self {
        Self {
            measure: Measure::Entropy,
            on: MeasuredOn::Text,
            sorted: false,
            over: Over::One,
            side: Side::Row,
            log: false,
        }
    }
}

/// A head and its figure; `None` if it has none, or none yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Decoder layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// What the measure says.
    pub value: Option<f32>,
}

impl State {
    /// What is drawn large: the head at the cursor, or all heads of its layer.
    pub fn pick(&self) -> Pick {
        match self.heads.over {
            Over::One => Pick::One(self.cursor.head),
            Over::Mean => Pick::Mean,
            Over::Max => Pick::Max,
        }
    }

    /// What a head does on the chosen text, if that was measured.
    pub fn head_stats(&self, layer: usize, head: usize) -> Option<&HeadStats> {
        match self.heads.on {
            MeasuredOn::Text => self.derived.stats(layer, head),
            MeasuredOn::Repeated => self.derived.scores().and_then(|scores| scores.get(layer, head)),
        }
    }

    /// All heads of the model, by layer (the last first, as they are drawn) and head, or the best first.
    pub fn ranking(&self) -> Vec<Ranked> {
        let Some(dims) = self.meta().map(|meta| meta.dims) else { return Vec::new() };
        let value = |layer, head| self.head_stats(layer, head).and_then(|stats| self.heads.measure.of(stats));
        let heads = (0..dims.layers).rev().flat_map(|layer| (0..dims.heads).map(move |head| (layer, head)));
        let mut all: Vec<Ranked> =
            heads.map(|(layer, head)| Ranked { layer, head, value: value(layer, head) }).collect();
        if self.heads.sorted {
            self.sort(&mut all);
        }
        all
    }

    /// The best first; those without a figure last, by place.
    fn sort(&self, heads: &mut [Ranked]) {
        self.heads.measure.sort(heads, |ranked| ranked.value);
    }

    /// How many heads have been measured on the chosen text.
    pub fn measured(&self) -> usize {
        let Some(dims) = self.meta().map(|meta| meta.dims) else { return 0 };
        match self.heads.on {
            MeasuredOn::Text => self.derived.measured(),
            MeasuredOn::Repeated => self.derived.scores().map_or(0, |_| dims.layers * dims.heads),
        }
    }

    /// Whether heads are on the screen; if not, says where they are.
    pub(super) fn in_attention(&mut self) -> bool {
        if self.view != Tab::Attention {
            let summary = "heads are measured and sorted in Attention: 2 shows it".to_owned();
            self.say(summary);
        }
        self.view == Tab::Attention
    }

    pub(super) fn next_head_measure(&mut self) {
        let at = Measure::ALL.iter().position(|measure| *measure == self.heads.measure).unwrap_or(0);
        self.heads.measure = Measure::ALL[(at + 1) % Measure::ALL.len()];
    }

    pub(super) fn next_over(&mut self) {
        self.heads.over = match self.heads.over {
            Over::One => Over::Mean,
            Over::Mean => Over::Max,
            Over::Max => Over::One,
        };
    }

    pub(super) fn flip_side(&mut self) {
        self.heads.side = if self.heads.side == Side::Row { Side::Column } else { Side::Row };
    }

    pub(super) fn flip_measured_on(&mut self) {
        if self.meta().is_some_and(|meta| meta.recording.is_some()) {
            return self.say("random tokens have to be read by a model: this is a saved run, o opens a model");
        }
        self.heads.on = match self.heads.on {
            MeasuredOn::Text => MeasuredOn::Repeated,
            MeasuredOn::Repeated => MeasuredOn::Text,
        };
    }

    /// Goes to the next head or the one before: by place, or in the order of the sorted grid.
    pub(super) fn move_head(&mut self, direction: Direction) {
        if self.view == Tab::Attention && self.heads.sorted {
            return self.move_sorted(direction, 1);
        }
        let head = self.cursor.head;
        self.cursor.head = match direction {
            Direction::Back => head.saturating_sub(1),
            Direction::Forward => head + 1,
        };
    }

    /// Moves by `by` heads in the order of the sorted grid; stays where there is none.
    pub(super) fn move_sorted(&mut self, direction: Direction, by: usize) {
        let ranking = self.ranking();
        let at = ranking.iter().position(|r| (r.layer, r.head) == (self.cursor.layer, self.cursor.head));
        let to = at.and_then(|at| match direction {
            Direction::Back => at.checked_sub(by),
            Direction::Forward => Some(at + by),
        });
        // The last line may be shorter.
        let last = ranking.len().saturating_sub(1);
        let to = to.map(|to| if at.is_some_and(|at| at / by < last / by) { to.min(last) } else { to });
        if let Some(next) = to.and_then(|to| ranking.get(to)) {
            (self.cursor.layer, self.cursor.head) = (next.layer, next.head);
        }
    }

    /// Goes to the best head and says what it was chosen by.
    pub(super) fn go_to_best_head(&mut self) -> Vec<Effect> {
        let mut ranking = self.ranking();
        self.sort(&mut ranking);
        let (measure, known, all) = (self.heads.measure, self.measured(), ranking.len());
        let on = self.heads.on.name();
        let summary = match ranking.first().and_then(|best| best.value.map(|value| (best, value))) {
            Some((best, value)) => {
                (self.cursor.layer, self.cursor.head) = (best.layer, best.head);
                self.heads.over = Over::One;
                let extreme = if measure == Measure::Entropy { "lowest" } else { "highest" };
                let unit = if measure == Measure::Entropy { " nats" } else { "" };
                let of = if known < all {
                    format!("of {known} measured so far, of {all}")
                } else {
                    format!("of {all} heads")
                };
                format!("layer {} head {}: {extreme} {measure} {value:.4}{unit} {of}, {on}", best.layer, best.head)
            }
            None if known == 0 => format!("no head has been measured yet, {on}: the title says how far that is"),
            None => {
                format!("no token occurs twice, so there is no {measure} score {on}; R measures on repeated tokens")
            }
        };
        self.say(summary);
        Vec::new()
    }
}

impl MeasuredOn {
    /// For titles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "on this text",
            Self::Repeated => "on random tokens given twice",
        }
    }
}
