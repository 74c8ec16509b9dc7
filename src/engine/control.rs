use crate::trace::TokenRecord;
use std::fmt;
use std::sync::Arc;

/// How work is watched and stopped.
pub struct Control<'a> {
    /// Asked between layers.
    pub cancelled: &'a dyn Fn() -> bool,
    /// Told how far the work is, in token-layers, and how much it is in all.
    pub progress: &'a mut dyn FnMut(usize, usize),
    /// Told what the run consists of as it grows: its first tokens that still stand, and those that follow them now.
    pub arrived: &'a mut dyn FnMut(usize, &[Arc<TokenRecord>]),
}

/// The error of work that was cancelled.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}
