//! JSON files.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// A JSON file; `None` if there is none.
///
/// # Errors
/// If it can't be read or is not valid JSON.
pub fn read_json(path: &Path) -> Result<Option<Value>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is not valid JSON", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
