use serde::{Deserialize, Serialize};

/// The sizes of a sweep's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Decoder layers.
    pub layers: usize,
    /// Experts of a layer.
    pub experts: usize,
    /// Experts chosen for a token.
    pub top_k: usize,
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// Tokens of a window.
    pub window: usize,
}

impl Shape {
    /// The number of pairs of different experts.
    pub fn pairs(self) -> usize {
        self.experts * self.experts.saturating_sub(1) / 2
    }

    /// The index of a pair of different experts.
    pub fn pair(self, a: usize, b: usize) -> usize {
        let (a, b) = (a.min(b), a.max(b));
        a * (2 * self.experts - a - 1) / 2 + b - a - 1
    }

    /// The number of ranges of positions: 0, 1..3, 3..7, 7..15, and so on up to the window.
    pub fn ranges(self) -> usize {
        Self::range_of(self.window.max(1) - 1) + 1
    }

    /// The range that holds a position.
    pub fn range_of(position: usize) -> usize {
        (position + 1).ilog2() as usize
    }

    /// First and last position of a range.
    pub fn range(self, range: usize) -> (usize, usize) {
        ((1 << range) - 1, ((2 << range) - 2).min(self.window.max(1) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_ranges_are_dense() {
        let shape = Shape { layers: 1, experts: 5, top_k: 2, vocab: 9, window: 100 };
        let all = (0..5).flat_map(|a| (a + 1..5).map(move |b| (a, b)));
        assert_eq!(all.map(|(a, b)| shape.pair(b, a)).collect::<Vec<_>>(), (0..shape.pairs()).collect::<Vec<_>>());
        for position in 0..100 {
            let (from, to) = shape.range(Shape::range_of(position));
            assert!((from..=to).contains(&position), "{position}");
        }
        assert_eq!((shape.ranges(), shape.range(6)), (7, (63, 99)));
    }
}
