/// 2⁶⁴: a sum is a whole multiple of 2⁻⁶⁴.
const SCALE: f64 = 18_446_744_073_709_551_616.0;

/// A sum that does not depend on the order of its numbers: each is rounded once, to a multiple of 2⁻⁶⁴, and the rest is
/// integer arithmetic.
///
/// A sum saturates at ±2⁶³, which no corpus reaches: a million million numbers may be 9 million each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(i128);

impl Sum {
    /// Adds a finite number.
    pub fn add(&mut self, number: f64) {
        self.0 = self.0.saturating_add((number * SCALE).round() as i128);
    }

    /// The sum of both.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The nearest number.
    pub fn value(self) -> f64 {
        self.0 as f64 / SCALE
    }

    /// The mean of `count` numbers; `None` of none.
    pub fn mean(self, count: u64) -> Option<f64> {
        (count > 0).then(|| self.value() / count as f64)
    }

    /// Low and high half of the integer, in two's complement.
    pub fn halves(self) -> [u64; 2] {
        [self.0 as u64, (self.0 >> 64) as u64]
    }

    /// The sum with these [`Sum::halves`].
    pub fn of_halves([low, high]: [u64; 2]) -> Self {
        Self((u128::from(high) << 64 | u128::from(low)) as i128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_order_gives_the_same_bits(mut numbers in prop::collection::vec(-1e6f64..1e6, 1..60), cut in 0..60usize) {
            let sum = |numbers: &[f64]| numbers.iter().fold(Sum::default(), |mut sum, x| { sum.add(*x); sum });
            let whole = sum(&numbers);
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            prop_assert_eq!(sum(right).plus(sum(left)), whole);
            prop_assert_eq!(Sum::of_halves(whole.halves()), whole);
            let plain: f64 = numbers.iter().sum();
            prop_assert!((whole.value() - plain).abs() <= 1e-6);
            numbers.reverse();
            prop_assert_eq!(sum(&numbers), whole);
        }
    }

    #[test]
    fn small_numbers_are_exact() {
        let mut sum = Sum::default();
        [0.1f32, 0.2, 1.0 / 3.0].into_iter().for_each(|x| sum.add(f64::from(x)));
        assert_eq!(sum.value(), f64::from(0.1f32) + f64::from(0.2f32) + f64::from(1.0f32 / 3.0));
        assert_eq!((sum.mean(0), Sum::default().mean(2)), (None, Some(0.0)));
    }
}
