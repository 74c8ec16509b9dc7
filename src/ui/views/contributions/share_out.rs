//! The number of lines of each section.

/// The number of lines of each section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Heading, columns, experts, rounding; or one line.
    pub experts: usize,
    /// Heading, heads, rounding; or one line.
    pub heads: usize,
    /// Heading, layers, embedding; or one line or two.
    pub layers: usize,
}

impl Lines {
    /// All lines of the sections for so many experts, heads and layers.
    pub fn whole(experts: usize, heads: usize, layers: usize) -> Self {
        Self { experts: experts + 3, heads: heads + 2, layers: layers + 2 }
    }

    /// The sum.
    pub fn sum(self) -> usize {
        self.experts + self.heads + self.layers
    }

    /// The lines of each section in `room` lines. Each section gets one line first. Then the experts get their rows,
    /// and heads and layers half of the rest each, or all they need.
    pub fn of(room: usize, experts: usize, heads: usize, layers: usize) -> Self {
        let whole = Self::whole(experts, heads, layers);
        if room >= whole.sum() {
            return whole;
        }
        let mut lines =
            Self { experts: usize::from(room > 0), heads: usize::from(room > 2), layers: usize::from(room > 1) };
        let mut left = room - lines.sum();
        let rows = experts + 1;
        // A table has a heading, its columns, and rows.
        let table = rows.min((left / 2).max(3));
        if table <= left {
            lines.experts += table;
            left -= table;
        }
        let more = (whole.layers - 1).min((left / 2).max(left.saturating_sub(whole.heads - 1)));
        lines.layers += more;
        left -= more;
        let more = (whole.heads - 1).min(left);
        lines.heads += more;
        left -= more;
        if lines.experts > 1 {
            lines.experts += left.min(whole.experts - lines.experts);
        }
        lines
    }
}

/// The number of `count` rows shown in `room` lines: all, or one less than fit, as the others are summed in a line.
pub fn rows(count: usize, room: usize) -> usize {
    if count <= room { count } else { room.saturating_sub(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shared_out_and_none_is_given_twice() {
        for room in 0..90 {
            for (experts, heads, layers) in [(2, 8, 6), (2, 32, 32), (1, 1, 1), (8, 4, 2)] {
                let (lines, whole) = (Lines::of(room, experts, heads, layers), Lines::whole(experts, heads, layers));
                assert!(lines.sum() <= room, "{room}: {lines:?}");
                assert!(lines.experts <= whole.experts && lines.heads <= whole.heads && lines.layers <= whole.layers);
                assert!(room < 3 || lines.experts > 0 && lines.heads > 0 && lines.layers > 0, "{room}: {lines:?}");
                assert!(room < whole.sum() || lines == whole, "{room}: {lines:?}");
                assert!(lines.experts == 1 || lines.experts != 2, "a table without a row");
                assert!(room < 20 || lines.sum() == room.min(whole.sum()), "{room}: {lines:?} leaves lines blank");
            }
        }
        assert_eq!(Lines::of(6, 2, 8, 6), Lines { experts: 4, heads: 1, layers: 1 }, "as at 100×30");
        assert_eq!([rows(3, 3), rows(3, 2), rows(3, 0)], [3, 1, 0]);
    }
}
