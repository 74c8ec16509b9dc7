//! Memory and disk of this machine.

pub use crate::model::available_memory as available;
use nix::sys::statvfs::statvfs;
use std::fs::read_to_string;
use std::path::Path;

/// Free bytes on the disk of `path`, or of the nearest folder above it that exists.
pub fn free_disk(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let about = statvfs(there).ok()?;
    Some((about.blocks_available() as u64).saturating_mul(about.fragment_size() as u64))
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
