//! Repeats requests whose failure may be temporary.

use super::client::Client;
use super::fault::Fault;
use anyhow::Result;
use std::time::Duration;

/// How often a request was retried.
#[derive(Default)]
pub(super) struct Patience {
    used: u32,
    stubborn: bool,
}

impl Patience {
    /// Retries also if the server can't be reached.
    pub(super) fn stubborn() -> Self {
        Self { used: 0, stubborn: true }
    }

    /// Repeats `request` while that may help, and notes each retry.
    pub(super) fn retry<T>(
        mut self,
        client: &Client,
        note: &dyn Fn(String),
        mut request: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        loop {
            match request() {
                Ok(value) => return Ok(value),
                Err(fault) => self.again(client, fault, note)?,
            }
        }
    }

    /// Starts counting again.
    pub(super) fn reset(&mut self) {
        self.used = 0;
    }

    /// Waits before the next try; returns the fault if there will be none.
    pub(super) fn again(&mut self, client: &Client, fault: Fault, note: &dyn Fn(String)) -> Result<(), Fault> {
        client.check()?;
        let (what, requested) = match &fault {
            Fault::Unreachable(what) if self.stubborn => (what.clone(), None),
            Fault::Passing(what, wait) => (what.clone(), *wait),
            _ => return Err(fault),
        };
        if self.used >= client.retries {
            return Err(fault);
        }
        let base = client.stall.min(Duration::from_secs(1));
        let wait = requested.unwrap_or(base * (1 << self.used.min(5)));
        self.used += 1;
        note(format!("{what}; trying again ({} of {})", self.used, client.retries));
        Ok(client.sleep(wait)?)
    }
}
