//! Other precisions than f32.

use super::*;

#[test]
fn the_precision_lab_has_the_references_losses_and_routing() {
    let dir = fixture("precision-lab");
    let (lab, model) = (read_json(&dir.join("lab.json")), dir.join("model"));
    let reference = TraceFile::read(&dir.join("reference_f32.safetensors")).unwrap();
    let ids = join(reference.get("tokens").unwrap().u32().unwrap());
    let model = model.to_str().unwrap();
    let run = Run::ok(&[model, "--prompt-ids", &ids, "--precision", "f32", "--heads", "0.0", "--capture", "routing"]);
    let nll: Vec<f32> = run.tokens().iter().filter_map(|row| row.4).collect();
    let want: Vec<f32> = serde_json::from_value(lab["variants"]["f32"]["nll"].clone()).unwrap();
    assert_close("lab nll", &nll, &want, 1e-4, 0.0);
    let mean = lab["variants"]["f32"]["mean_loss"].as_f64().unwrap();
    assert!((run.json()["mean_loss"].as_f64().unwrap() - mean).abs() < 1e-4);
    let rows: Vec<RoutingRow> = run.table("routing.csv");
    assert_eq!(rows.len(), 256 * 6 * 8);
    for (i, rows) in rows.chunks_exact(8).enumerate() {
        let (pos, layer) = (i / 6, i % 6);
        let what = format!("lab position {pos} layer {layer}");
        let want = |name: &str| reference.get(&format!("blocks.{layer}.mlp.hook_{name}")).unwrap();
        let logits: Vec<f32> = rows.iter().map(|row| row.3).collect();
        assert_close(&what, &logits, &want("router_logits").f32().unwrap()[pos * 8..][..8], ABS, REL);
        let (order, weights) = by_rank(rows);
        assert_eq!(order[..2], want("expert_indices").u32().unwrap()[pos * 2..][..2], "{what}");
        assert_close(&what, &weights[..2], &want("mixing_weights").f32().unwrap()[pos * 2..][..2], PROB, 0.0);
        assert!(weights[2..].iter().all(|weight| *weight == 0.0), "{what}");
    }
}

#[test]
fn bf16_weights_under_the_default_policy_give_the_references_tokens_and_experts_and_a_bf16_trace() {
    let reference = Reference::read("tiny-bf16", "reference");
    let (model, ids) = (fixture("tiny-bf16/model"), join(&reference.ids()));
    let run = Run::ok(&[model.to_str().unwrap(), "--prompt-ids", &ids, "--steps", "16"]);
    let (json, trace, n) = (run.json(), run.trace(), reference.ids().len());
    assert_eq!((&json["precision"], &json["compute_dtype"]), (&Value::from("hf"), &Value::from("bf16")));
    assert_eq!(ids_of(&json["generated_ids"]), reference.greedy());
    let hooks =
        || trace.tensors.iter().filter_map(|(name, tensor)| Some((name, name.parse::<Hook>().ok()?.kind, tensor)));
    assert_eq!(hooks().count(), Hook::recorded(mixscope::trace::Dims { layers: 3, ..Default::default() }).count());
    for (name, kind, tensor) in hooks() {
        let always_f32 = kind.always_f32() || kind == HookKind::ExpertIndices;
        assert_eq!(tensor.dtype, if always_f32 { Dtype::F32 } else { Dtype::Bf16 }, "{name}");
        if !kind.is_scale() {
            assert_eq!(tensor.dtype, reference.trace.get(name).unwrap().dtype, "{name}");
        }
    }
    let decoded = reference.extras.get("decode.expert_indices").unwrap().u32().unwrap();
    let set = |experts: &[u32]| experts.iter().copied().collect::<BTreeSet<u32>>();
    for (i, rows) in run.table::<RoutingRow>("routing.csv").chunks_exact(4).enumerate() {
        let (pos, layer) = (i / 3, i % 3);
        let order = by_rank(rows).0;
        let name = format!("blocks.{layer}.mlp.hook_expert_indices");
        assert_eq!(order[..2], trace.get(&name).unwrap().u32().unwrap()[pos * 2..][..2], "{pos} {layer}");
        if pos < n {
            let want = reference.trace.get(&name).unwrap().u32().unwrap();
            assert_eq!(set(&order[..2]), set(&want[pos * 2..][..2]), "{pos} {layer}");
        }
        if (n - 1..n + 15).contains(&pos) {
            let at = ((pos + 1 - n) * 3 + layer) * 2;
            assert_eq!(set(&order[..2]), set(&decoded[at..][..2]), "{pos} {layer}");
        }
        let logits = trace.get(&format!("blocks.{layer}.mlp.hook_router_logits")).unwrap().f32().unwrap();
        let got: Vec<f32> = rows.iter().map(|row| row.3).collect();
        assert_eq!(got, logits[pos * 4..][..4], "bf16 holds what was computed");
    }
}

#[test]
fn the_policy_and_the_dtype_decide_how_a_trace_is_stored() {
    let dtypes = |model: &str, args: &[&str]| {
        let model = fixture(model);
        let run = Run::ok(&[&[model.to_str().unwrap(), "--prompt-ids", "1,300,301", "--quiet"], args].concat());
        let (trace, json) = (run.trace(), run.json());
        let dtype = |name: &str| trace.get(name).unwrap().dtype;
        let router = dtype("blocks.0.mlp.hook_router_logits");
        (dtype("hook_embed"), router, dtype("blocks.0.mlp.hook_expert_weights"), json["compute_dtype"].clone())
    };
    let (f32, f16, bf16) = (Dtype::F32, Dtype::F16, Dtype::Bf16);
    assert_eq!(dtypes("tiny-f16/model", &[]), (f16, f16, f32, "f16".into()));
    assert_eq!(dtypes("tiny-bf16/model", &["--precision", "f32"]), (f32, f32, f32, "f32".into()));
    assert_eq!(dtypes("tiny-bf16/model", &["--precision", "f32-router"]), (bf16, f32, f32, "bf16".into()));
    assert_eq!(dtypes("tiny-f32/model", &["--dtype", "bf16"]), (bf16, bf16, f32, "bf16".into()));
    assert_eq!(dtypes("tiny-bf16/model", &["--dtype", "float32"]), (f32, f32, f32, "f32".into()));
}
