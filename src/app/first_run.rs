//! Whether this is the first run on this machine: then the program shows how to begin.

use std::fs;
use std::path::Path;

/// The file that marks later runs.
const MARK: &str = "welcomed";

/// Whether the state folder has no file of an earlier run; marks the next run as a later one.
pub fn is_first(folder: &Path) -> bool {
    let mark = folder.join(MARK);
    let is_first = !mark.exists() && !folder.join("history.jsonl").exists();
    if is_first {
        leave(&mark);
    }
    is_first
}

/// Writes the mark. Errors are ignored: the hint then appears once more, and the first prompt reports the folder.
fn leave(mark: &Path) {
    let folder = mark.parent().map_or(Ok(()), fs::create_dir_all);
    let _ = folder.and_then(|()| fs::write(mark, ""));
}
