//! A scan of every weight: NaN, infinity, and magnitudes that no trained model has.

use crate::control::{Control, Stopped};
use crate::model::weights::{Store, Stored, Tally, tally};
use crate::trace::{Level, Report};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many findings of one kind are listed one by one.
pub(super) const SPELLED_OUT: usize = 8;

/// Weights up to this many bytes are scanned when a model is opened.
const SCAN_UP_TO: u64 = 1 << 26;
/// Bytes scanned between two checks for cancellation.
const SCAN_STEP: usize = 16 << 20;
/// No trained model has larger weights: products of a few thousand of them would leave the range of f16.
const ABSURD: f32 = 1e4;

/// The expected contents of a tensor with NaN or infinity, in findings.
pub const FINITE: &str = "finite values";

/// Whether the weights of a model of this size are scanned when it is opened. Larger ones are scanned by `check` only.
pub fn scanned_on_opening(store: &Store) -> bool {
    store.total_bytes() <= SCAN_UP_TO
}

/// Looks at every weight and returns how many are not finite. Progress is in bytes, from several threads.
///
/// # Errors
/// [`Stopped`] if `control` is cancelled.
pub fn scan(store: &Store, report: &mut Report, control: &Control) -> Result<usize, Stopped> {
    let (done, total) = (AtomicUsize::new(0), store.total_bytes() as usize);
    let mut seen: Vec<(&String, Tally)> = Vec::new();
    for (name, entry) in store.tensors() {
        let Some(stored) = entry.stored.filter(|_| !entry.is_empty()) else { continue };
        let unit = match stored {
            Stored::Blocks(block) => block.bytes(),
            Stored::F32 => 4,
            Stored::F16 | Stored::Bf16 => 2,
            Stored::Mxfp4 => 16,
        };
        let step = SCAN_STEP / unit * unit;
        let tallies = store.bytes_of(entry).par_chunks(step).map(|bytes| {
            control.check()?;
            let tally = tally(bytes, stored);
            control.progress(done.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len(), total);
            Ok(tally)
        });
        let mut tally = tallies.try_reduce(Tally::default, |a, b| Ok(a.and(b)))?;
        // An E8M0 scale of 255 is NaN.
        tally.nan += 32 * store.scales_of(entry).iter().filter(|scale| **scale == u8::MAX).count();
        seen.push((name, tally));
    }
    let is_bad = |(_, tally): &&(&String, Tally)| tally.nan + tally.infinite > 0;
    spell_out(report, seen.iter().filter(is_bad), "hold NaN or infinity", |tally| {
        let found = format!("{} NaN and {} infinite", tally.nan, tally.infinite);
        (FINITE, found, "outputs become NaN where it is used")
    });
    if !seen.iter().any(|one| is_bad(&one)) {
        report.add(Level::Ok, "weights", FINITE, "no NaN, no infinity", "");
    }
    sizes(&seen, report);
    Ok(seen.iter().map(|(_, tally)| tally.nan + tally.infinite).sum())
}

/// Tensors that are all zero, or larger than weights are.
fn sizes(seen: &[(&String, Tally)], report: &mut Report) {
    let is_zero = |(_, tally): &&(&String, Tally)| tally.largest == 0.0 && tally.nan + tally.infinite == 0;
    let is_huge = |(_, tally): &&(&String, Tally)| tally.largest > ABSURD;
    spell_out(report, seen.iter().filter(is_zero), "are all zero", |_| {
        ("weights", "nothing but zeros".to_owned(), "what it computes is lost: was the file written to its end?")
    });
    spell_out(report, seen.iter().filter(is_huge), "are absurdly large", |tally| {
        (
            "magnitudes below 10000",
            format!("{:.1e}", tally.largest),
            "no trained weights are as large: bytes or dtype are wrong",
        )
    });
    let largest = seen.iter().max_by(|a, b| a.1.largest.total_cmp(&b.1.largest));
    if let Some((name, tally)) = largest.filter(|_| !seen.iter().any(|one| is_zero(&one) || is_huge(&one))) {
        let found = format!("largest {:.3} in `{name}`", tally.largest);
        report.add(Level::Ok, "weights", "magnitudes below 10000, none all zero", found, "");
    }
}

/// Warnings about the first tensors, and the number of further ones.
fn spell_out<'a>(
    report: &mut Report,
    wrong: impl Iterator<Item = &'a (&'a String, Tally)>,
    what: &str,
    say: impl Fn(&Tally) -> (&'static str, String, &'static str),
) {
    let mut more = 0;
    for (i, (name, tally)) in wrong.enumerate() {
        if i < SPELLED_OUT {
            let (expected, found, advice) = say(tally);
            report.add(Level::Warn, format!("tensor `{name}`"), expected, found, advice);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        report.add(Level::Warn, "weights", "", format!("{more} more tensors {what}"), "");
    }
}
