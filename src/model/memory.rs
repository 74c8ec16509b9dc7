//! Available memory.

use std::fs::read_to_string;
use std::path::Path;

/// Memory that the weights can take, bytes: the least of what the system has available and what the cgroups allow
/// (where the page cache counts as well). `None` if the system does not report it.
pub fn available_memory() -> Option<u64> {
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
