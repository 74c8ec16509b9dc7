//! The panels of the views: one file a view.

pub mod attention;
pub mod contributions;
pub mod fidelity;
pub mod lens;
pub mod next;
pub mod routing;
