#![no_main]
//! tokenizer_config.json next to a sound tokenizer.json: tokens are added or reported, and its template is rendered.

use libfuzzer_sys::fuzz_target;
use mixscope::model::{ChatTemplate, SpecialTokens};

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("tokenizer_config.json"), bytes).expect("room for it");
    let _ = SpecialTokens::of_dir(dir.path());
    if let Ok(Some(template)) = ChatTemplate::of_dir(dir.path()) {
        let _ = template.render("Hello");
    }
});
