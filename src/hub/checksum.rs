//! Checksums of files.

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A checksum as the Hub states it, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256 of the content.
    Sha256(String),
    /// SHA-1 that git gives a blob of the content.
    Git(String),
}

impl Checksum {
    /// Parses an ETag of the Hub; other ETags are not checksums.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match text.len() {
            40 => Some(Self::Git(text)),
            64 => Some(Self::Sha256(text)),
            _ => None,
        }
    }

    /// The hex digits.
    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }

    /// Begins hashing a file of `size` bytes.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }
}

/// Eight hex digits that tell texts apart.
pub(super) fn short_hash(text: &str) -> String {
    Sha1::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A checksum that is being computed.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// The hash in lower-case hex.
    pub(super) fn finish(self) -> String {
        let digest = match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Git(hasher) => hasher.finalize().to_vec(),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_the_tools_do() {
        // `git hash-object` and `sha256sum` of "hello\n".
        let git = Checksum::parse("CE013625030ba8dba906f756967f9e9ca394464a").unwrap();
        let sha = Checksum::parse("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03").unwrap();
        for checksum in [git, sha] {
            let mut hasher = checksum.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), checksum.hex());
        }
        assert!(Checksum::parse("d41d8cd98f00b204e9800998ecf8427e").is_none());
    }
}
