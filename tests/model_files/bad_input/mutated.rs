//! Random changes of every small file of a model: what is read may fail, but neither panics nor hangs.

use super::*;
use mixscope::trace::Prompt;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// What one case may take; those that are stopped by a limit of the program need several seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The small files of a model of two shards, by name.
static SMALL: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let sound = |name: &str| std::fs::read(fixture("malformed/ok-control").join(name)).unwrap();
    let flags = json!({"lstrip": false, "rstrip": false, "normalized": false, "single_word": false, "special": true});
    let token = |text: &str| {
        let mut token = flags.clone();
        token["content"] = text.into();
        token
    };
    let config = json!({
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "legacy": true,
        "additional_special_tokens": ["<x>"], "add_bos_token": true,
        "added_tokens_decoder": {"0": token("<unk>"), "511": token("<|im_start|>")},
        "chat_template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content | trim }}{% endfor %}",
    });
    let map = json!({"bos_token": token("<s>"), "pad_token": "<pad>"});
    let template = std::fs::read(fixture("chat/templates/llama-3.1.jinja")).unwrap();
    let weights = weights();
    let header: Value = serde_json::from_slice(&weights[8..header_len(&weights)]).unwrap();
    let tensors = header.as_object().unwrap().keys().filter(|name| *name != "__metadata__");
    let tensors: BTreeMap<&String, &str> = tensors.map(|name| (name, "model.safetensors")).collect();
    let index = json!({"metadata": {"total_size": weights.len()}, "weight_map": tensors});
    vec![
        ("config.json", sound("config.json")),
        ("tokenizer.json", sound("tokenizer.json")),
        ("generation_config.json", sound("generation_config.json")),
        ("tokenizer_config.json", config.to_string().into_bytes()),
        ("special_tokens_map.json", map.to_string().into_bytes()),
        ("added_tokens.json", br#"{"<y>": 512}"#.to_vec()),
        ("chat_template.jinja", template),
        ("model.safetensors.index.json", index.to_string().into_bytes()),
        ("tokenizer.model", std::fs::read(fixture("tokenizers/bpe.model")).unwrap()),
    ]
});

/// A change of one file.
#[derive(Clone, Debug)]
pub enum Change {
    Byte(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Insert(Index, &'static str),
    /// Another value somewhere in a JSON file.
    Value(Index, Value),
    Missing,
}

pub fn change() -> impl Strategy<Value = Change> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"0123456789-.,:\"[]{}eE%".as_slice())];
    let text = prop::sample::select(
        [
            "{% for a in range(99999) %}",
            "{% endfor %}",
            "{{ ",
            " }}",
            "%}",
            "{%- ",
            "{#",
            "((((((((",
            "\u{feff}",
            "\0",
            "null",
            "1e999",
            "\\u0000",
            "{% if ",
            "|tojson",
            "%s",
            " % ",
            ".split('')",
            "[::-1]",
            "namespace(",
            "loop(",
            "caller()",
            "\\ud800",
            "[[[[[[[[",
        ]
        .as_slice(),
    );
    let value = prop::sample::select(vec![
        json!(null),
        json!(-1),
        json!(0),
        json!(1),
        json!(1e300),
        json!(18_446_744_073_709_551_615u64),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
        json!([[], {}]),
        json!("{{ bos_token * 100000000 }}"),
        json!({"content": ""}),
        json!("▁"),
        json!([1, 2]),
        json!(512),
    ]);
    prop_oneof![
        4 => (any::<Index>(), byte).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (any::<Index>(), any::<Index>(), 1..2000usize).prop_map(|(from, to, count)| Change::Repeat(from, to, count)),
        3 => (any::<Index>(), text).prop_map(|(at, text)| Change::Insert(at, text)),
        6 => (any::<Index>(), value).prop_map(|(at, value)| Change::Value(at, value)),
        1 => Just(Change::Missing),
    ]
}

/// Pointers to all values of a JSON document.
fn places(json: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match json {
        Value::Object(map) => {
            for (key, value) in map {
                places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The changed bytes; `None` if the file is missing.
pub fn changed(mut bytes: Vec<u8>, change: &Change) -> Option<Vec<u8>> {
    let range = |from: &Index, to: &Index, len: usize| {
        let (from, to) = (from.index(len), to.index(len));
        from.min(to)..from.max(to)
    };
    let len = bytes.len().max(1);
    match change {
        Change::Missing => return None,
        _ if bytes.is_empty() => {}
        Change::Byte(at, byte) => bytes[at.index(len)] = *byte,
        Change::Cut(at) => bytes.truncate(at.index(len)),
        Change::Remove(from, to) => drop(bytes.drain(range(from, to, len))),
        Change::Repeat(from, to, count) => {
            let range = range(from, to, len);
            // At most two megabytes.
            let part = bytes[range.clone()].repeat((*count).min(2_000_000 / range.len().max(1)));
            bytes.splice(range.end..range.end, part);
        }
        Change::Insert(at, text) => drop(bytes.splice(at.index(len)..at.index(len), text.bytes())),
        Change::Value(at, value) => {
            if let Ok(mut json) = serde_json::from_slice::<Value>(&bytes) {
                let mut found = Vec::new();
                places(&json, "", &mut found);
                *json.pointer_mut(&found[at.index(found.len())]).unwrap() = value.clone();
                bytes = json.to_string().into_bytes();
            }
        }
    }
    Some(bytes)
}

/// Opens the model, tokenises a text and a message, and reads the first tokens of each.
fn open_and_run(dir: &Path) -> Result<(), String> {
    for ids_only in [false, true] {
        let loaded = match open(&Location::Dir(dir.to_path_buf()), Policy::Hf, None, ids_only) {
            Ok(loaded) => loaded,
            Err(error) if format!("{error:#}").is_empty() => return Err("an empty message".to_owned()),
            Err(_) => continue,
        };
        let precision = Precision::new(loaded.meta.policy, loaded.meta.compute_dtype);
        for prompt in [Prompt::Text("The router, é 日本 <s>".to_owned()), Prompt::Chat("hi <b>".to_owned())] {
            let Ok(mut ids) = loaded.tokens(prompt) else { continue };
            let _ = (loaded.prompt_warning(&ids), loaded.tokenizer.as_ref().map(|tokenizer| tokenizer.decode(&ids)));
            ids.truncate(3);
            let _ =
                loaded.model.forward(&ids, &mut loaded.model.new_cache(), precision, &mut NoHooks, &Control::none());
        }
    }
    Ok(())
}

/// As [`open_and_run`], on a thread, so that a case that hangs fails alone.
fn in_time(model: TempDir) -> Result<(), String> {
    let (done, outcome) = sync_channel(1);
    std::thread::spawn(move || {
        let outcome = open_and_run(model.path());
        let _ = done.send(outcome);
    });
    outcome.recv_timeout(LIMIT).map_err(|error| format!("it panicked or took too long: {error}"))?
}

fn with_small_files(changes: &[(usize, Change)]) -> TempDir {
    let model = copy();
    for (index, (name, bytes)) in SMALL.iter().enumerate() {
        let mut bytes = Some(bytes.clone());
        for (_, change) in changes.iter().filter(|(file, _)| *file == index) {
            bytes = bytes.and_then(|bytes| changed(bytes, change));
        }
        let path = model.path().join(name);
        match bytes {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => drop(std::fs::remove_file(path)),
        }
    }
    model
}

#[test]
fn the_sound_files_open_and_run() {
    let model = with_small_files(&[]);
    let loaded = open(&Location::Dir(model.path().to_path_buf()), Policy::Hf, None, false).unwrap();
    assert!(loaded.tokens(Prompt::Chat("hi".to_owned())).unwrap().len() > 3);
    in_time(model).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_small_files_neither_panic_nor_hang(
        changes in prop::collection::vec((0..9usize, change()), 1..4),
        is_sentencepiece in prop::bool::weighted(0.2),
    ) {
        let mut changes = changes;
        if is_sentencepiece {
            changes.push((1, Change::Missing));
        }
        prop_assert_eq!(in_time(with_small_files(&changes)), Ok(()));
    }
}
