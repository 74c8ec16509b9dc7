#![no_main]
//! tokenizer.json: what is read encodes and decodes a text, or says why not.

use libfuzzer_sys::fuzz_target;
use mixscope::model::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tokenizer) = Tokenizer::parse(bytes, "tokenizer.json") else { return };
    for text in ["", "Once upon a time", "<s> é 日本 😀\n\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        if let Ok(ids) = tokenizer.encode(text, true) {
            let _ = tokenizer.decode(&ids);
            assert!(ids.iter().all(|id| !tokenizer.piece(*id).is_empty()) || !tokenizer.has(0));
        }
    }
});
