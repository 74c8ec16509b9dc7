//! The lines of the text at the width of the last frame.

use std::ops::Range;

/// Lines of whole tokens, kept along with the run: a new token changes the last line only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    room: usize,
    /// First token of each line.
    starts: Vec<usize>,
    /// Cells used in the last line.
    used: usize,
    /// Tokens in all lines.
    tokens: usize,
}

impl Lines {
    /// The lines of `shown` (each token as it is drawn, and its width), each at most `room` cells wide; a wider token
    /// has a line of its own.
    pub fn of(shown: &[(String, u16)], room: usize) -> Self {
        let mut lines = Self { room, ..Self::default() };
        lines.extend(shown);
        lines
    }

    /// The width of the lines, cells; 0 before the first frame.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Adds the new tokens of `shown`.
    pub(in crate::state) fn extend(&mut self, shown: &[(String, u16)]) {
        if self.room == 0 {
            return;
        }
        for (pos, (_, cells)) in shown.iter().enumerate().skip(self.tokens) {
            let cells = usize::from(*cells).min(self.room);
            if self.starts.is_empty() || self.used + cells > self.room {
                self.starts.push(pos);
                self.used = 0;
            }
            self.used += cells;
        }
        self.tokens = shown.len();
    }

    /// Removes the tokens from `len` on; `shown` still holds the tokens before them.
    pub(in crate::state) fn truncate(&mut self, shown: &[(String, u16)], len: usize) {
        if len >= self.tokens {
            return;
        }
        self.starts.truncate(self.starts.partition_point(|start| *start < len));
        let last = self.starts.last().copied().unwrap_or(0);
        self.used = shown[last..len].iter().map(|(_, cells)| usize::from(*cells).min(self.room)).sum();
        self.tokens = len;
    }

    /// The number of lines.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The tokens of a line.
    pub fn tokens(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.tokens);
        start..self.starts.get(line + 1).copied().unwrap_or(self.tokens)
    }

    /// The line of the token at `pos`.
    pub fn line_of(&self, pos: usize) -> usize {
        self.starts.partition_point(|start| *start <= pos).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(cells: &[u16]) -> Vec<(String, u16)> {
        cells.iter().map(|cells| (String::new(), *cells)).collect()
    }

    #[test]
    fn tokens_fill_lines_and_wide_ones_stand_alone() {
        let lines = Lines::of(&shown(&[3, 3, 4, 1, 30, 2, 8]), 10);
        let tokens: Vec<_> = (0..lines.count()).map(|line| lines.tokens(line)).collect();
        assert_eq!(tokens, [0..3, 3..4, 4..5, 5..7]);
        assert_eq!([0, 2, 3, 4, 6].map(|pos| lines.line_of(pos)), [0, 0, 1, 2, 3]);
        assert_eq!((Lines::of(&[], 10).count(), Lines::of(&[], 10).line_of(0)), (0, 0));
    }

    proptest! {
        #[test]
        fn lines_kept_beside_a_run_are_those_of_the_whole(
            steps in prop::collection::vec((prop::collection::vec(0u16..15, 0..9), 0usize..40), 1..9),
            room in 1usize..20,
        ) {
            let mut run = Vec::new();
            let mut lines = Lines::of(&run, room);
            for (cells, len) in steps {
                run.extend(shown(&cells));
                lines.extend(&run);
                lines.truncate(&run, len);
                run.truncate(len);
                prop_assert_eq!(&lines, &Lines::of(&run, room));
                prop_assert!((0..run.len()).all(|pos| lines.tokens(lines.line_of(pos)).contains(&pos)));
            }
        }
    }
}
