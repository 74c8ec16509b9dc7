//! The visible part of a list.

/// The `room` items of `len` around `at`, with `at` in the middle if there are enough on both sides.
pub fn window(at: usize, len: usize, room: usize) -> std::ops::Range<usize> {
    let start = at.saturating_sub(room / 2).min(len.saturating_sub(room));
    start..(start + room).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_keep_the_cursor_in_sight() {
        assert_eq!(window(0, 10, 4), 0..4);
        assert_eq!(window(9, 10, 4), 6..10);
        assert_eq!(window(5, 10, 4), 3..7);
        assert_eq!(window(2, 3, 9), 0..3);
        for at in 0..50 {
            assert!(window(at, 50, 7).contains(&at));
        }
    }
}
