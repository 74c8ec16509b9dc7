//! A hash by which two openings of the same model are recognised.

use super::open::Loaded;
use sha2::{Digest, Sha256};

/// Places of a tensor whose bytes are looked at.
const PLACES: usize = 8;
/// Bytes at each of them.
const SAMPLE: usize = 512;

impl Loaded {
    /// SHA-256, in hexadecimal, of the config, the name, type and shape of every tensor, and bytes at evenly spaced places of
    /// it. Hashing all bytes of a large model would take longer than a small corpus; training or quantising changes
    /// numbers everywhere.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.meta.config.to_string());
        for (name, entry) in self.store.tensors() {
            hash.update(format!("\0{name}\0{}\0{:?}\0", entry.type_name, entry.shape));
            let bytes = self.store.bytes_of(entry);
            let last = bytes.len().saturating_sub(SAMPLE);
            for place in 0..PLACES {
                let from = last * place / (PLACES - 1);
                hash.update(&bytes[from..bytes.len().min(from + SAMPLE)]);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
