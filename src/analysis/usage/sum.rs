/// A sum from which every addend can be subtracted exactly: fixed point, in units of 2⁻⁴⁰.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(i128);

impl Sum {
    const UNIT: f64 = (1u64 << 40) as f64;

    pub fn count(&mut self, x: f32, adds: bool) {
        // The conversion saturates; NaN becomes 0. Wrapping keeps even absurd sums reversible.
        let x = (f64::from(x) * Self::UNIT).round() as i128;
        self.0 = if adds { self.0.wrapping_add(x) } else { self.0.wrapping_sub(x) };
    }

    pub fn mean(self, of: usize) -> Option<f64> {
        (of > 0).then(|| self.0 as f64 / Self::UNIT / of as f64)
    }
}
