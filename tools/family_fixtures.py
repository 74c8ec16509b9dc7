# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.15.0", "transformers==5.24.0", "safetensors==0.8.0"]
# ///
"""Makes the recordings in tests/fixtures/families: small random models of each family, and what transformers computes.

    python tools/family_fixtures.py tests/fixtures/families --tokenizer TOKENIZER.json

Weights are bf16 numbers, so that one file serves both recordings: `reference` is computed from them in f32, `reference_bf16` in
bf16; the experts of `gpt-oss-mxfp4` are MXFP4, as in the model's own checkpoints. Recorded are the first tokens of the prompt; the greedy continuation is that
of the whole prompt.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

ROWS, PROMPT, STEPS = 20, 40, 16
SHARED = dict(vocab_size=512, hidden_size=48, num_hidden_layers=2, max_position_embeddings=512, bos_token_id=1,
              eos_token_id=2, pad_token_id=None, rms_norm_eps=1e-5)
YARN = dict(rope_type="yarn", rope_theta=80000.0, factor=6.0, beta_fast=24.0, beta_slow=1.5,
            original_max_position_embeddings=64)
CASES = {
    "olmoe": ("olmoe", dict(
        num_attention_heads=3, intermediate_size=24, num_experts=12, num_experts_per_tok=5)),
    "olmoe-clip": ("olmoe", dict(
        num_attention_heads=4, num_key_value_heads=2, intermediate_size=24, num_experts=6, num_experts_per_tok=2,
        norm_topk_prob=True, clip_qkv=0.8)),
    "qwen2-moe": ("qwen2_moe", dict(
        num_attention_heads=6, num_key_value_heads=3, intermediate_size=72, moe_intermediate_size=24,
        shared_expert_intermediate_size=40, num_experts=10, num_experts_per_tok=3)),
    "qwen2-moe-dense": ("qwen2_moe", dict(
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=56,
        moe_intermediate_size=24, shared_expert_intermediate_size=24, num_experts=5, num_experts_per_tok=2,
        norm_topk_prob=True, mlp_only_layers=[1], tie_word_embeddings=True, use_sliding_window=True, sliding_window=6,
        max_window_layers=2)),
    "qwen3-moe": ("qwen3_moe", dict(
        num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, head_dim=12, intermediate_size=56,
        moe_intermediate_size=16, num_experts=24, num_experts_per_tok=8, norm_topk_prob=True, decoder_sparse_step=2)),
    "qwen3-moe-yarn": ("qwen3_moe", dict(
        num_attention_heads=3, num_key_value_heads=1, head_dim=16, intermediate_size=56, moe_intermediate_size=24,
        num_experts=6, num_experts_per_tok=2, norm_topk_prob=True,
        rope_parameters=dict(YARN, truncate=True))),
    "granite-moe": ("granitemoe", dict(
        num_attention_heads=6, num_key_value_heads=3, intermediate_size=24, num_local_experts=7, num_experts_per_tok=3,
        embedding_multiplier=5.0, logits_scaling=4.0, residual_multiplier=0.3, attention_multiplier=0.2,
        tie_word_embeddings=True)),
    "gpt-oss": ("gpt_oss", dict(
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=24,
        num_local_experts=6, num_experts_per_tok=3, sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(YARN, truncate=False))),
    "gpt-oss-mxfp4": ("gpt_oss", dict(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=1, head_dim=16, intermediate_size=32,
        num_local_experts=5, num_experts_per_tok=2, sliding_window=8, tie_word_embeddings=True,
        layer_types=["full_attention", "sliding_attention"], rope_parameters=dict(YARN, truncate=False))),
}
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def random_model(family, keys, seed):
    config = CONFIG_MAPPING[family](**{**SHARED, **keys})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval().float()
    generator = torch.Generator().manual_seed(seed)
    for name, weights in model.named_parameters():
        noise = torch.randn(weights.shape, generator=generator)
        fan_in = weights.shape[-2] if family == "gpt_oss" and weights.dim() == 3 else weights.shape[-1]
        if "norm" in name:
            weights.copy_(1 + 0.2 * noise)
        elif "bias" in name:
            weights.copy_(0.3 * noise)
        elif "sinks" in name:
            weights.copy_(noise)
        elif "embed" in name and not config.tie_word_embeddings:
            weights.copy_(noise)
        else:
            weights.copy_(noise * (2.5 if "embed" in name or "lm_head" in name else 1.5) / math.sqrt(fan_in))
    return model.to(torch.bfloat16)


def to_mxfp4(model, seed):
    """Gives the experts weights that MXFP4 can hold; returns their tensors by name."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, weights in model.named_parameters():
        if weights.dim() == 3:
            experts, inner, outer = weights.shape
            codes = torch.randint(0, 16, (experts, outer, inner // 32, 32), generator=generator)
            powers = torch.randint(122, 125, (experts, outer, inner // 32), generator=generator)
            values = E2M1[codes] * 2.0 ** (powers[..., None] - 127)
            weights.copy_(values.reshape(experts, outer, inner).transpose(1, 2))
            tensors[f"{name}_blocks"] = (codes[..., ::2] | codes[..., 1::2] << 4).to(torch.uint8)
            tensors[f"{name}_scales"] = powers.to(torch.uint8)
    return tensors


def store_mxfp4(folder, tensors):
    """Puts these tensors in place of the experts' own in a saved model."""
    stored = load_file(folder / "model.safetensors")
    stored = {name: value for name, value in stored.items() if f"{name}_blocks" not in tensors}
    save_file(stored | tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def record(model, ids):
    """The hooks of a pass by name."""
    kept = {}

    def keep(name, shape=None):
        def hook(module, inputs, output):
            output = output[0] if isinstance(output, tuple) else output
            output = output.squeeze(0) if output.dim() > 2 else output
            kept[name] = output.unflatten(-1, shape).clone() if shape else output.clone()
        return hook

    def before(name):
        def hook(module, inputs, named):
            kept[name] = (inputs[0] if inputs else named["hidden_states"])[0].clone()
        return hook

    def attended(name):
        def hook(module, inputs, output):
            kept[f"{name}hook_attn_out"] = output[0][0].clone()
            kept[f"{name}attn.hook_pattern"] = output[1][0].clone()
        return hook

    def routed(name):
        def hook(module, inputs, output):
            logits, weights, chosen = output
            kept[f"{name}hook_router_logits"], kept[f"{name}hook_mixing_weights"] = logits.clone(), weights.clone()
            kept[f"{name}hook_expert_indices"] = chosen.to(torch.int64).to(torch.uint32)
        return hook

    body, handles = model.model, []

    def watch(module, hook):
        handles.append(module.register_forward_hook(hook))

    watch(body.embed_tokens, keep("hook_embed"))
    watch(body.norm, keep("ln_final.hook_out"))
    for layer, block in enumerate(body.layers):
        at, name = block.self_attn, f"blocks.{layer}."
        handles.append(block.register_forward_pre_hook(before(f"{name}hook_resid_pre"), with_kwargs=True))
        handles.append(block.post_attention_layernorm.register_forward_pre_hook(
            before(f"{name}hook_resid_mid"), with_kwargs=True))
        watch(block, keep(f"{name}hook_resid_post"))
        watch(block.input_layernorm, keep(f"{name}ln1.hook_out"))
        watch(block.post_attention_layernorm, keep(f"{name}ln2.hook_out"))
        for part in "qkv":
            watch(getattr(at, f"{part}_proj"), keep(f"{name}attn.hook_{part}", (-1, at.head_dim)))
        for part in ("q_norm", "k_norm"):
            if hasattr(at, part):
                width = () if getattr(at, part).weight.shape[0] == at.head_dim else (-1, at.head_dim)
                watch(getattr(at, part), keep(f"{name}attn.{part}.hook_out", width))
        watch(at, attended(name))
        mlp = block.mlp if hasattr(block, "mlp") else block.block_sparse_moe
        watch(mlp, keep(f"{name}hook_mlp_out"))
        if hasattr(mlp, "experts"):
            watch(mlp.gate if hasattr(mlp, "gate") else mlp.router, routed(f"{name}mlp."))
        if hasattr(mlp, "shared_expert"):
            watch(mlp.shared_expert, keep(f"{name}mlp.hook_shared_out"))
            watch(mlp.shared_expert_gate, keep(f"{name}mlp.hook_shared_gate"))
    kept["unembed.hook_out"] = model(torch.tensor([ids]), use_cache=False).logits[0].clone()
    for handle in handles:
        handle.remove()
    return kept


def greedy(model, ids):
    found = list(ids)
    for _ in range(STEPS):
        found.append(int(model(torch.tensor([found]), use_cache=False).logits[0, -1].argmax()))
    return found[len(ids):]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    for name, (family, keys) in CASES.items():
        if args.only and name not in args.only.split(","):
            continue
        folder = args.out / name
        shutil.rmtree(folder, ignore_errors=True)
        model = random_model(family, keys, args.seed)
        experts = to_mxfp4(model, args.seed) if name.endswith("mxfp4") else {}
        model.save_pretrained(folder / "model")
        # `model.to` would also round the frequencies of RoPE, which loading leaves in f32.
        kinds = [("reference_bf16", torch.bfloat16), ("reference", torch.float32)]
        options = dict(attn_implementation="eager")
        models = [AutoModelForCausalLM.from_pretrained(folder / "model", dtype=dtype, **options) for _, dtype in kinds]
        if experts:
            store_mxfp4(folder / "model", experts)
        shutil.copy(args.tokenizer, folder / "model" / "tokenizer.json")
        prompt = [1] + torch.randint(3, 512, (PROMPT - 1,), generator=torch.Generator().manual_seed(args.seed)).tolist()
        for (stem, dtype), model in zip(kinds, models):
            model.eval()
            tensors = {hook: value.contiguous() for hook, value in record(model, prompt[:ROWS]).items()}
            tensors["tokens"] = torch.tensor(prompt[:ROWS]).to(torch.uint32)
            about = {"format": "mixscope-trace", "version": "1", "model": name, "config": json.dumps(model.config.to_dict()),
                     "precision": "f32" if dtype is torch.float32 else "hf"}
            save_file(tensors, folder / f"{stem}.safetensors", about)
            found = {"prompt_ids": prompt, "greedy_ids": greedy(model, prompt)}
            (folder / f"{stem}.json").write_text(json.dumps(found))
        print(name, len(tensors))


main()
