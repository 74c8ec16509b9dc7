//! Texts of files as UTF-8.

use anyhow::{Result, bail, ensure};

/// The byte order mark of UTF-8.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// Checks that the start of a file is not UTF-16.
///
/// # Errors
/// If it is.
pub fn check_start(bytes: &[u8]) -> Result<()> {
    let is_marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    // Without a mark, Latin text in UTF-16 is a zero after or before every letter, which UTF-8 takes as control characters.
    let start = &bytes[..bytes.len().min(64)];
    let has_zeros = |from: usize| start.iter().skip(from).step_by(2).all(|byte| *byte == 0);
    let is_unmarked = start.len() > 1 && (has_zeros(0) || has_zeros(1));
    ensure!(
        !is_marked && !is_unmarked,
        "expected UTF-8 text, found UTF-16; save it as UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`"
    );
    Ok(())
}

/// The bytes, which begin at `offset` of their file, as text.
///
/// # Errors
/// If they are not UTF-8.
pub fn text(bytes: Vec<u8>, offset: u64) -> Result<String> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(wrong) => {
            let at = wrong.utf8_error().valid_up_to();
            let byte = wrong.as_bytes()[at];
            bail!("expected UTF-8 text, found the byte 0x{byte:02x} at offset {}; save it as UTF-8", offset + at as u64)
        }
    }
}
