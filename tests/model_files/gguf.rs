//! GGUF files: whole sequences against transformers on the dequantised weights, the tokenizer in the metadata, parts.

use crate::support::gguf_writer::{TensorInfo, Value, file};
use crate::support::{assert_close, fixture, forward, record};
use mixscope::model::{Distribution, Loaded, Location, NoHooks, open};
use mixscope::trace::{Device, HookKind, Level, Policy, TraceFile, Values};
use std::collections::HashMap;
use std::path::Path;

/// GGUF file and the stem of its reference; the split Q8_0 dequantises to the same values as the merged one.
const FILES: [(&str, &str); 8] = [
    ("tiny-F32", "tiny-F32"),
    ("tiny-F16", "tiny-F16"),
    ("tiny-BF16", "tiny-BF16"),
    ("tiny-Q8_0", "tiny-Q8_0"),
    ("tiny-Q4_0", "tiny-Q4_0"),
    ("kq-Q4_K_M", "kq-Q4_K_M"),
    ("tiny-legacy-split-F16", "tiny-legacy-split-F16"),
    ("tiny-legacy-split-Q8_0", "tiny-Q8_0"),
];

fn load(name: &str) -> Loaded {
    open(&Location::Gguf(fixture("gguf").join(format!("{name}.gguf"))), Policy::Hf, None, false).unwrap()
}

fn for_each_file(check: impl Fn(&str, &Loaded, &TraceFile, &serde_json::Value)) {
    for (name, stem) in FILES {
        let at = |suffix: &str| fixture("gguf").join(format!("{stem}.reference{suffix}"));
        let json = serde_json::from_slice(&std::fs::read(at(".json")).unwrap()).unwrap();
        for device in [Device::Cpu, Device::Candle] {
            let loaded = load(name).on(device).unwrap();
            check(&format!("{name} on {device}"), &loaded, &TraceFile::read(&at(".safetensors")).unwrap(), &json);
        }
    }
}

fn ids(json: &serde_json::Value, key: &str) -> Vec<u32> {
    json[key].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn every_recorded_hook_agrees_on_the_whole_sequence() {
    for_each_file(|name, loaded, trace, json| {
        let recorded = record(loaded, &ids(json, "prompt_ids"));
        let mut compared = 0;
        for (hook, want) in trace.tensors.iter().filter(|(hook, _)| *hook != "tokens") {
            let got = &recorded.seen[hook];
            let kind = hook.parse::<mixscope::trace::Hook>().unwrap().kind;
            match &want.values {
                Values::U32(want) => {
                    assert_eq!(&got.iter().map(|x| *x as u32).collect::<Vec<_>>(), want, "{name} {hook}");
                }
                Values::F32(want) => {
                    let (abs, rel) = if kind == HookKind::MixingWeights { (2e-5, 0.0) } else { (1e-4, 2e-5) };
                    assert_close(&format!("{name} {hook}"), got, want, abs, rel);
                }
            }
            compared += 1;
        }
        assert!(compared >= 13, "{name}: {compared} hooks");
    });
}

#[test]
fn losses_and_greedy_tokens_agree_token_by_token() {
    for_each_file(|name, loaded, _, json| {
        let prompt = ids(json, "prompt_ids");
        let vocab = loaded.meta.dims.vocab;
        let mut cache = loaded.model.new_cache();
        let whole = forward(loaded, &prompt, &mut loaded.model.new_cache(), &mut NoHooks);
        let steps: Vec<f32> = prompt.iter().flat_map(|id| forward(loaded, &[*id], &mut cache, &mut NoHooks)).collect();
        assert!(whole.iter().zip(&steps).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}: prefill and steps differ");
        let rows: Vec<Distribution> = steps.chunks_exact(vocab).map(Distribution::of).collect();
        let nll: Vec<f64> = prompt[1..].iter().zip(&rows).map(|(id, row)| -row.log_prob(*id as usize)).collect();
        let mean = nll.iter().sum::<f64>() / nll.len() as f64;
        assert!((mean - json["mean_loss"].as_f64().unwrap()).abs() < 1e-4, "{name}: loss {mean}");
        let mut last = rows[rows.len() - 1].top(1)[0] as u32;
        for want in ids(json, "greedy_ids") {
            assert_eq!(last, want, "{name}");
            last = Distribution::of(&forward(loaded, &[last], &mut cache, &mut NoHooks)).top(1)[0] as u32;
        }
    });
}

#[test]
fn heads_and_their_components_mean_the_same_as_in_safetensors() {
    let hf = open(&Location::Dir(fixture("gguf/tiny-hf-model")), Policy::Hf, None, true).unwrap();
    let gguf = load("tiny-F32");
    let prompt: Vec<u32> = (1..40).collect();
    let (hf, gguf) = (record(&hf, &prompt), record(&gguf, &prompt));
    assert_eq!(hf.seen.len(), gguf.seen.len());
    for (hook, values) in &hf.seen {
        assert_eq!(values, &gguf.seen[hook], "{hook}");
    }
}

#[test]
fn the_tokenizer_in_the_metadata_gives_the_prompts_ids() {
    for_each_file(|name, loaded, _, json| {
        let tokenizer = loaded.tokenizer.as_ref().unwrap();
        let prompt = json["prompt"].as_str().unwrap();
        assert_eq!(tokenizer.encode(prompt, true).unwrap(), ids(json, "prompt_ids"), "{name}");
        assert_eq!(loaded.meta.eos, [2], "{name}");
    });
}

/// Pieces, scores and types of a SentencePiece model file (protobuf: field 1 = piece {1: text, 2: score, 3: type}).
fn sentencepiece(bytes: &[u8]) -> Vec<(String, f32, i32)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    /// (field, number, content) of a message.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (number, len) = match key & 7 {
                0 => (varint(&mut bytes), 0),
                1 => (0, 8),
                2 => (0, varint(&mut bytes) as usize),
                5 => (0, 4),
                other => panic!("wire type {other}"),
            };
            let (content, rest) = bytes.split_at(len);
            bytes = rest;
            all.push((key >> 3, number, content));
        }
        all
    }
    let piece = |content: &[u8]| {
        let (mut text, mut score, mut kind) = (String::new(), 0.0, 1);
        for (field, number, content) in fields(content) {
            match field {
                1 => text = String::from_utf8(content.to_vec()).unwrap(),
                2 => score = f32::from_le_bytes(content.try_into().unwrap()),
                3 => kind = number as i32,
                _ => {}
            }
        }
        (text, score, kind)
    };
    fields(bytes).into_iter().filter(|(field, ..)| *field == 1).map(|(.., content)| piece(content)).collect()
}

/// Mixtral-8x7B's own pieces.
fn mixtrals() -> Vec<(String, f32, i32)> {
    let pieces = sentencepiece(&std::fs::read(fixture("tokenizer/tokenizer.model")).unwrap());
    assert_eq!(pieces.len(), 32000);
    pieces
}

/// A tiny model with these pieces in its metadata.
fn with_tokenizer(path: &Path, pieces: &[(String, f32, i32)]) {
    let text = |text: &str| Value::String(text.as_bytes().to_vec());
    let mut metadata: Vec<(String, Value)> = [("context_length", 64), ("block_count", 1), ("embedding_length", 32)]
        .into_iter()
        .chain([
            ("feed_forward_length", 32),
            ("attention.head_count", 1),
            ("expert_count", 2),
            ("expert_used_count", 1),
        ])
        .map(|(key, n)| (format!("llama.{key}"), Value::U32(n)))
        .collect();
    metadata.extend([
        ("general.architecture".to_owned(), text("llama")),
        ("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::F32(1e-5)),
        ("llama.rope.freq_base".to_owned(), Value::F32(1e6)),
        ("tokenizer.ggml.model".to_owned(), text("llama")),
        ("tokenizer.ggml.tokens".to_owned(), Value::Array(8, pieces.iter().map(|p| text(&p.0)).collect())),
        ("tokenizer.ggml.scores".to_owned(), Value::Array(6, pieces.iter().map(|p| Value::F32(p.1)).collect())),
        ("tokenizer.ggml.token_type".to_owned(), Value::Array(5, pieces.iter().map(|p| Value::I32(p.2)).collect())),
        ("tokenizer.ggml.bos_token_id".to_owned(), Value::U32(1)),
        ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(2)),
        ("tokenizer.ggml.unknown_token_id".to_owned(), Value::U32(0)),
        ("tokenizer.ggml.add_bos_token".to_owned(), Value::Bool(true)),
    ]);
    let tensor = |name: &str, dims: &[u64]| {
        let bytes = dims.iter().product::<u64>() * 4;
        let info = TensorInfo { name: name.to_owned(), dims: dims.to_vec(), ggml_type: 0, bytes };
        (info, vec![0u8; bytes as usize])
    };
    let tensors = vec![
        tensor("token_embd.weight", &[32, 32000]),
        tensor("output_norm.weight", &[32]),
        tensor("blk.0.attn_norm.weight", &[32]),
        tensor("blk.0.ffn_norm.weight", &[32]),
        tensor("blk.0.attn_q.weight", &[32, 32]),
        tensor("blk.0.attn_k.weight", &[32, 32]),
        tensor("blk.0.attn_v.weight", &[32, 32]),
        tensor("blk.0.attn_output.weight", &[32, 32]),
        tensor("blk.0.ffn_gate_inp.weight", &[32, 2]),
        tensor("blk.0.ffn_gate_exps.weight", &[32, 32, 2]),
        tensor("blk.0.ffn_up_exps.weight", &[32, 32, 2]),
        tensor("blk.0.ffn_down_exps.weight", &[32, 32, 2]),
    ];
    std::fs::write(path, file(metadata, tensors)).unwrap();
}

#[test]
fn mixtrals_own_tokenizer_comes_out_of_the_metadata_whole() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("tokenizer.gguf");
    with_tokenizer(&path, &mixtrals());
    let loaded = open(&Location::Gguf(path), Policy::Hf, None, false).unwrap();
    assert!(loaded.meta.is_tied());
    let tokenizer = loaded.tokenizer.unwrap();
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("tokenizer/expected.json")).unwrap()).unwrap();
    let cases = expected["cases"].as_array().unwrap();
    assert!(cases.len() >= 75);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let got = tokenizer.encode(text, true).unwrap();
        assert_eq!(got, ids(case, "ids"), "{text:?}");
        assert_eq!(tokenizer.decode(&got).unwrap(), case["decoded"].as_str().unwrap(), "{text:?}");
    }
}

/// The pieces of a text if none is better than another, as llama.cpp finds them: the leftmost two that are a piece together
/// are joined, until there are none; what is then no piece becomes its bytes.
fn leftmost(text: &str, ids: &HashMap<&str, u32>) -> Vec<u32> {
    let prefix = if text.is_empty() { "" } else { "▁" };
    let mut parts: Vec<String> = format!("{prefix}{}", text.replace(' ', "▁")).chars().map(String::from).collect();
    let joined = |pair: &[String]| ids.contains_key(pair.concat().as_str());
    while let Some(at) = parts.windows(2).position(joined) {
        let right = parts.remove(at + 1);
        parts[at] += &right;
    }
    let of = |part: &String| match ids.get(part.as_str()) {
        Some(id) => vec![*id],
        None => part.bytes().map(|byte| ids[format!("<0x{byte:02X}>").as_str()]).collect(),
    };
    parts.iter().flat_map(of).collect()
}

#[test]
fn where_all_scores_are_equal_text_is_split_as_llama_cpp_does_and_a_warning_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("tokenizer.gguf");
    let mut pieces = mixtrals();
    let own = pieces.clone();
    pieces.iter_mut().for_each(|piece| piece.1 = -1000.0);
    let ids: HashMap<&str, u32> = own.iter().zip(0..).map(|(piece, id)| (piece.0.as_str(), id)).collect();
    for (pieces, warnings) in [(&own, 0), (&pieces, 1)] {
        with_tokenizer(&path, pieces);
        let loaded = open(&Location::Gguf(path.clone()), Policy::Hf, None, false).unwrap();
        let found = loaded.meta.report.of(Level::Warn).filter(|found| found.subject == "tokenizer.ggml.scores").count();
        assert_eq!(found, warnings);
        let tokenizer = loaded.tokenizer.unwrap();
        let texts = ["Once upon a time there was a little girl.", "déjà vu — 日本語 🦀", "return x  +  1", ""];
        let same = texts.map(|text| tokenizer.encode(text, false).unwrap() == leftmost(text, &ids));
        assert_eq!(same, [true, true, warnings == 1, true], "only double spaces are joined otherwise");
        for text in texts {
            let decoded = tokenizer.decode(&tokenizer.encode(text, true).unwrap()).unwrap();
            assert_eq!(decoded, text);
        }
        let special = tokenizer.encode("a</s>b", true).unwrap();
        assert_eq!((special[0], special[2], special.len()), (1, 2, 4), "{special:?}");
    }
}
