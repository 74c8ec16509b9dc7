//! Recordings of other programs, opened without a model.

use super::*;
use crate::support::recordings::{edited, insert, lens4, reference};
use mixscope::trace::Level;

fn opened(change: impl FnOnce(&mut TraceFile)) -> Run {
    let (_folder, path) = edited(&reference("tiny-f32", "reference"), "t.safetensors", change);
    Replay::open(&path).unwrap().into()
}

#[test]
fn a_cache_of_transformer_lens_4_opens_as_the_same_run_and_says_how_it_was_read() {
    let (whole, cache) = (opened(|_| {}), opened(lens4));
    for (a, b) in whole.tokens().iter().zip(cache.tokens()) {
        assert_eq!((a.id, a.score, a.next.entropy), (b.id, b.score, b.next.entropy));
        for hook in Hook::all(mixscope::trace::Dims { layers: 3, ..Default::default() })
            .filter(|hook| hook.kind != HookKind::ExpertWeights)
        {
            assert_eq!(a.values.get(hook), b.values.get(hook), "{hook}");
        }
    }
    let notes = |run: &Run| run.meta().report.of(Level::Note).map(ToString::to_string).collect::<Vec<_>>();
    let said = notes(&cache);
    for part in [
        "`mlp.gate.hook_out` as `mlp.hook_router_logits`",
        "read as `mlp.hook_mixing_weights`",
        "a batch axis",
        "not known: 2",
    ] {
        assert_eq!(said.iter().filter(|note| note.contains(part)).count(), 1, "{part}: {said:?}");
    }
    assert_eq!(said.len(), notes(&whole).len() + 4, "{said:?}");
}

#[test]
fn probabilities_alone_say_which_experts_are_chosen() {
    let whole = opened(|_| {});
    let early = opened(|trace| {
        let probs = trace.tensors["blocks.1.mlp.hook_expert_weights"].clone();
        trace.tensors.retain(|name, _| !name.contains(".mlp."));
        insert(trace, "blocks.1.mlp.gate.hook_out", &probs.shape, probs.values);
    });
    for (a, b) in whole.tokens().iter().zip(early.tokens()) {
        assert_eq!(a.experts(1), b.experts(1));
        assert_eq!(a.row(HookKind::ExpertWeights, 1), b.row(HookKind::ExpertWeights, 1));
        assert_eq!((b.row(HookKind::RouterLogits, 1), b.experts(0)), (None, None), "what is not there is not made up");
    }
}

#[test]
fn a_batch_of_several_texts_is_refused() {
    let (_folder, path) = edited(&reference("tiny-f32", "reference"), "t.safetensors", |trace| {
        let ids = trace.tensors.get_mut("tokens").unwrap();
        ids.shape = vec![3, 13];
    });
    let error = format!("{:#}", Replay::open(&path).unwrap_err());
    assert!(error.contains("`tokens`: expected one text, found a batch of 3"), "{error}");
}

#[test]
fn integers_are_written_as_torch_indexes_and_read_in_either_form() {
    let run = Command::ok(&["--prompt-ids", "1,357,702", "--format", "trace"]);
    let bytes = &run.files["trace.safetensors"];
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    for name in ["tokens", "blocks.0.mlp.hook_expert_indices", "mixscope.next.ids"] {
        assert_eq!(file.tensor(name).unwrap().dtype(), safetensors::Dtype::I64, "{name}");
    }
    for (name, tensor) in file.iter() {
        let width = tensor.dtype().bitsize() / 8;
        assert!(tensor.data().as_ptr().addr().wrapping_sub(bytes.as_ptr().addr()).is_multiple_of(width), "{name}");
    }
    // The fixtures hold u32.
    let old = std::fs::read(reference("tiny-f32", "reference")).unwrap();
    let old = safetensors::SafeTensors::deserialize(&old).unwrap().tensor("tokens").unwrap().dtype();
    assert_eq!(old, safetensors::Dtype::U32);
}
