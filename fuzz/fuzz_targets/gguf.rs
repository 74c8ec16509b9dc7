#![no_main]
//! GGUF: the header alone, and if that is accepted the whole model with one token read.

use libfuzzer_sys::fuzz_target;
use mixscope::control::Control;
use mixscope::model::{Location, NoHooks, Precision, describe_gguf, open};
use mixscope::trace::{Policy, Report};
use std::io::Write;

fuzz_target!(|bytes: &[u8]| {
    if describe_gguf(&[(bytes, bytes.len() as u64)], &mut Report::default()).is_err() {
        return;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    let Ok(loaded) = open(&Location::Gguf(file.path().to_path_buf()), Policy::Hf, None, true) else { return };
    if let Some(tokenizer) = &loaded.tokenizer {
        let _ = tokenizer.encode("Once upon a time", true);
    }
    let precision = Precision::new(Policy::Hf, loaded.meta.compute_dtype);
    let control = Control::none();
    let _ = loaded.model.forward(&[0], &mut loaded.model.new_cache(), precision, &mut NoHooks, &control);
});
