//! Signals that end a command.

use crate::app::Ended;
use crate::trace::remove_temporaries;
use nix::sys::signal::{SigSet, Signal, raise};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, fence};
use std::thread;

/// The signals after which a command removes its temporary files. The explorer has its own.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Removes temporary files before a signal ends the process. To be called before threads start, which inherit what is
/// blocked here. If the system refuses, the next command sweeps the files.
pub fn clean_up_at_end() {
    let ignored = ignored();
    let signals: SigSet = SIGNALS.into_iter().filter(|signal| ignored >> (*signal as u32 - 1) & 1 == 0).collect();
    if signals.thread_block().is_err() {
        return;
    }
    let wait = move || {
        while let Ok(signal) = signals.wait() {
            if FINISHES.load(Relaxed) {
                let is_first = !INTERRUPTED.load(Relaxed);
                if is_first {
                    BY.store(signal as i32, Relaxed);
                    INTERRUPTED.store(true, Release);
                }
                // Schedulers repeat SIGTERM, and send it to a process and to its group: only a person's second ctrl-c ends.
                if is_first || signal != Signal::SIGINT {
                    continue;
                }
            }
            remove_temporaries();
            // The process ends by the signal itself, which a shell tells from an exit.
            let ended = signals.thread_unblock().and_then(|()| raise(signal));
            std::process::exit(if ended.is_ok() { 128 + signal as i32 } else { 1 });
        }
    };
    if thread::Builder::new().name("signals".to_owned()).spawn(wait).is_err() {
        // Nothing was blocked before.
        let _ = signals.thread_unblock();
    }
}

/// Whether the command writes what it has when it is interrupted.
static FINISHES: AtomicBool = AtomicBool::new(false);
/// Whether such a command was interrupted.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The number of the signal that interrupted it.
static BY: AtomicI32 = AtomicI32::new(Signal::SIGINT as i32);

/// From now on a signal only sets what this returns, so that the command can write what it has. A second ctrl-c ends the
/// command.
pub fn finish_on_interrupt() -> &'static AtomicBool {
    FINISHES.store(true, Relaxed);
    &INTERRUPTED
}

/// The error of a command that was interrupted and wrote what it had; `when` says how far it came.
pub fn interrupted(when: &str) -> anyhow::Error {
    // Whoever saw the flag sees the signal that was stored before it.
    fence(Acquire);
    let signal = Signal::try_from(BY.load(Relaxed)).unwrap_or(Signal::SIGINT);
    anyhow::Error::from(Ended::by(signal)).context(format!("stopped {when}; the files hold what was computed"))
}

/// The signals that this process ignores, as under `nohup`, one bit each: those must not end it. All of them where the
/// system does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX)
}
