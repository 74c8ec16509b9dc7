//! The policy `ggml` against logits of llama.cpp.

use crate::support::fixture;
use mixscope::control::Control;
use mixscope::model::{KvCache, Loaded, Location, NoHooks, Precision, open};
use mixscope::trace::{Device, Dtype, Policy};
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
        let off = |policy: Policy| {
            let loaded = load(name, policy);
            let got = read(&loaded, &ids, &mut loaded.model.new_cache());
            assert_eq!(got.len(), want.len());
            got.iter().zip(&want).fold(0f32, |most, (got, want)| most.max((got - want).abs()))
        };
        let [ggml, f32] = [Policy::Ggml, Policy::F32].map(off);
        println!("{name}: ggml {ggml:.2e}, f32 {f32:.2e}");
        assert!(ggml < 1e-3 && f32 > 5.0 * ggml, "{name}: ggml {ggml:.2e}, f32 {f32:.2e}");
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
    let error = loaded.on(Device::Candle).err().unwrap();
    let said = format!("{error:#}");
    assert!(said.contains("the precision ggml is only computed on the device cpu, not on candle"), "{said}");
}
