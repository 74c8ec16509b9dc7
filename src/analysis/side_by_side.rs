//! Numbers of two runs side by side that are not in their records.

/// How far two runs are apart, by aligned position and by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Distance {
    /// KL(A ‖ B) of the distributions after each aligned row, nats; `None` where one text has no counterpart.
    pub kl: Vec<Option<f64>>,
    /// L2 norm of the difference of `resid_post` over all aligned positions, divided by that of A, by layer.
    pub residual: Vec<f64>,
}
