//! Other families than Mixtral against transformers: recordings of small random models in f32 and in bf16.

use crate::support::{Recorder, assert_close, equal_share, fixture, forward, record};
use mixscope::control::Control;
use mixscope::model::{Distribution, Loaded, Location, NoHooks, open};
use mixscope::trace::{Dtype, HookKind, Policy, TraceFile, Values};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ABS: f32 = 1e-4;
const REL: f32 = 2e-5;
/// Names of the recordings, and the hooks that hold the same.
const NAMES: [(&str, &str); 4] = [
    ("attn.q_norm.out", "attn.q_norm.hook_out"),
    ("attn.k_norm.out", "attn.k_norm.hook_out"),
    ("mlp.shared_expert.out", "mlp.hook_shared_out"),
    ("mlp.shared_expert_gate.out", "mlp.hook_shared_gate"),
];

/// The folders of the recordings: those of the repository, and those in the folder that the environment names.
fn cases() -> Vec<PathBuf> {
    let more = std::env::var_os("MIXSCOPE_FAMILIES").map(PathBuf::from);
    let mut found = Vec::new();
    for folder in std::iter::once(fixture("families")).chain(more) {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        found.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.join("model").is_dir()));
    }
    found.sort();
    assert!(found.len() >= 5, "a recording of each family");
    found
}

fn load(case: &Path, policy: Policy, dtype: Option<Dtype>) -> Loaded {
    open(&Location::Dir(case.join("model")), policy, dtype, false)
        .unwrap_or_else(|error| panic!("{}: {error:#}", case.display()))
}

/// A recording: tensors by the names of our hooks, the prompt, and the greedy continuation.
struct Reference {
    trace: TraceFile,
    prompt: Vec<u32>,
    greedy: Vec<u32>,
    /// Tokens of the prompt that were recorded.
    rows: usize,
}

impl Reference {
    fn read(case: &Path, stem: &str) -> Self {
        let mut trace = TraceFile::read(&case.join(format!("{stem}.safetensors"))).unwrap();
        let named = |name: String| match NAMES.iter().find(|(from, _)| name.ends_with(from)) {
            Some((from, to)) => name.replace(from, to),
            None => name,
        };
        let tensors: BTreeMap<_, _> =
            std::mem::take(&mut trace.tensors).into_iter().map(|(name, tensor)| (named(name), tensor)).collect();
        trace.tensors = tensors;
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(case.join(format!("{stem}.json"))).unwrap()).unwrap();
        let ids = |key: &str| -> Vec<u32> {
            json[key].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
        };
        let rows = trace.get("tokens").unwrap().u32().unwrap().len();
        Self { rows, prompt: ids("prompt_ids"), greedy: ids("greedy_ids"), trace }
    }

    fn ids(&self) -> &[u32] {
        &self.prompt[..self.rows]
    }
}

#[test]
fn every_hook_and_the_greedy_tokens_agree_in_f32() {
    for case in cases() {
        let (loaded, name) = (load(&case, Policy::F32, None), case.display());
        let reference = Reference::read(&case, "reference");
        let recorded = record(&loaded, reference.ids());
        for (hook, want) in reference.trace.tensors.iter().filter(|(hook, _)| *hook != "tokens") {
            let got = recorded.seen.get(hook).unwrap_or_else(|| panic!("{name}: the pass has no `{hook}`"));
            match &want.values {
                Values::U32(want) => {
                    assert_eq!(&got.iter().map(|x| *x as u32).collect::<Vec<_>>(), want, "{name} {hook}");
                }
                Values::F32(want) => assert_close(&format!("{name} {hook}"), got, want, ABS, REL),
            }
        }
        let mut cache = loaded.model.new_cache();
        let mut logits = forward(&loaded, &reference.prompt, &mut cache, &mut NoHooks);
        for (step, want) in reference.greedy.iter().enumerate() {
            let got = Distribution::of(&logits[logits.len() - loaded.meta.dims.vocab..]).top(1)[0] as u32;
            assert_eq!(got, *want, "{name} step {step}");
            logits = forward(&loaded, &[got], &mut cache, &mut NoHooks);
        }
    }
}

#[test]
fn prefill_chunks_and_steps_agree_bit_for_bit() {
    for case in cases() {
        for policy in [Policy::F32, Policy::Hf] {
            let loaded = load(&case, policy, Some(Dtype::Bf16));
            let ids = Reference::read(&case, "reference").prompt;
            let whole = forward(&loaded, &ids, &mut loaded.model.new_cache(), &mut NoHooks);
            for size in [1, 7] {
                let mut cache = loaded.model.new_cache();
                let chunks = ids.chunks(size).flat_map(|chunk| forward(&loaded, chunk, &mut cache, &mut NoHooks));
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&chunks.collect::<Vec<_>>()), bits(&whole), "{} {policy} {size}", case.display());
            }
        }
    }
}

#[test]
fn each_layer_fed_the_recordings_input_is_bit_equal_in_bf16() {
    for case in cases() {
        let (loaded, name) = (load(&case, Policy::Hf, Some(Dtype::Bf16)), case.display());
        let reference = Reference::read(&case, "reference_bf16");
        let mut hooks = Recorder::default();
        for layer in 0..loaded.meta.dims.layers {
            let hook = HookKind::ResidPre.at(layer);
            hooks.replace.insert(hook, reference.trace.get(&hook.to_string()).unwrap().clone());
        }
        let mut cache = loaded.model.new_cache();
        loaded.model.forward(reference.ids(), &mut cache, loaded.precision(), &mut hooks, &Control::none()).unwrap();
        let k = loaded.meta.dims.top_k;
        for (hook, got) in &hooks.seen {
            let Some(want) = reference.trace.tensors.get(hook) else { continue };
            let share = match &want.values {
                Values::U32(want) => {
                    let set = |row: Vec<u32>| row.into_iter().collect::<std::collections::BTreeSet<_>>();
                    let ours = got.chunks_exact(k).map(|row| set(row.iter().map(|x| *x as u32).collect()));
                    let same = ours.zip(want.chunks_exact(k)).filter(|(a, b)| *a == set(b.to_vec())).count();
                    same as f64 / (want.len() / k) as f64
                }
                Values::F32(want) => equal_share(got, want),
            };
            assert!(share >= 0.95, "{name} {hook}: {:.2} % bit-equal", share * 100.0);
        }
    }
}

#[test]
fn a_gguf_of_the_same_weights_gives_the_same_logits() {
    let mut compared = 0;
    for case in cases().into_iter().filter(|case| case.join("model.gguf").exists()) {
        let (file, name) = (Location::Gguf(case.join("model.gguf")), case.display());
        // These files hold no tokenizer.
        let loaded = open(&file, Policy::F32, None, true).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let reference = Reference::read(&case, "reference");
        let logits = forward(&loaded, reference.ids(), &mut loaded.model.new_cache(), &mut NoHooks);
        let want = reference.trace.get("unembed.hook_out").unwrap().f32().unwrap();
        assert_close(&format!("{name} logits"), &logits, want, ABS, REL);
        compared += 1;
    }
    assert!(compared >= 5, "a file of each family");
}
