//! The policy `ggml` against logits of llama.cpp.

use crate::support::fixture;
use mixscope::control::Control;
use mixscope::model::{KvCache, Loaded, Location, NoHooks, Precision, open};
use mixscope::trace::{Device, Dtype, Meta, Policy};
use safetensors::SafeTensors;

/// The files of which `llama-cpp.safetensors` holds logits (llama-cpp-python 0.3.36, keys and values in f16, no flash
/// attention, by `tools/record_llama.py`).
const FILES: [&str; 5] = ["kq-Q4_K_M", "tiny-Q4_0", "tiny-Q8_0", "tiny-F16", "tiny-BF16"];

fn load(name: &str, policy: Policy) -> Loaded {
    open(&Location::Gguf(fixture("gguf").join(format!("{name}.gguf"))), policy, None, false).unwrap()
}

fn prompt(name: &str) -> Vec<u32> {
    let text = std::fs::read_to_string(fixture("gguf").join(format!("{name}.reference.json"))).unwrap();
    serde_json::from_value(serde_json::from_str::<serde_json::Value>(&text).unwrap()["prompt_ids"].take()).unwrap()
}

fn read(loaded: &Loaded, ids: &[u32], cache: &mut KvCache) -> Vec<f32> {
    loaded.model.forward(ids, cache, loaded.precision(), &mut NoHooks, &Control::none()).unwrap()
}

#[test]
fn logits_are_those_of_llama_cpp() {
    let bytes = std::fs::read(fixture("gguf/llama-cpp.safetensors")).unwrap();
    let recorded = SafeTensors::deserialize(&bytes).unwrap();
    for name in FILES {
        let ids = prompt(name);
        let tensor = recorded.tensor(name).unwrap();
        let want: Vec<f32> = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        // The largest difference at each position, the smallest first.
        let off = |policy: Policy| {
            let loaded = load(name, policy);
            let got = read(&loaded, &ids, &mut loaded.model.new_cache());
            assert_eq!(got.len(), want.len());
            let rows = got.chunks(loaded.meta.dims.vocab).zip(want.chunks(loaded.meta.dims.vocab));
            let mut most: Vec<f32> =
                rows.map(|(got, want)| got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)).collect();
            most.sort_by(f32::total_cmp);
            most
        };
        let [ggml, f32] = [Policy::Ggml, Policy::F32].map(off);
        let n = ids.len();
        // Sums in another order move values by some 1e-7. A value at the boundary of two integers then goes to the other
        // one, which moves this position and those that attend to it by about what a step of 8 bits is.
        let near = ggml.iter().filter(|off| **off < 1e-3).count();
        assert!(ggml[n / 2] < 1e-5 && 5 * near >= 3 * n, "{name}: {near} of {n}, median {:e}", ggml[n / 2]);
        assert!(ggml[n - 1] < 0.6 * f32[n - 1], "{name}: {:e} and {:e}", ggml[n - 1], f32[n - 1]);
        assert!(f32[0] > 1e-3 && f32[n / 2] > 1e3 * ggml[n / 2], "{name}: {:e} {:e}", f32[0], f32[n / 2]);
    }
}

#[test]
fn prefill_chunks_and_steps_give_the_same_bits() {
    for name in FILES {
        let (loaded, ids) = (load(name, Policy::Ggml), prompt(name));
        let whole = read(&loaded, &ids, &mut loaded.model.new_cache());
        for size in [1, 2, 3, 7, 16] {
            let mut cache = loaded.model.new_cache();
            let parts: Vec<f32> = ids.chunks(size).flat_map(|ids| read(&loaded, ids, &mut cache)).collect();
            assert!(whole == parts, "{name} in chunks of {size}");
        }
    }
}

#[test]
fn activations_are_f32_and_other_devices_are_refused() {
    let loaded = load("tiny-Q8_0", Policy::Ggml);
    assert_eq!(loaded.meta.activation_dtype(), Dtype::F32);
    assert_ne!(loaded.precision(), Precision::new(Policy::F32, loaded.meta.compute_dtype));
    assert!(loaded.meta.ggml_advice().is_none());
    let mut large = (*load("tiny-Q8_0", Policy::Hf).meta).clone();
    assert!(large.ggml_advice().is_none(), "small");
    large.weight_bytes = 2_000_000_000;
    assert!(large.ggml_advice().unwrap().contains("--precision ggml"));
    let plain = Meta { weight_bytes: 2_000_000_000, ..(*load("tiny-F16", Policy::Hf).meta).clone() };
    assert!(plain.ggml_advice().is_none(), "no weights are quantised");
    let other = Meta { weight_bytes: 2_000_000_000, ..(*load("tiny-Q4_0", Policy::Hf).meta).clone() };
    assert!(other.ggml_advice().is_none(), "one product for each weight already");
    let error = loaded.on(Device::Candle).err().unwrap();
    let said = format!("{error:#}");
    assert!(said.contains("the precision ggml is only computed on the device cpu, not on candle"), "{said}");
}
