//! What several test files need: fixtures, recorded runs, comparisons.
#![allow(dead_code, reason = "each test binary uses some of it")]

pub mod cells;
pub mod cli;
pub mod explorer;
pub mod figures;
pub mod gguf_writer;
pub mod hub;
pub mod pdf;
#[cfg(unix)]
pub mod pty;
pub mod recordings;
pub mod shot;
pub mod still;

use anyhow::Result;
use mixscope::control::Control;
use mixscope::model::{Hooks, KvCache, Loaded, Location, Precision, open};
use mixscope::trace::{Hook, HookKind, Policy, TraceFile, TraceTensor, Values};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Case, file stem of its f32 reference, and the policy under which transformers computed it.
pub const CASES: [(&str, &str, &str); 8] = [
    ("tiny-f32", "reference", "hf"),
    ("tiny-bf16", "reference_float32", "f32"),
    ("tiny-f16", "reference", "f32"),
    ("gqa-headdim", "reference", "hf"),
    ("tied-window-legacy", "reference", "hf"),
    ("tied-window-modern", "reference", "hf"),
    ("top1", "reference", "hf"),
    ("top3", "reference", "hf"),
];

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// One recording by transformers: tensors by hook, derived values, and the JSON next to them.
pub struct Reference {
    pub trace: TraceFile,
    pub extras: TraceFile,
    pub json: serde_json::Value,
}

impl Reference {
    pub fn read(case: &str, stem: &str) -> Self {
        let dir = fixture(case);
        let file = |suffix: &str| dir.join(format!("{stem}{suffix}"));
        Self {
            trace: TraceFile::read(&file(".safetensors")).unwrap(),
            extras: TraceFile::read(&file(".extras.safetensors")).unwrap(),
            json: serde_json::from_slice(&std::fs::read(file(".json")).unwrap()).unwrap(),
        }
    }

    pub fn ids(&self) -> Vec<u32> {
        self.trace.get("tokens").unwrap().u32().unwrap().to_vec()
    }

    pub fn greedy(&self) -> Vec<u32> {
        self.json["greedy_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    }
}

/// The directory of a case's model; `tied-window-modern` shares the weights of `-legacy`.
pub fn model_dir(case: &str) -> (PathBuf, Option<tempfile::TempDir>) {
    let dir = fixture(case).join("model");
    if case != "tied-window-modern" {
        return (dir, None);
    }
    let temp = tempfile::tempdir().unwrap();
    for name in ["config.json", "generation_config.json", "tokenizer.json"] {
        std::fs::copy(dir.join(name), temp.path().join(name)).unwrap();
    }
    let weights = fixture("tied-window-legacy/model/model.safetensors");
    std::fs::copy(weights, temp.path().join("model.safetensors")).unwrap();
    (temp.path().to_path_buf(), Some(temp))
}

pub fn load(case: &str, policy: Policy) -> Loaded {
    let (dir, _temp) = model_dir(case);
    open(&Location::Dir(dir), policy, None, false).unwrap()
}

pub fn precision(loaded: &Loaded) -> Precision {
    Precision::new(loaded.meta.policy, loaded.meta.compute_dtype)
}

/// Whether a complete recording of transformers holds a hook.
pub fn in_recordings(hook: Hook) -> bool {
    hook.kind != HookKind::ChoiceScores && !hook.kind.is_scale()
}

/// Keeps a copy of every value that a recording holds, rows of later passes appended; optionally replaces values.
#[derive(Default)]
pub struct Recorder {
    pub seen: BTreeMap<String, Vec<f32>>,
    pub replace: BTreeMap<Hook, TraceTensor>,
    pub except: Vec<HookKind>,
}

impl Hooks for Recorder {
    fn wants(&self, hook: Hook) -> bool {
        in_recordings(hook) && !self.except.contains(&hook.kind)
    }

    fn at(&mut self, hook: Hook, value: &mut [f32], _: Range<usize>) -> Result<()> {
        if let Some(with) = self.replace.get(&hook) {
            let Values::F32(values) = &with.values else { unreachable!("only activations are replaced") };
            value.copy_from_slice(values);
            return Ok(());
        }
        self.seen.entry(hook.to_string()).or_default().extend(value.iter());
        Ok(())
    }

    fn at_ids(&mut self, hook: Hook, ids: &mut [u32], _: Range<usize>) -> Result<()> {
        self.seen.entry(hook.to_string()).or_default().extend(ids.iter().map(|id| *id as f32));
        Ok(())
    }
}

/// One pass over `ids` with every hook recorded; the last entry of `seen` is the logits under `unembed.hook_out`.
pub fn record(loaded: &Loaded, ids: &[u32]) -> Recorder {
    let mut recorder = Recorder::default();
    forward(loaded, ids, &mut loaded.model.new_cache(), &mut recorder);
    recorder
}

pub fn forward(loaded: &Loaded, ids: &[u32], cache: &mut KvCache, hooks: &mut dyn Hooks) -> Vec<f32> {
    loaded.model.forward(ids, cache, precision(loaded), hooks, &Control::none()).unwrap()
}

/// |a - b| ≤ abs + rel·|b| everywhere.
pub fn assert_close(what: &str, got: &[f32], want: &[f32], abs: f32, rel: f32) {
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        let close = (a - b).abs() <= abs + rel * b.abs();
        assert!(close, "{what}[{i}]: {a} against the reference's {b}, difference {:e}", a - b);
    }
}

/// Share of values that are equal bit for bit (and +0 = -0).
pub fn equal_share(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).filter(|(a, b)| a == b).count() as f64 / got.len() as f64
}
