use super::{Edit, Meta, Policy};
use std::fmt;
use std::sync::Arc;

/// How a run is computed: what the two sides of a comparison of the same tokens differ in.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The precision policy.
    pub policy: Policy,
    /// The edits of the pass, in their order.
    pub edits: Arc<[Edit]>,
}

impl Variant {
    /// The variant of a run.
    pub fn of(meta: &Meta) -> Self {
        Self { policy: meta.policy, edits: meta.edits.clone() }
    }

    /// The variant under a policy without edits.
    pub fn plain(policy: Policy) -> Self {
        Self { policy, edits: [].into() }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.edits {
            [] => write!(f, "{}", self.policy),
            [edit] => write!(f, "{} + {edit}", self.policy),
            edits => write!(f, "{} + {} edits", self.policy, edits.len()),
        }
    }
}
