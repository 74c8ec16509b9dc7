//! Bodies that arrive too slowly.

use std::io::{Error, ErrorKind, Read, Result};
use std::time::{Duration, Instant};

/// A connection that brings less counts as stalled, bytes per second.
const LEAST: f64 = 64.0;

/// A body that must go on arriving: a server that sends a byte now and then would be waited for without end.
pub(super) struct Paced<R> {
    inner: R,
    stall: Duration,
    since: Instant,
    bytes: u64,
}

impl<R> Paced<R> {
    /// `stall` is the time over which the speed is measured.
    pub(super) fn new(inner: R, stall: Duration) -> Self {
        Self { inner, stall, since: Instant::now(), bytes: 0 }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds < self.stall.as_secs_f64() || count == 0 {
            return Ok(count);
        }
        if (self.bytes as f64) < LEAST * seconds {
            let what = format!("connection brought only {} bytes in {seconds:.1} s", self.bytes);
            return Err(Error::new(ErrorKind::TimedOut, what));
        }
        (self.since, self.bytes) = (Instant::now(), 0);
        Ok(count)
    }
}
