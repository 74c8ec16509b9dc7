//! Calls of libraries on data from elsewhere: bounded in time and stack, and their panics are errors.

use anyhow::{Context, Result, anyhow, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// The name of the threads that make the calls.
const THREAD: &str = "mixscope bounded call";

/// Bytes of their stacks, of which only what is used takes memory. Parsers and values of templates recurse.
const STACK: usize = 256 << 20;

/// Runs `work` on a thread of its own. `who` begins the messages: `the tokenizer library`.
///
/// A thread can't be ended, so work that takes too long goes on until the process ends.
///
/// # Errors
/// If it takes longer than `limit`, or panics.
pub fn bounded<T: Send + 'static>(
    who: &str,
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    silence();
    let (done, result) = sync_channel(1);
    let guarded = move || {
        let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
        });
        // The receiver is gone if this took too long.
        let _ = done.send(outcome);
    };
    let thread = std::thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
    thread.spawn(guarded).with_context(|| {
        format!(
            "the file may be sound: the system can't start a thread with a stack of {} MiB; raise its limits on memory \
             and processes (ulimit -v, ulimit -u)",
            STACK >> 20
        )
    })?;
    match result.recv_timeout(limit) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => Err(anyhow!("{who} failed on it ({})", panic.trim())),
        Err(RecvTimeoutError::Timeout) => bail!("{who} did not end within {} s", limit.as_secs()),
        Err(RecvTimeoutError::Disconnected) => bail!("{who} failed on it"),
    }
}

/// Lets panics of these threads print nothing: they are reported as errors.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(THREAD) {
                print(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_endless_work_are_errors() {
        let limit = Duration::from_millis(50);
        assert_eq!(bounded("it", limit, || Ok(7)).unwrap(), 7);
        let panics = bounded::<()>("the library", limit, || panic!("index {}", 3)).unwrap_err();
        assert_eq!(panics.to_string(), "the library failed on it (index 3)");
        let sleeps = || {
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        };
        assert!(bounded("it", limit, sleeps).unwrap_err().to_string().contains("did not end"));
    }
}
