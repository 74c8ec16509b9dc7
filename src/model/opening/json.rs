//! JSON files.

use crate::model::stand_in::stand_in;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use std::path::Path;

/// A JSON file; `None` if there is none.
///
/// # Errors
/// If it can't be read or is not valid JSON.
pub fn read_json(path: &Path) -> Result<Option<Value>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let read = serde_json::from_slice(&bytes);
            let name = path.display();
            Ok(Some(read.map_err(|error| match stand_in(&bytes) {
                Some(other) => anyhow!("{name}: {other}"),
                None if bytes.starts_with(b"\xef\xbb\xbf") => {
                    anyhow!(
                        "{name} begins with a byte order mark, which JSON does not allow: save it as UTF-8 without one"
                    )
                }
                None => anyhow!(error).context(format!("{name} is not valid JSON")),
            })?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
