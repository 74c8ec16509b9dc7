//! Random changes of a sound file.

use super::*;

/// The sound safetensors model of bad_input.rs in two shards, as (file name, bytes).
static SHARDED: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let from = fixture("malformed/ok-control");
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (mut map, mut shards) = (serde_json::Map::new(), [Vec::new(), Vec::new()]);
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        map.insert(name.to_owned(), SHARDS[i % 2].into());
        shards[i % 2].push((name, tensor));
    }
    let index = json!({"metadata": {"total_size": bytes.len()}, "weight_map": map}).to_string().into_bytes();
    let [first, second] = shards.map(|shard| safetensors::serialize(shard, None).unwrap());
    let small = ["config.json", "tokenizer.json"].map(|name| (name, std::fs::read(from.join(name)).unwrap()));
    [("model.safetensors.index.json", index), (SHARDS[0], first), (SHARDS[1], second)]
        .into_iter()
        .chain(small)
        .collect()
});

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// Opens the model and, if that works, reads three tokens: both may fail, neither may panic.
fn open_and_run(location: &Location) -> bool {
    let Ok(loaded) = open(location, Policy::Hf, None, true) else { return false };
    let precision = Precision::new(loaded.meta.policy, loaded.meta.compute_dtype);
    let ids: Vec<u32> = (0..3).filter(|id| *id < loaded.meta.dims.vocab as u32).collect();
    let control = Control::none();
    let _ = loaded.model.forward(&ids, &mut loaded.model.new_cache(), precision, &mut NoHooks, &control);
    if let Some(tokenizer) = &loaded.tokenizer {
        let _ = tokenizer.encode("The router, é 日本", true).map(|ids| tokenizer.decode(&ids));
    }
    true
}

fn edits() -> impl Strategy<Value = Vec<(Index, u8)>> {
    prop::collection::vec((any::<Index>(), any::<u8>()), 1..5)
}

fn open_corrupted(name: &str, within: usize, edits: &[(Index, u8)]) {
    let mut bytes = std::fs::read(fixture("gguf").join(name)).unwrap();
    let within = within.min(bytes.len());
    for (at, byte) in edits {
        bytes[at.index(within)] = *byte;
    }
    let (_temp, path) = saved(&bytes);
    let described = describe_gguf(&[(&bytes, bytes.len() as u64)], &mut Report::default());
    let _ = described.map(|described| described.dims.kv_bytes_per_token() + described.dims.kept_bytes_per_token());
    open_and_run(&Location::Gguf(path));
}

fn in_folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(temp.path().join(name), bytes).unwrap();
    }
    temp
}

#[test]
fn the_sharded_model_opens_and_runs() {
    assert!(open_and_run(&Location::Dir(in_folder(&SHARDED).path().to_path_buf())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn opening_a_gguf_with_a_corrupted_header_never_panics(edits in edits(), kq in any::<bool>()) {
        open_corrupted(if kq { "kq-Q4_K_M.gguf" } else { "tiny-Q8_0.gguf" }, 4096, &edits);
    }

    #[test]
    fn opening_a_gguf_corrupted_anywhere_never_panics(edits in edits(), kq in any::<bool>()) {
        open_corrupted(if kq { "kq-Q4_K_M.gguf" } else { "tiny-Q8_0.gguf" }, usize::MAX, &edits);
    }

    #[test]
    fn opening_shards_with_a_corrupted_index_header_or_config_never_panics(
        edits in prop::collection::vec((0..4usize, any::<Index>(), any::<u8>()), 1..5),
    ) {
        let mut files = SHARDED.clone();
        for (file, at, byte) in edits {
            let len = files[file].1.len().min(4096);
            files[file].1[at.index(len)] = byte;
        }
        open_and_run(&Location::Dir(in_folder(&files).path().to_path_buf()));
    }
}
