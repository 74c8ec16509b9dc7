//! Names of tensors: the two of the experts' block, those of other tools, and two tensors of one name.

use super::*;

const GATE: &str = "model.layers.0.block_sparse_moe.gate.weight";

/// The experts of each layer in two tensors, in the block of this name.
fn fused(model: &mut Model, block: &str) {
    let old = std::mem::take(&mut model.tensors);
    for (name, tensor) in old.iter().filter(|(name, _)| !name.contains(".experts.")) {
        model.tensors.insert(name.replace("block_sparse_moe", block), tensor.clone());
    }
    for l in 0..2 {
        let expert = |e: usize, w: usize| &old[&format!("model.layers.{l}.block_sparse_moe.experts.{e}.w{w}.weight")];
        for (name, ws) in [("gate_up_proj", &[1, 3][..]), ("down_proj", &[2])] {
            let (dtype, shape, _) = expert(0, ws[0]);
            let each = (0..16).flat_map(|e| ws.iter().map(move |w| (e, *w)));
            let data = each.flat_map(|(e, w)| expert(e, w).2.clone()).collect();
            let shape = vec![16, ws.len() * shape[0], shape[1]];
            model.tensors.insert(format!("model.layers.{l}.{block}.experts.{name}"), (*dtype, shape, data));
        }
    }
}

#[test]
fn the_block_of_the_experts_has_either_name() {
    let (right, _) = Model::new().run();
    for (all, fuse) in [("mlp", false), ("mlp", true), ("block_sparse_moe", true)] {
        let mut model = Model::new();
        if fuse {
            fused(&mut model, all);
        } else {
            model.rename(|name| name.replace("block_sparse_moe", all));
        }
        model.save();
        let (found, said) = model.run();
        assert_eq!((found.as_str(), said.contains("warning")), (right.as_str(), false), "{all}: {said}");
        // Only the router has the other name.
        model.rename(|name| name.replace("mlp.gate.", "block_sparse_moe.gate."));
        model.save();
        assert_eq!(model.run().0, right);
    }
}

/// The experts of layer 0 are fused; in layer 1 each has its own tensors, or the other way round.
#[test]
fn layers_may_hold_their_experts_in_different_forms() {
    let (right, _) = Model::new().run();
    let in_layer = |name: &str, layer: usize| name.starts_with(&format!("model.layers.{layer}."));
    let (split, mut all) = (Model::new().tensors, Model::new());
    for block in ["mlp", "block_sparse_moe"] {
        all.tensors = split.clone();
        fused(&mut all, block);
        for layer in [0, 1] {
            let mut model = Model::new();
            let of_split = split.iter().filter(|(name, _)| !in_layer(name, layer));
            let of_fused = all.tensors.iter().filter(|(name, _)| in_layer(name, layer));
            model.tensors = of_split.chain(of_fused).map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
            model.save();
            let (found, said) = model.run();
            assert_eq!((found.as_str(), said.contains("warning")), (right.as_str(), false), "{block} {layer}: {said}");
            let info = mixscope(["info".as_ref(), model.path().as_os_str()]);
            says(std::str::from_utf8(&info.stdout).unwrap(), &["2 tensors of all experts of a layer"]);
            let name = format!("model.layers.{layer}.{block}.experts.gate_up_proj");
            // A layer that fuses one of the two.
            let down = format!("model.layers.{layer}.{block}.experts.down_proj");
            let mut half = Model::new();
            half.tensors = model.tensors.clone();
            half.tensors.remove(&down);
            let own = split.iter().filter(|(name, _)| in_layer(name, layer) && name.ends_with(".w2.weight"));
            half.tensors.extend(own.map(|(name, tensor)| (name.clone(), tensor.clone())));
            half.save();
            assert_eq!(half.run().0, right);
            // Another number of experts, and another tensor of one of them.
            let (_, shape, _) = half.tensors.get_mut(&name).unwrap();
            *shape = vec![shape[0] / 2, shape[1] * 2, shape[2]];
            half.save();
            says(&half.refused(), &[".experts.gate_up_proj`: expected [16, rows, columns]", "found [8, "]);
            let own = format!("model.layers.{layer}.block_sparse_moe.experts.3.w1.weight");
            model.tensors.insert(own.clone(), split[&own].clone());
            model.save();
            assert_eq!(model.run().0, right, "equal tensors count as one");
            model.tensors.get_mut(&own).unwrap().2.fill(0);
            model.save();
            says(&model.refused(), &[&own, "hold other numbers of one matrix; remove the wrong one"]);
        }
    }
}

#[test]
fn more_fused_experts_than_any_layer_has_are_not_spelled_out() {
    let mut model = Model::new();
    let many = 300_000_000;
    model.config["num_local_experts"] = json!(many);
    let empty = (Dtype::F32, vec![many, 2, 0], Vec::new());
    model.tensors.insert("model.layers.0.block_sparse_moe.experts.gate_up_proj".to_owned(), empty);
    model.save();
    says(&model.refused(), &["expected [300000000, rows, columns]"]);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let (right, _) = Model::new().run();
    for (name, plain) in [
        (GATE.replace("block_sparse_moe", "mlp"), GATE),
        ("model.layers.0._orig_mod.self_attn.q_proj.weight".to_owned(), "model.layers.0.self_attn.q_proj.weight"),
    ] {
        let mut model = Model::new();
        let mut tensor = model.tensors[plain].clone();
        model.tensors.insert(name.clone(), tensor.clone());
        model.save();
        assert_eq!(model.run().0, right, "equal tensors count as one");
        tensor.2.fill(0);
        model.tensors.insert(name.clone(), tensor);
        model.save();
        says(&model.refused(), &[&name, &format!("both are read as `{plain}`"), "remove the wrong one"]);
    }
    let mut model = Model::new();
    model.rename(|name| format!("module.{name}"));
    let mut head = model.tensors[&format!("module.{HEAD}")].clone();
    head.2.fill(0);
    model.tensors.insert(HEAD.to_owned(), head);
    model.save();
    says(&model.refused(), &["module.lm_head.weight", "both are read as `lm_head.weight`"]);
}

#[test]
fn names_of_other_tools_are_refused_by_the_tool() {
    let q = "model.layers.0.self_attn.q_proj.weight";
    for (new, said) in [
        (&(|name: &str| name.replace("q_proj.", "q_proj.base_layer.")) as &dyn Fn(&str) -> String, "merge_and_unload"),
        (&|name| name.replace("q_proj.weight", "q_proj.lora_A.default.weight"), "an adapter"),
        (&|name| name.replace(".experts.0.", ".switch_mlp."), "written by mlx-lm"),
        (&|name| name.replace("q_proj.weight", "q_proj.weight._data"), "quantised by quanto"),
        (&|name| name.replace("q_proj.weight", "q_proj.weight:qdata"), "quantised by torchao"),
    ] {
        let mut model = Model::new();
        model.rename(new);
        model.save();
        let message = model.refused();
        says(&message, &[said]);
        assert!(!message.contains("download both"), "{message}");
    }
    let mut model = Model::new();
    let (right, _) = model.run();
    let tensor = model.tensors[q].clone();
    model.tensors.insert(q.replace("weight", "lora_A.weight"), tensor.clone());
    model.tensors.insert(q.replace("weight", "lora_B.weight"), tensor);
    model.save();
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(
        &said,
        &["warning", "q_proj.lora_A.weight` and 1 more", "an adapter (LoRA) that is not applied, as in transformers"],
    );
}

#[test]
fn an_adapter_beside_a_model_is_named() {
    let model = Model::new();
    let (right, _) = model.run();
    model.write("adapter_config.json", "{}");
    model.write("adapter_model.safetensors", "x");
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(
        &said,
        &["warning", "adapter_config.json, adapter_model.safetensors", "it is not applied", "merge_and_unload"],
    );
    let info = mixscope(["info".as_ref(), model.path().as_os_str()]);
    says(std::str::from_utf8(&info.stdout).unwrap(), &["adapter_model.safetensors"]);
}

#[test]
fn weights_beside_a_set_without_index_are_named() {
    let model = Model::new();
    let (right, _) = model.run();
    model.shard();
    model.remove(INDEX);
    std::fs::rename(model.path().join(SINGLE), model.path().join("other.safetensors")).unwrap();
    let (found, said) = model.run();
    assert_eq!(found, right);
    says(&said, &["warning", SHARDS[0], "other.safetensors next to them is not used"]);
}

#[test]
fn a_dtype_of_the_config_that_the_files_do_not_have_is_said() {
    let mut model = Model::new();
    model.config["torch_dtype"] = json!("bfloat16");
    model.save();
    let (_, said) = model.run();
    says(&said, &["warning", "computes in f32, as the files are, and transformers 5 in bf16", "--dtype bf16"]);
}
