//! Whether the program says how to begin: once, on a machine where it was not used before.

use std::fs;
use std::path::Path;

/// The mark that it was said.
const MARK: &str = "welcomed";

/// Whether nothing of an earlier run is in the state folder; marks that the next one is not the first.
pub fn is_first(folder: &Path) -> bool {
    let mark = folder.join(MARK);
    let is_first = !mark.exists() && !folder.join("history.jsonl").exists();
    if is_first {
        leave(&mark);
    }
    is_first
}

/// Without the mark the hint comes once more, and a folder that can't be written to is told of with the first prompt.
fn leave(mark: &Path) {
    let folder = mark.parent().map_or(Ok(()), fs::create_dir_all);
    let _ = folder.and_then(|()| fs::write(mark, ""));
}
