//! The marks of choices of experts on the screen.

/// A near-tie: one ulp could have chosen another expert.
pub const NEAR_TIE: &str = "≈";
/// A place where an edit changed something.
pub const EDITED: &str = "*";
/// A flip that rounding can explain: a margin of at most 4 ulp.
pub const WITHIN_ROUNDING: &str = "~";
/// A flip where the scores of the last chosen and a rejected expert are equal.
pub const EXACT_TIE: &str = "=";
