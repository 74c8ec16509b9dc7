//! What each target does with its bytes. libfuzzer's targets and the test `fuzzed` (tests/model_files) both call this.

use mixscope::control::Control;
use mixscope::engine::Replay;
use mixscope::model::weights::parse_index;
use mixscope::model::{
    ChatTemplate, Config, Described, Location, NoHooks, Precision, SpecialTokens, Tokenizer, describe_gguf, open,
};
use mixscope::trace::{Policy, Report, TraceFile, Values};
use std::io::Write;
use std::path::{Component, Path};

/// model.safetensors.index.json: whatever it says, a shard's name stays inside the model's folder.
pub fn safetensors_index(bytes: &[u8]) {
    for shard in parse_index(bytes).unwrap_or_default().values() {
        let mut parts = Path::new(shard).components();
        assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{shard}");
    }
}

/// config.json: what is accepted has sizes that can be computed with.
pub fn config(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    if let Ok(config) = Config::parse(&json, "config.json", &mut Report::default()) {
        let d = config.arch.dims;
        assert!(d.heads % d.kv_heads == 0 && d.d_head % 2 == 0 && d.top_k <= d.experts && d.layers > 0);
        let described = Described::from_config(json, &config);
        assert!(described.params.1 <= described.params.0 && described.params.0 < u64::MAX);
        assert!(d.kv_bytes_per_token() > 0 && d.kept_bytes_per_token() > 0);
    }
}

/// GGUF: the header alone, and if that is accepted the whole model with one token read.
pub fn gguf(bytes: &[u8]) {
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
}

/// Trace files: what is wrong is an error.
pub fn trace(bytes: &[u8]) {
    let Ok(trace) = TraceFile::parse(bytes) else { return };
    for tensor in trace.tensors.values() {
        let len = match &tensor.values {
            Values::F32(values) => values.len(),
            Values::U32(values) => values.len(),
        };
        assert_eq!(len, tensor.shape.iter().product::<usize>());
    }
    let _ = Replay::of(trace, "fuzz");
}

/// tokenizer.json: what is read encodes and decodes a text, or says why not.
pub fn tokenizer(bytes: &[u8]) {
    let Ok(tokenizer) = Tokenizer::parse(bytes, "tokenizer.json") else { return };
    for text in ["", "Once upon a time", "<s> é 日本 😀\n\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        if let Ok(ids) = tokenizer.encode(text, true) {
            let _ = tokenizer.decode(&ids);
            let _: Vec<_> = ids.iter().map(|id| tokenizer.piece(*id)).collect();
        }
    }
}

/// tokenizer_config.json next to a sound tokenizer.json: tokens are added or reported, and its template is rendered.
pub fn tokenizer_config(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("tokenizer_config.json"), bytes).expect("room for it");
    let _ = SpecialTokens::of_dir(dir.path());
    if let Ok(Some(template)) = ChatTemplate::of_dir(dir.path()) {
        rendered(&template, bytes.len());
    }
}

/// Chat templates: a text or an error, in bounded time, memory and depth.
pub fn chat_template(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let template = ChatTemplate::new(source, "chat_template.jinja", tokens.into_iter().collect::<SpecialTokens>());
    rendered(&template, bytes.len());
}

/// Renders a message with a template of about `size` bytes: the text is not too long, and an error is not a panic that was
/// caught. In lines of 65,535 characters and more, minijinja's count of columns overflows, which a debug build notices.
fn rendered(template: &ChatTemplate, size: usize) {
    match template.render("Hello <b> 100 %") {
        Ok(text) => assert!(text.len() <= 9 << 20),
        Err(error) => assert!(size >= 1 << 14 || !format!("{error:#}").contains("failed on it"), "{error:#}"),
    }
}
