//! What this machine has.

use nix::sys::statvfs::statvfs;
use std::fs::read_to_string;
use std::path::Path;

/// Memory that the weights can take, bytes: what the system can still give, and what a cgroup allows (page cache counts
/// there as well); `None` where the system does not say.
pub fn available() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    Some(group_limits().into_iter().chain([free]).min().unwrap_or(free))
}

/// The memory limits of this process's control groups and of those above them, versions 1 and 2.
fn group_limits() -> Vec<u64> {
    let Ok(groups) = read_to_string("/proc/self/cgroup") else { return Vec::new() };
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(kind), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match kind {
            "" => ("/sys/fs/cgroup", "memory.max"),
            kind if kind.split(',').any(|kind| kind == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        for group in path.ancestors() {
            let limit = read_to_string(Path::new(root).join(group).join(file)).ok();
            limits.extend(limit.and_then(|limit| limit.trim().parse::<u64>().ok()));
        }
    }
    limits
}

/// Bytes free on the disk of `path`, or of the nearest folder above it that exists.
pub fn free_disk(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let about = statvfs(there).ok()?;
    Some((about.blocks_available() as u64).saturating_mul(about.fragment_size() as u64))
}

/// Memory of this process, bytes.
#[derive(Clone, Copy)]
pub struct Resident {
    /// The most that was resident, mapped files included.
    pub peak: u64,
    /// What is resident now without mapped files.
    pub anonymous: u64,
}

/// What the system says of this process; `None` where it does not.
pub fn resident() -> Option<Resident> {
    let text = read_to_string("/proc/self/status").ok()?;
    let field = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Resident { peak: field("VmHWM")?, anonymous: field("RssAnon")? })
}
