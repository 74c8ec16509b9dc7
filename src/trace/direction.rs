//! A way through something that has an order.

/// The way through tokens, matches, layers, undone actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what comes earlier.
    Back,
    /// To what comes later.
    Forward,
}
