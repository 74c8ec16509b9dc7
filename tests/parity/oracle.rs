//! candle-transformers' Mixtral in f32 as a second opinion: last-position logits, prefill and decode.

use crate::support::{self, assert_close, fixture, forward, load};
use candle_core::{DType, Device, Tensor};
use candle_transformers::models::mixtral;
use mixscope::model::{Loaded, Location, NoHooks, demo, open};
use mixscope::trace::Policy;

/// candle's model needs a number as window and `use_flash_attn`; without a window any number above the length will do.
fn candle_model(config: &[u8], weights: Vec<u8>) -> mixtral::Model {
    let mut json: serde_json::Value = serde_json::from_slice(config).unwrap();
    json["sliding_window"] = 4096.into();
    json["use_flash_attn"] = false.into();
    let config: mixtral::Config = serde_json::from_value(json).unwrap();
    let vb = candle_nn::VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).unwrap();
    mixtral::Model::new(&config, vb).unwrap()
}

fn compare(loaded: &Loaded, mut oracle: mixtral::Model, ids: &[u32], steps: usize) {
    let mut cache = loaded.model.new_cache();
    let mut fed = ids.to_vec();
    let mut pos = 0;
    for step in 0..=steps {
        let ours = forward(loaded, &fed, &mut cache, &mut NoHooks);
        let ours = &ours[ours.len() - loaded.meta.dims.vocab..];
        let input = Tensor::new(fed.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let theirs: Vec<f32> = oracle.forward(&input, pos).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_close(&format!("step {step}"), ours, &theirs, 1e-4, 2e-5);
        pos += fed.len();
        let next = ours.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        fed = vec![next as u32];
    }
}

#[test]
fn the_demo_model_agrees_with_candle_in_f32() {
    let loaded = open(&Location::Demo, Policy::F32, None, false).unwrap();
    let oracle = candle_model(demo::CONFIG, demo::WEIGHTS.to_vec());
    let text = "Once upon a time, there was a little girl named Lily. Había una vez un niño.";
    let ids = loaded.tokenizer.as_ref().unwrap().encode(text, true).unwrap();
    compare(&loaded, oracle, &ids, 12);
}

#[test]
fn a_random_model_agrees_with_candle_in_f32() {
    let loaded = load("tiny-f32", Policy::Hf);
    let read = |name: &str| std::fs::read(fixture("tiny-f32/model").join(name)).unwrap();
    let ids = support::Reference::read("tiny-f32", "reference").ids();
    compare(&loaded, candle_model(&read("config.json"), read("model.safetensors")), &ids, 8);
}
