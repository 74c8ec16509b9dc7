//! Recordings to compare: copies of fixtures with something changed, and the two commands that compare.

use super::cli::{mixscope, stderr};
use super::fixture;
use half::{bf16, f16};
use mixscope::trace::{Dtype, TraceFile, TraceTensor, Values};
use safetensors::tensor::{Dtype as StDtype, TensorView};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn diff(a: &Path, b: &Path, more: &[&str]) -> Output {
    mixscope(["diff", text(a), text(b)].iter().chain(more))
}

pub fn check(model: &Path, trace: &Path, more: &[&str]) -> Output {
    mixscope(["check", text(model), "--against", text(trace)].iter().chain(more))
}

pub fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// A copy of a fixture's trace, changed by `edit`.
pub fn edited(of: &Path, name: &str, edit: impl FnOnce(&mut TraceFile)) -> (tempfile::TempDir, PathBuf) {
    let mut trace = TraceFile::read(of).unwrap();
    edit(&mut trace);
    let bytes = |tensor: &TraceTensor| -> (StDtype, Vec<u8>) {
        match (&tensor.values, tensor.dtype) {
            (Values::U32(x), _) => (StDtype::U32, x.iter().flat_map(|x| x.to_le_bytes()).collect()),
            (Values::F32(x), Dtype::F32) => (StDtype::F32, x.iter().flat_map(|x| x.to_le_bytes()).collect()),
            (Values::F32(x), Dtype::F16) => {
                (StDtype::F16, x.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect())
            }
            (Values::F32(x), Dtype::Bf16) => {
                (StDtype::BF16, x.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect())
            }
        }
    };
    let data: Vec<(StDtype, Vec<u8>)> = trace.tensors.values().map(bytes).collect();
    let views = trace.tensors.iter().zip(&data).map(|((name, tensor), (dtype, bytes))| {
        (name.as_str(), TensorView::new(*dtype, tensor.shape.clone(), bytes).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, safetensors::serialize(views, Some(trace.metadata)).unwrap()).unwrap();
    (folder, path)
}

pub fn floats<'a>(trace: &'a mut TraceFile, name: &str) -> &'a mut Vec<f32> {
    let Values::F32(values) = &mut trace.tensors.get_mut(name).unwrap().values else { panic!("{name}") };
    values
}

/// A copy of a fixture's model with another config.
pub fn with_config(case: &str, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> tempfile::TempDir {
    copied(&fixture(case).join("model"), edit)
}

/// A copy of a model with another config.
pub fn copied(model: &Path, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    edit(config.as_object_mut().unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, config.to_string()).unwrap();
    folder
}

pub fn reference(case: &str, stem: &str) -> PathBuf {
    let case = if case == "tied-window-modern" { "tied-window-legacy" } else { case };
    fixture(case).join(format!("{stem}.safetensors"))
}

/// Adds a tensor of f32 or integers.
pub fn insert(trace: &mut TraceFile, name: &str, shape: &[usize], values: Values) {
    trace.tensors.insert(name.to_owned(), TraceTensor { shape: shape.to_vec(), dtype: Dtype::F32, values });
}

/// A complete recording of transformers as TransformerLens 4 keeps it: a batch axis, the router's logits by the router's name, and the weights of the
/// chosen experts, 0 for the others, where the softmax was.
pub fn lens4(trace: &mut TraceFile) {
    let layers = trace.tensors.keys().filter(|name| name.ends_with("mlp.hook_router_logits")).count();
    for layer in 0..layers {
        let name = |hook: &str| format!("blocks.{layer}.mlp.{hook}");
        let mut take = |hook: &str| trace.tensors.remove(&name(hook)).unwrap();
        let (logits, chosen) = (take("hook_router_logits"), take("hook_expert_indices"));
        let (weights, probs) = (take("hook_mixing_weights"), take("hook_expert_weights"));
        let (k, experts) = (weights.shape[1], probs.shape[1]);
        let mut dense = vec![0.0; probs.shape[0] * experts];
        for (i, (expert, weight)) in chosen.u32().unwrap().iter().zip(weights.f32().unwrap()).enumerate() {
            dense[i / k * experts + *expert as usize] = *weight;
        }
        insert(trace, &name("gate.hook_out"), &logits.shape, logits.values);
        insert(trace, &name("hook_expert_weights"), &probs.shape, Values::F32(dense));
        insert(trace, &format!("blocks.{layer}.attn.hook_attn_scores"), &[1], Values::F32(vec![0.0]));
        insert(trace, &format!("blocks.{layer}.ln1.hook_normalized"), &[1], Values::F32(vec![0.0]));
    }
    for tensor in trace.tensors.values_mut() {
        tensor.shape.insert(0, 1);
    }
    insert(trace, "blocks.0.mlp.hook_speed", &[1], Values::F32(vec![0.0]));
    insert(trace, "velocity", &[1], Values::F32(vec![0.0]));
}
