//! Memory and disk of this machine.

pub use crate::model::available_memory as available;
use crate::trace::{Meta, size};
use nix::sys::statvfs::statvfs;
use std::fs::read_to_string;
use std::path::Path;

/// Free bytes on the disk of `path`, or of the nearest folder above it that exists.
pub fn free_disk(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let about = statvfs(there).ok()?;
    Some((about.blocks_available() as u64).saturating_mul(about.fragment_size() as u64))
}

/// Whether a model's weights fit into `memory` bytes when they are used in place.
pub fn verdict_in_place(meta: &Meta, memory: Option<u64>) -> String {
    let (weights, touched) = (meta.weight_bytes, meta.touched_bytes);
    match memory {
        Some(memory) if weights <= memory => "fits: the weights stay in memory".to_owned(),
        Some(memory) if touched <= memory => format!(
            "runs from disk: the weights exceed the available memory; experts are read when a token needs them, at most \
             {} a token",
            size(touched)
        ),
        Some(_) => format!(
            "runs from disk, slowly: even the {} that one token reads exceed the available memory",
            size(touched)
        ),
        None => "not known: this system does not report its free memory".to_owned(),
    }
}

/// Memory of this process, bytes.
#[derive(Clone, Copy)]
pub struct Resident {
    /// Largest resident size, mapped files included.
    pub peak: u64,
    /// Current resident size, mapped files excluded.
    pub anonymous: u64,
}

/// The memory of this process; `None` if the system does not report it.
pub fn resident() -> Option<Resident> {
    let text = read_to_string("/proc/self/status").ok()?;
    let field = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Resident { peak: field("VmHWM")?, anonymous: field("RssAnon")? })
}
