//! The vertical scale of a plot, linear or logarithmic.

/// A vertical axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f32,
    high: f32,
    is_log: bool,
    /// Whether small values are on top, as for ranks.
    is_flipped: bool,
    /// Whether some values are below a logarithmic axis.
    has_less: bool,
}

/// The smallest probability on a logarithmic axis.
const LEAST: f32 = 1e-12;
/// The largest power of ten of an `f32`.
const MOST_DECADES: f32 = 38.0;

impl Scale {
    /// A scale of probabilities: 0 to 1, or the decades down to the smallest value.
    pub fn probabilities(values: impl Iterator<Item = f32> + Clone, is_log: bool) -> Self {
        let least = values.clone().filter(|p| *p > 0.0).fold(0.1, f32::min).max(LEAST);
        let low = if is_log { 10f32.powf(least.log10().floor()) } else { 0.0 };
        Self { low, high: 1.0, is_log, is_flipped: false, has_less: is_log && below(values, low) }
    }

    /// A scale of ranks, 1 on top.
    pub fn ranks(values: impl Iterator<Item = f32>, is_log: bool) -> Self {
        let most = values.filter(|rank| rank.is_finite()).fold(2.0, f32::max);
        let high = if is_log { 10f32.powf(most.log10().ceil().min(MOST_DECADES)) } else { most };
        Self { low: 1.0, high, is_log, is_flipped: true, has_less: false }
    }

    /// A scale of nats, from 0 or from the decade of the smallest value.
    pub fn nats(values: impl Iterator<Item = f32> + Clone, is_log: bool) -> Self {
        let most = values.clone().filter(|v| v.is_finite()).fold(0.1, f32::max);
        let least = values.clone().filter(|v| *v > 0.0).fold(0.1, f32::min).max(1e-6);
        let (low, high) = if is_log {
            (10f32.powf(least.log10().floor()), 10f32.powf(most.log10().ceil().min(MOST_DECADES)))
        } else {
            (0.0, most.ceil())
        };
        Self { low, high, is_log, is_flipped: false, has_less: is_log && below(values, low) }
    }

    /// The height of a value: 0 at the bottom, 1 on top. Values too small for a logarithmic axis are at its end.
    pub fn height(&self, value: f32) -> f32 {
        let (low, high, value) = if self.is_log {
            (self.low.log10(), self.high.log10(), value.max(self.low).log10())
        } else {
            (self.low, self.high, value)
        };
        let share = ((value - low) / (high - low)).clamp(0.0, 1.0);
        if self.is_flipped { 1.0 - share } else { share }
    }

    /// Heights and numbers of the axis for `rows` lines of screen.
    pub fn ticks(&self, rows: usize) -> Vec<(f32, String)> {
        let values: Vec<f32> = if self.is_log {
            let (low, high) = (self.low.log10().round() as i32, self.high.log10().round() as i32);
            let every = ((high - low + 1) as usize).div_ceil((rows / 2).max(2)).max(1);
            (low..=high).rev().step_by(every).map(|decade| 10f32.powi(decade)).collect()
        } else {
            let parts = if rows >= 9 { 4 } else { 2 };
            (0..=parts).map(|i| self.low + (self.high - self.low) * (i as f32 / parts as f32)).collect()
        };
        values.into_iter().map(|value| (self.height(value), self.label(value))).collect()
    }

    fn label(&self, value: f32) -> String {
        if self.is_flipped {
            format!("{value:.0}")
        } else if self.is_log {
            let below = if self.has_less && self.height(value) == 0.0 { "≤" } else { "" };
            if (0.001..1000.0).contains(&value) { format!("{below}{value}") } else { format!("{below}{value:e}") }
        } else {
            format!("{value:.2}")
        }
    }
}

fn below(mut values: impl Iterator<Item = f32>, low: f32) -> bool {
    values.any(|value| value < low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_linear_and_by_decades() {
        let values = [0.5, 3e-5, 0.0];
        let linear = Scale::probabilities(values.into_iter(), false);
        assert_eq!([0.0, 0.5, 1.0].map(|p| linear.height(p)), [0.0, 0.5, 1.0]);
        let log = Scale::probabilities(values.into_iter(), true);
        assert!((log.height(1e-5)).abs() < 1e-5 && (log.height(0.1) - 0.8).abs() < 1e-5);
        assert_eq!(log.height(0.0), 0.0, "nothing is below the axis");
        let labels: Vec<String> = log.ticks(20).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1", "0.1", "0.01", "0.001", "1e-4", "≤1e-5"]);
        assert_eq!(log.ticks(4).len(), 2);
    }

    #[test]
    fn rank_one_is_on_top() {
        for is_log in [false, true] {
            let ranks = Scale::ranks([1.0, 700.0].into_iter(), is_log);
            assert_eq!(ranks.height(1.0), 1.0);
            assert!(ranks.height(2.0) < 1.0 && ranks.height(700.0) < ranks.height(50.0));
        }
        assert_eq!(Scale::ranks([1.0].into_iter(), false).ticks(3)[0], (1.0, "1".to_owned()));
    }

    #[test]
    fn nats_begin_at_zero() {
        let nats = Scale::nats([3.2, 0.0].into_iter(), false);
        assert_eq!((nats.height(0.0), nats.height(4.0)), (0.0, 1.0));
        let log = Scale::nats([3.2, 0.02].into_iter(), true);
        assert!((log.height(0.1) - 1.0 / 3.0).abs() < 1e-5, "{}", log.height(0.1));
        assert_eq!(log.height(0.0), 0.0);
    }

    #[test]
    fn values_near_the_largest_number_have_an_axis_too() {
        for is_log in [false, true] {
            for most in [2e38, f32::MAX, f32::INFINITY] {
                for scale in
                    [Scale::nats([most, 0.5].into_iter(), is_log), Scale::ranks([most, 1.0].into_iter(), is_log)]
                {
                    let ticks = scale.ticks(12);
                    assert!(
                        ticks.len() < 20 && ticks.iter().all(|(height, _)| height.is_finite()),
                        "{scale:?} {ticks:?}"
                    );
                    assert!(scale.height(1.0).is_finite() && scale.height(most).is_finite(), "{scale:?}");
                }
            }
        }
    }
}
