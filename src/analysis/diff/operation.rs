//! One operation of a recording, computed from the recording's own input of it: is its output what follows?
//!
//! Fed its input, an operation can differ by the order of its additions only, so what is left is far smaller than what any
//! other computation would leave. The limits were measured with transformers 5.24 in f32, f16 and bf16 at widths of 64 to
//! 4096, and lie between the largest rounding that was seen (relative L2 2e-4, 0.6 % of bf16 values unequal) and the
//! smallest effect of a real difference (6e-4).

use super::hook::share;
use crate::trace::{Dtype, Hook, HookKind as K};
use serde::Serialize;

/// How far the recorded output of one operation is from what follows from its recorded input.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// The output.
    pub hook: Hook,
    /// The decoder layer; `None` for hooks that occur once a pass.
    pub layer: Option<u32>,
    /// The hooks of the recording that it was computed from; empty for token ids.
    pub inputs: Vec<Hook>,
    /// Whether these are the operation's own inputs, with no other operation in between.
    pub direct: bool,
    /// The dtype that it is judged in: the coarser one of A and B.
    pub dtype: Dtype,
    /// The figures over all values.
    #[serde(flatten)]
    pub gap: Gap,
    /// For the choice of experts: tokens at which A and B differ because scores are equal, and because they are nearly so.
    pub ties: [usize; 2],
    /// The heads (queries, patterns, z) or experts (expert_out) that are beyond the limit, if it is not all of them.
    pub parts: Vec<usize>,
    /// The first position beyond the limit.
    pub position: Option<usize>,
    /// For an operation that is not direct: the relative L2 that rounding alone gives it.
    pub rounding: Option<f64>,
    /// Whether it is within the limit.
    pub ok: bool,
    /// Whether it is with a kind of rounding that was found.
    pub explained: bool,
    /// The positions with the largest differences, in ascending order.
    #[serde(skip)]
    pub worst: Vec<usize>,
    /// For expert_out: the experts that it was computed with `[pos, k]`.
    #[serde(skip)]
    pub chosen: Vec<u32>,
}

/// How two sets of values differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gap {
    /// Values compared.
    pub values: usize,
    /// Values that are equal in the coarser dtype; for a pattern, as far as an ulp of its scores allows.
    pub equal: usize,
    /// ‖a − b‖₂ / ‖a‖₂.
    pub relative_l2: f64,
    /// Largest |a − b| in ulps, at the value's own magnitude or the root mean square of all, whichever is larger.
    pub max_ulps: f64,
    /// Values that are NaN or infinite in one of them only.
    pub non_finite: usize,
    /// Those of them that are so in A.
    #[serde(skip)]
    non_finite_a: usize,
    #[serde(skip)]
    squares: [f64; 2],
}

/// The limit of one operation.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    relative_l2: f64,
    unequal: f64,
    max_ulps: f64,
    /// Relative size of an ulp, root mean square over a binade.
    ulp: f64,
    /// The relative L2 of a row that is left out. A row of a pattern moves by an ulp of its scores, which is not one of
    /// its values: there the largest difference, in ulps of the scores, is the bound.
    row: f64,
    /// Whether roundings inside move whole rows, so that a few rows have no share of unequal values to judge.
    has_inner: bool,
}

impl Limit {
    /// The limit for `kind` where numbers are exact in `dtype`.
    pub fn of(kind: K, dtype: Dtype) -> Self {
        // Looked up, copied, or the sum of two numbers: nothing to round otherwise.
        let exact = matches!(kind, K::Embed | K::ResidPre | K::ResidMid | K::ResidPost);
        // Share of bf16 values that may be unequal, by how many sums and roundings lie inside; in f16, whose ulp is an
        // eighth, eight times as many.
        let unequal = match kind {
            K::Ln1 | K::Ln2 | K::LnFinal | K::QNorm | K::KNorm => 2e-4,
            K::RotQ | K::RotK | K::Z | K::MlpOut => 2e-3,
            K::ExpertOut | K::SharedOut => 0.012,
            K::Pattern => 0.01,
            _ => 4e-3,
        };
        let norm =
            matches!(kind, K::Ln1 | K::Ln2 | K::LnFinal | K::QNorm | K::KNorm | K::MixingWeights | K::ExpertWeights);
        let mlp = matches!(kind, K::ExpertOut | K::SharedOut);
        let (relative_l2, unequal, max_ulps, ulp) = match dtype {
            Dtype::F32 if exact => (1e-6, 1.0, 64.0, 1e-7),
            Dtype::F32 if norm => (2e-6, 1.0, 256.0, 1e-7),
            Dtype::F32 => (1e-5, 1.0, 2048.0, 1e-7),
            Dtype::Bf16 if exact => (1e-4, 2e-3, 1.0, 5.6e-3),
            Dtype::Bf16 => (if mlp { 4e-4 } else { 2e-4 }, unequal, 2.5, 5.6e-3),
            Dtype::F16 if exact => (1e-4, 2e-3, 1.0, 7e-4),
            Dtype::F16 => (if mlp { 2e-4 } else { 1e-4 }, 8.0 * unequal, 8.0, 7e-4),
        };
        let row = if kind == K::Pattern { f64::INFINITY } else { ROW_ULPS * ulp };
        Self { relative_l2, unequal, max_ulps, ulp, row, has_inner: mlp }
    }

    /// Whether a gap is within the limit. A few values may be unequal by chance: four standard deviations.
    pub fn allows(&self, gap: &Gap) -> bool {
        if gap.non_finite > 0 || gap.values == 0 {
            return gap.values == 0;
        }
        let n = gap.values as f64;
        let expected = self.unequal * n;
        let unequal = (expected + 4.0 * expected.sqrt() + 2.0).min(n);
        let by_chance = self.ulp * (unequal / n).sqrt();
        (gap.values - gap.equal) as f64 <= unequal
            && gap.relative_l2 <= self.relative_l2.max(if self.unequal < 1.0 { by_chance } else { 0.0 })
            && gap.max_ulps <= self.max_ulps
    }
}

/// Share of the rows that are left out of the verdict, and how many of few: one rounding that falls to the other side inside
/// an operation moves many values of a row by an ulp, but none by much more.
const LEFT_OUT: f64 = 0.04;
const FEW_ROWS: usize = 2;
/// Of fewer rows than this one is left out.
const MANY_ROWS: usize = 8;
/// The relative L2 of a row that is left out, in ulps: the largest seen with a right program was 0.62, in f16.
const ROW_ULPS: f64 = 1.0;

impl Limit {
    /// Whether the gap of most rows is within the limit, and none is beyond the largest difference of a value.
    pub fn allows_most(&self, rows: &[Gap]) -> bool {
        let all = rows.iter().copied().fold(Gap::default(), Gap::and);
        if self.allows(&all) || all.values == 0 {
            return true;
        }
        if all.non_finite > 0 || all.max_ulps > self.max_ulps || self.unequal >= 1.0 {
            return false;
        }
        if self.has_inner && rows.len() < MANY_ROWS {
            return rows.iter().all(|row| row.relative_l2 <= self.row);
        }
        let few = if rows.len() < MANY_ROWS { 1 } else { FEW_ROWS };
        let most = ((rows.len() as f64 * LEFT_OUT) as usize).max(few).min(rows.len());
        let mut rows: Vec<&Gap> = rows.iter().collect();
        rows.sort_by(|a, b| b.squares[0].total_cmp(&a.squares[0]));
        let (left_out, rest) = rows.split_at(most);
        let rest = rest.iter().fold(Gap::default(), |sum, row| sum.and(**row));
        self.allows(&rest) && left_out.iter().all(|row| row.relative_l2 <= self.row)
    }
}

impl Gap {
    /// Adds a pair of values. `equal` says whether they count as equal, `ulp` is the size of one at their magnitude.
    pub fn add(&mut self, a: f32, b: f32, equal: bool, ulp: f32) {
        self.values += 1;
        let (a_finite, b_finite) = (a.is_finite(), b.is_finite());
        if !a_finite || !b_finite {
            // Both infinite, as masked scores are, is no difference.
            let same = a == b || a.is_nan() && b.is_nan();
            self.non_finite += usize::from(!same);
            self.non_finite_a += usize::from(!same && !a_finite);
            self.equal += usize::from(same);
            return;
        }
        let gap = f64::from(a) - f64::from(b);
        self.equal += usize::from(equal);
        self.squares[0] += gap * gap;
        self.squares[1] += f64::from(a) * f64::from(a);
        if !equal {
            self.max_ulps = self.max_ulps.max(gap.abs() / f64::from(ulp));
        }
    }

    /// The gap with its relative L2, once all values are added.
    #[must_use]
    pub fn done(self) -> Self {
        let relative_l2 = match self.squares {
            [0.0, _] => 0.0,
            [gap, all] => (gap / all).sqrt(),
        };
        Self { relative_l2, ..self }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        let squares = [self.squares[0] + other.squares[0], self.squares[1] + other.squares[1]];
        Self {
            values: self.values + other.values,
            equal: self.equal + other.equal,
            relative_l2: 0.0,
            max_ulps: self.max_ulps.max(other.max_ulps),
            non_finite: self.non_finite + other.non_finite,
            non_finite_a: self.non_finite_a + other.non_finite_a,
            squares,
        }
        .done()
    }

    /// Share of equal values, 0 to 1.
    pub fn share(&self) -> f64 {
        share(self.equal, self.values)
    }

    /// Which values are not finite, as part of a sentence.
    pub fn non_finite_words(&self) -> String {
        let are = |n: usize| if n == 1 { "value is" } else { "values are" };
        match (self.non_finite_a, self.non_finite - self.non_finite_a) {
            (a, 0) => format!("{a} {} NaN or infinite in A, where the model gives numbers", are(a)),
            (0, b) => format!(
                "the model gives {b} {} NaN or infinite, where A has numbers",
                if b == 1 { "value that is" } else { "values that are" }
            ),
            (a, b) => format!("{} {} NaN or infinite in A or in the model's values", a + b, are(a + b)),
        }
    }

    /// The gap as part of a sentence; in f32 no values need be equal.
    pub fn words(&self, dtype: Dtype) -> String {
        let size = match self.relative_l2.is_finite() {
            true => format!("relative L2 {}", short(self.relative_l2)),
            false => "values where A has zeros".to_owned(),
        };
        if dtype == Dtype::F32 { size } else { format!("{} of values equal, {size}", percent(self.share())) }
    }
}

/// A share in percent that never rounds to 100 or 0 unless it is.
fn percent(share: f64) -> String {
    match share * 100.0 {
        all @ (0.0 | 100.0) => format!("{all:.0} %"),
        some => format!("{:.2} %", some.clamp(0.01, 99.99)),
    }
}

fn short(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") }
}
