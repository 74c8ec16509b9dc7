#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch==2.15.0", "transformers==5.23.0", "safetensors==0.8.0"]
# ///
"""What Hugging Face transformers needs on the prompts of `mixscope bench`: prefill, and decoding with its KV cache.

    hf.py MODEL [--prompt-tokens N] [--steps N] [--hooks]

Prints one JSON object: medians, as `mixscope bench --json` names them. --hooks keeps what a default run of mixscope keeps of
each layer, by forward hooks.
"""

import argparse
import json
import statistics
import time

import torch
from transformers import AutoModelForCausalLM


def prompt(tokens: int, vocab: int) -> list[int]:
    """The walk through the vocabulary that `mixscope bench` reads."""
    span = min(max(vocab - 3, 1), 4000)
    return [(3 + (i * i // 3 + 7 * i) % span) % vocab for i in range(tokens)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hooks", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    started = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(
        args.model, dtype=getattr(torch, args.dtype), attn_implementation="eager"
    ).eval()
    load_ms = (time.perf_counter() - started) * 1e3

    kept = []
    if args.hooks:
        def keep(_module, _inputs, output):
            first = output[0] if isinstance(output, tuple) else output
            kept.append(first.detach().clone())

        for layer in model.model.layers:
            for module in [layer, layer.input_layernorm, layer.self_attn.q_proj, layer.self_attn.k_proj,
                           layer.self_attn.v_proj, layer.self_attn, layer.post_attention_layernorm, layer.mlp.gate,
                           layer.mlp]:
                module.register_forward_hook(keep)

    ids = torch.tensor([prompt(args.prompt_tokens, model.config.vocab_size)])
    with torch.inference_mode():
        prefill = []
        for _ in range(4):
            kept.clear()
            started = time.perf_counter()
            out = model(ids, use_cache=True)
            prefill.append(args.prompt_tokens / (time.perf_counter() - started))
        steps = []
        for _ in range(args.steps):
            kept.clear()
            last = out.logits[:, -1:].argmax(-1)
            started = time.perf_counter()
            out = model(last, past_key_values=out.past_key_values, use_cache=True)
            steps.append((time.perf_counter() - started) * 1e3)
    print(json.dumps({
        "model": args.model,
        "hooks": args.hooks,
        "load_ms": load_ms,
        "prefill_per_second": statistics.median(prefill[1:]),
        "step_ms": statistics.median(steps),
    }))


if __name__ == "__main__":
    main()
