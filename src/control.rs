//! How work is cancelled and how it reports its progress: one shape for the pass, the engine, downloads and files.
//!
//! Every room may name this leaf; it names nothing.

use std::fmt;

/// Cancellation and progress of one piece of work. Copies are cheap.
///
/// Intermediate results (tokens, files of a download) are not progress: they go through a callback of their own.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    is_cancelled: &'a (dyn Fn() -> bool + Sync),
    progress: &'a (dyn Fn(usize, usize) + Sync),
    /// The control that this one was derived from; cancelling it cancels this one.
    outer: Option<&'a Control<'a>>,
    /// Units done before this part of the work, and units in all.
    part: Option<(usize, usize)>,
}

impl Control<'static> {
    /// Work that nobody cancels or watches.
    pub fn none() -> Self {
        Self::new(&|| false, &|_, _| {})
    }
}

impl<'a> Control<'a> {
    /// `is_cancelled` is called often, so it should be cheap. `progress` takes the units done and the units in all; the
    /// work defines the units.
    pub fn new(is_cancelled: &'a (dyn Fn() -> bool + Sync), progress: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self { is_cancelled, progress, outer: None, part: None }
    }

    /// Work that can be cancelled and whose progress nobody watches.
    pub fn cancelled_by(is_cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self::new(is_cancelled, &|_, _| {})
    }

    /// Work that is watched and never cancelled.
    pub fn watched_by(progress: &'a (dyn Fn(usize, usize) + Sync)) -> Self {
        Self::new(&|| false, progress)
    }

    /// The same control, cancelled also as soon as `is_over`.
    pub fn until(&'a self, is_over: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { is_cancelled: is_over, outer: Some(self), ..*self }
    }

    /// The same cancellation for a part of the work: progress counts from `done_before`, and the total is `total`,
    /// whatever total the part reports.
    pub fn part(&self, done_before: usize, total: usize) -> Self {
        let (before, total) = self.part.map_or((done_before, total), |(before, all)| (before + done_before, all));
        Self { part: Some((before, total)), ..*self }
    }

    /// The same cancellation; progress is dropped.
    pub fn quiet(&self) -> Self {
        Self { progress: &|_, _| {}, ..*self }
    }

    /// Whether the work must stop.
    pub fn is_cancelled(&self) -> bool {
        (self.is_cancelled)() || self.outer.is_some_and(Control::is_cancelled)
    }

    /// Returns an error if the work must stop.
    ///
    /// # Errors
    /// [`Stopped`] if the work is cancelled.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }

    /// Reports `done` of `total` units.
    pub fn progress(&self, done: usize, total: usize) {
        let (done, total) = self.part.map_or((done, total), |(before, all)| (before + done, all));
        (self.progress)(done, total);
    }
}

/// The error of cancelled work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_derived_control_is_cancelled_by_either_condition() {
        let [first, second] = [AtomicBool::new(false), AtomicBool::new(false)];
        let is_cancelled = || first.load(Ordering::Relaxed);
        let is_over = || second.load(Ordering::Relaxed);
        let whole = Control::cancelled_by(&is_cancelled);
        let part = whole.until(&is_over);
        assert_eq!((whole.check(), part.check()), (Ok(()), Ok(())));
        second.store(true, Ordering::Relaxed);
        assert_eq!((whole.check(), part.check()), (Ok(()), Err(Stopped)));
        second.store(false, Ordering::Relaxed);
        first.store(true, Ordering::Relaxed);
        assert_eq!((whole.check(), part.check()), (Err(Stopped), Err(Stopped)));
    }

    #[test]
    fn parts_count_from_where_they_begin() {
        let seen = Mutex::new(Vec::new());
        let progress = |done, total| seen.lock().unwrap().push((done, total));
        let whole = Control::watched_by(&progress);
        whole.progress(1, 9);
        whole.part(4, 20).progress(1, 9);
        whole.part(4, 20).part(10, 11).progress(1, 1);
        whole.quiet().progress(5, 5);
        assert_eq!(*seen.lock().unwrap(), [(1, 9), (5, 20), (15, 20)]);
    }
}
