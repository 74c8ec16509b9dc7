#![no_main]
//! model.safetensors.index.json: whatever it says, a shard's name stays inside the model's folder.

use libfuzzer_sys::fuzz_target;
use mixscope::model::weights::parse_index;
use std::path::{Component, Path};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = parse_index(bytes) {
        for shard in index.values() {
            let mut parts = Path::new(shard).components();
            assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{shard}");
        }
    }
});
