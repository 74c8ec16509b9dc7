//! Random changes of a sound model.

use super::*;

/// One byte to change: in which file, where (as a share of its length), and to what.
fn edits(files: usize) -> impl Strategy<Value = Vec<(usize, Index, u8)>> {
    // Digits and punctuation keep JSON readable more often than any byte does.
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"0123456789-.,:\"[]{}eE".as_slice())];
    prop::collection::vec((0..files, any::<Index>(), byte), 1..8)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

/// Opens the model and, if that works, reads three tokens: both may fail, neither may panic.
fn open_and_run(dir: &Path) -> bool {
    let Ok(loaded) = open(&Location::Dir(dir.to_path_buf()), Policy::Hf, None, false) else { return false };
    let precision = Precision::new(loaded.meta.policy, loaded.meta.compute_dtype);
    let ids: Vec<u32> = (0..3).filter(|id| *id < loaded.meta.dims.vocab as u32).collect();
    let control = Control::none();
    let _ = loaded.model.forward(&ids, &mut loaded.model.new_cache(), precision, &mut NoHooks, &control);
    if let Some(tokenizer) = &loaded.tokenizer {
        let _ = tokenizer.encode("The router, é 日本", true).map(|ids| tokenizer.decode(&ids));
    }
    true
}

/// The bytes of the sound model's config.json, model.safetensors and tokenizer.json.
static SOUND: LazyLock<[(&str, Vec<u8>); 3]> = LazyLock::new(|| {
    ["config.json", "model.safetensors", "tokenizer.json"]
        .map(|name| (name, std::fs::read(fixture("malformed/ok-control").join(name)).unwrap()))
});

#[test]
fn the_sound_model_opens_and_runs() {
    assert!(open_and_run(copy().path()));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn opening_a_model_with_a_corrupted_config_or_header_never_panics(
        edits in edits(2),
        cut in prop::option::weighted(0.1, any::<Index>()),
    ) {
        let model = copy();
        let mut files: Vec<(&str, Vec<u8>)> = SOUND[..2].to_vec();
        for (file, at, byte) in edits {
            let bytes = &mut files[file].1;
            let len = if file == 1 { header_len(&SOUND[1].1) } else { bytes.len() };
            bytes[at.index(len)] = byte;
        }
        if let Some(at) = cut {
            let bytes = &mut files[1].1;
            bytes.truncate(at.index(bytes.len()));
        }
        for (name, bytes) in files {
            std::fs::write(model.path().join(name), bytes).unwrap();
        }
        open_and_run(model.path());
    }

    #[test]
    fn opening_a_model_with_a_corrupted_tokenizer_never_panics(edits in edits(1)) {
        let (name, mut bytes) = SOUND[2].clone();
        let len = bytes.len();
        for (_, at, byte) in edits {
            bytes[at.index(len)] = byte;
        }
        open_and_run(with_file(name, bytes).path());
    }
}
