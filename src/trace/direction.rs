//! A direction through an ordered list.

/// A direction through tokens, matches, layers or undone actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what comes earlier.
    Back,
    /// To what comes later.
    Forward,
}
