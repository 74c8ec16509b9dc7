//! Two texts, token by token: which positions of one belong to which of the other.

/// A row of the alignment: the positions in A and in B; `None` where the other text has no counterpart.
pub type Aligned = (Option<usize>, Option<usize>);

/// Aligns two texts. Texts of equal length go position by position, so that an exchanged word stands beside what replaced it;
/// others by their common beginning and end, with what is between them after each other, first that of A.
pub fn align(a: &[u32], b: &[u32]) -> Vec<Aligned> {
    if a.len() == b.len() {
        return (0..a.len()).map(|pos| (Some(pos), Some(pos))).collect();
    }
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&a[start..], &b[start..]);
    let end = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let both =
        |from_a: usize, from_b: usize, count: usize| (0..count).map(move |i| (Some(from_a + i), Some(from_b + i)));
    let (middle_a, middle_b) = (start..a.len() - end, start..b.len() - end);
    both(0, 0, start)
        .chain(middle_a.map(|pos| (Some(pos), None)))
        .chain(middle_b.map(|pos| (None, Some(pos))))
        .chain(both(a.len() - end, b.len() - end, end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(a: &[u32], b: &[u32]) -> Vec<String> {
        let name = |of: Option<usize>| of.map_or("-".to_owned(), |pos| pos.to_string());
        align(a, b).into_iter().map(|(a, b)| format!("{} {}", name(a), name(b))).collect()
    }

    #[test]
    fn texts_are_aligned_by_what_they_share() {
        assert_eq!(rows(&[1, 2, 3], &[1, 9, 8]), ["0 0", "1 1", "2 2"]);
        assert_eq!(rows(&[1, 2, 3, 4], &[1, 9, 8, 3, 4]), ["0 0", "1 -", "- 1", "- 2", "2 3", "3 4"]);
        assert_eq!(rows(&[1, 2], &[1, 2, 2]), ["0 0", "1 1", "- 2"], "what is shared is not counted twice");
        assert_eq!(rows(&[], &[5]), ["- 0"]);
    }
}
