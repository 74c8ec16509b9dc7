//! Models in several parts, and tensors under other names.

use super::*;
use crate::support::cli::stdout;

#[test]
fn a_part_that_is_missing_is_named() {
    let bytes = sound().with("split.count", Value::U16(3)).with("split.no", Value::U16(0)).bytes();
    let temp = tempfile::tempdir().unwrap();
    let first = temp.path().join("m-00001-of-00003.gguf");
    std::fs::write(&first, &bytes).unwrap();
    assert_refused(&info(&first), &["m-00002-of-00003.gguf"]);
    std::fs::write(temp.path().join("m-00002-of-00003.gguf"), Parts { tensors: vec![], ..sound() }.bytes()).unwrap();
    assert_refused(&info(&first), &["m-00003-of-00003.gguf"]);
    std::fs::write(temp.path().join("m-00003-of-00003.gguf"), &bytes[..5000]).unwrap();
    assert_refused(&info(&first), &["m-00003-of-00003.gguf", "damaged"]);
    std::fs::write(temp.path().join("m-00003-of-00003.gguf"), &bytes).unwrap();
    assert_refused(&info(&first), &["two shards"]);
    for name in ["m-00002-of-00003.gguf", "m.gguf", "m-00001-of-00004.gguf"] {
        let other = temp.path().join(name);
        std::fs::write(&other, &bytes).unwrap();
        assert_refused(&info(&other), &[name, "3 parts", "00001-of-00003.gguf"]);
    }
    assert_file_refused(&sound().with("split.count", u64::MAX).bytes(), &["split.count is 18446744073709551615"]);
}

#[test]
fn a_model_in_two_parts_is_the_same_model() {
    let expected = logits(&read(&fixture("gguf/tiny-Q8_0.gguf")));
    let whole = sound();
    for first in [0, 1, whole.tensors.len() / 2, whole.tensors.len() - 1] {
        let temp = tempfile::tempdir().unwrap();
        for (no, tensors) in [&whole.tensors[..first], &whole.tensors[first..]].into_iter().enumerate() {
            // Only the first part has the model's metadata.
            let metadata = if no == 0 { whole.metadata.clone() } else { Vec::new() };
            let part = Parts { metadata, tensors: tensors.to_vec() }.without("llama.vocab_size");
            let part = part.with("split.no", Value::U16(no as u16)).with("split.count", Value::U16(2));
            std::fs::write(temp.path().join(format!("m-0000{}-of-00002.gguf", no + 1)), part.bytes()).unwrap();
        }
        let path = temp.path().join("m-00001-of-00002.gguf");
        assert_eq!(logits(&read(&path)), expected, "{first} tensors in the first part");
        assert_runs(&path, &["--prompt", "hello", "--steps", "2"]);
    }
}

#[test]
fn a_model_of_many_experts_opens() {
    let (layers, experts) = (24u64, 96u64);
    let mut parts = sound();
    parts.tensors.clear();
    let mut add = |name: String, dims: &[u64]| {
        let len = dims.iter().product::<u64>() as usize * 4;
        parts.add(&format!("{name}.weight"), dims, 0, vec![0; len]);
    };
    add("token_embd".to_owned(), &[4, 512]);
    add("output_norm".to_owned(), &[4]);
    for l in 0..layers {
        for name in ["attn_norm", "ffn_norm"] {
            add(format!("blk.{l}.{name}"), &[4]);
        }
        for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            add(format!("blk.{l}.{name}"), &[4, 4]);
        }
        add(format!("blk.{l}.ffn_gate_inp"), &[4, experts]);
        for name in ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"] {
            add(format!("blk.{l}.{name}"), &[4, 4, experts]);
        }
    }
    let sizes = [("block_count", layers), ("expert_count", experts), ("embedding_length", 4)];
    let sizes = sizes.into_iter().chain([("feed_forward_length", 4), ("rope.dimension_count", 4)]);
    let sizes = sizes.chain([("attention.head_count", 1), ("attention.head_count_kv", 1)]);
    let parts = sizes.fold(parts, |parts, (key, n)| parts.with(&format!("llama.{key}"), n));
    let (_temp, path) = saved(&parts.bytes());
    assert_runs(&path, &["--prompt-ids", "1,3,4"]);
    let claimed = parts.with("llama.expert_count", 1u64 << 30).bytes();
    assert_file_refused(&claimed, &["1073741824 experts"]);
}

/// tiny-f32 with the names under which transformers 5 holds it.
fn fused() -> TempDir {
    let from = fixture("tiny-f32/model");
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut made: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.contains(".experts.")) {
        let name = name.replace("block_sparse_moe.gate", "mlp.gate");
        made.insert(name, (tensor.shape().to_vec(), tensor.data().to_vec()));
    }
    for l in 0..3 {
        let expert = |e: usize, w: usize| {
            tensors.tensor(&format!("model.layers.{l}.block_sparse_moe.experts.{e}.w{w}.weight")).unwrap()
        };
        let data = |ws: &[usize]| -> Vec<u8> {
            let each = (0..4).flat_map(|e| ws.iter().map(move |w| (e, *w)));
            each.flat_map(|(e, w)| expert(e, w).data().to_vec()).collect()
        };
        let [d_ff, d_model] = *expert(0, 1).shape() else { panic!("w1 is not a matrix") };
        let name = |name: &str| format!("model.layers.{l}.mlp.experts.{name}");
        made.insert(name("gate_up_proj"), (vec![4, 2 * d_ff, d_model], data(&[1, 3])));
        made.insert(name("down_proj"), (vec![4, d_model, d_ff], data(&[2])));
    }
    let views = made
        .iter()
        .map(|(name, (shape, data))| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(from.join(name), temp.path().join(name)).unwrap();
    }
    temp
}

#[test]
fn the_names_of_transformers_5_are_read() {
    let fused = fused();
    assert_eq!(logits(&read(fused.path())), logits(&read(&fixture("tiny-f32/model"))));
    assert_runs(fused.path(), &["--prompt", "hello", "--steps", "2"]);
}

#[test]
fn mixtures_of_types_have_llama_cpp_s_names() {
    for (number, name) in
        [(15u32, "Q4_K_M"), (21, "Q2_K_S"), (25, "IQ4_NL"), (30, "IQ4_XS"), (31, "IQ1_M"), (38, "MXFP4_MOE")]
    {
        let (_temp, path) = saved(&sound().with("general.file_type", Value::U32(number)).bytes());
        let output = info(&path);
        assert!(stdout(&output).contains(&format!("in {name}")), "{number}: {}", stdout(&output));
    }
}
