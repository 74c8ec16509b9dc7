# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy", "torch==2.15.0", "safetensors==0.8.0"]
# ///
"""Writes the GGUF files in tests/fixtures/families: the weights of `model` under the names and keys of gguf-py.

    python tools/family_gguf.py tests/fixtures/families

Matrices stay bf16, vectors are f32, as llama.cpp's converter writes them. Rows of q and k are permuted for Granite only, as
there. Tensor names come from gguf-py's map of Hugging Face's names.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

ARCHS = {
    "olmoe": gguf.MODEL_ARCH.OLMOE, "qwen2_moe": gguf.MODEL_ARCH.QWEN2MOE, "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
    "granitemoe": gguf.MODEL_ARCH.GRANITE_MOE, "gpt_oss": gguf.MODEL_ARCH.GPT_OSS,
}
# llama.cpp fixes these, and a file that would need another value can't be written.
RENORMALISES = {"olmoe": False, "qwen2_moe": False, "qwen3_moe": True}


def permuted(weights, heads):
    """Rows of each head as adjacent pairs."""
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, -1).transpose(1, 2).reshape(weights.shape)


def stacked(tensors, config):
    """Experts of a layer as one tensor under the name that gguf-py maps, gate and up apart."""
    out = {}
    for name, weights in tensors.items():
        if ".experts." in name and name.split(".experts.")[1].split(".")[0].isdigit():
            block, rest = name.split(".experts.")
            number, matrix = rest.split(".", 1)
            out.setdefault(f"{block}.experts.{matrix}", {})[int(number)] = weights
        elif name.endswith("input_linear.weight"):
            gate, up = weights.chunk(2, dim=1)
            base = name.removesuffix("input_linear.weight")
            out[f"{base}experts.gate_proj.weight"], out[f"{base}experts.up_proj.weight"] = gate, up
        elif name.endswith("output_linear.weight"):
            out[name.replace("output_linear", "experts.down_proj")] = weights
        elif ".experts.gate_up_proj" in name:
            end = ".bias" if name.endswith("_bias") else ".weight"
            base = name.split("gate_up_proj")[0]
            turned = weights if end == ".bias" else weights.transpose(1, 2)
            out[f"{base}gate_proj{end}"], out[f"{base}up_proj{end}"] = turned[:, ::2], turned[:, 1::2]
        elif name.endswith(".experts.down_proj"):
            out[f"{name}.weight"] = weights.transpose(1, 2)
        elif name.endswith(".experts.down_proj_bias"):
            out[name.removesuffix("_bias") + ".bias"] = weights
        else:
            out[name] = weights
    merged = {}
    for name, weights in out.items():
        merged[name] = torch.stack([weights[i] for i in range(len(weights))]) if isinstance(weights, dict) else weights
    return merged


def metadata(writer, config):
    family = config["model_type"]
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_expert_count(config.get("num_experts") or config["num_local_experts"])
    writer.add_expert_used_count(config["num_experts_per_tok"])
    writer.add_feed_forward_length(config["intermediate_size"])
    if family in ("qwen2_moe", "qwen3_moe"):
        writer.add_expert_feed_forward_length(config["moe_intermediate_size"])
    if family == "qwen2_moe":
        writer.add_expert_shared_feed_forward_length(config["shared_expert_intermediate_size"])
    if family == "granitemoe":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    if family == "gpt_oss":
        writer.add_expert_feed_forward_length(config["intermediate_size"])
        writer.add_sliding_window(config["sliding_window"])
    rope = config["rope_parameters"]
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def write(folder, config):
    family = config["model_type"]
    arch = ARCHS[family]
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(folder / "model.gguf", gguf.MODEL_ARCH_NAMES[arch])
    metadata(writer, config)
    tensors = stacked(load_file(folder / "model" / "model.safetensors"), config)
    for name, weights in sorted(tensors.items()):
        if family == "granitemoe" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            weights = permuted(weights, heads)
        if name.endswith("shared_expert_gate.weight"):
            weights = weights.squeeze(0)
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            # Granite's experts: the converter names the halves of `input_linear` itself.
            layer, matrix = name.split(".")[2], name.split(".experts.")[1].split("_")[0]
            tensor = gguf.MODEL_TENSOR[f"FFN_{matrix.upper()}_EXP"]
            mapped = gguf.TENSOR_NAMES[tensor].format(bid=layer) + ".weight"
        if name.endswith("sinks"):
            mapped += ".weight"  # as the converter does
        weights = weights.contiguous()
        is_matrix = weights.dim() > 1 and not name.endswith("bias") and "gate_inp" not in mapped
        if is_matrix:
            data = weights.to(torch.bfloat16).view(torch.uint8).numpy().reshape(*weights.shape[:-1], -1)
            writer.add_tensor(mapped, data, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(mapped, weights.float().numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for case in sorted(parser.parse_args().folder.iterdir()):
        config = json.loads((case / "model" / "config.json").read_text())
        family = config["model_type"]
        renormalises = RENORMALISES.get(family)
        dense = config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) > 1
        differs = renormalises is not None and bool(config["norm_topk_prob"]) != renormalises
        layers = config.get("layer_types") or []
        odd = family == "gpt_oss" and layers != ["sliding_attention", "full_attention"] * (len(layers) // 2) + ["sliding_attention"] * (len(layers) % 2)
        if dense or differs or odd or config.get("clip_qkv") or config.get("use_sliding_window"):
            print(case.name, "has no GGUF")
            continue
        write(case, config)
        print(case.name, (case / "model.gguf").stat().st_size)


main()
