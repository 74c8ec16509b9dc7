#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["transformer-lens==4.3.0", "transformers==5.24.0", "torch==2.15.0", "safetensors==0.8.0"]
# ///
"""Record TransformerLens 4.3.0 with transformers 5.24.0, which writes nonsense with its KV cache.

    uv run tools/case_studies/transformerlens_4.py assets/demo --out lens4

It generates 24 tokens greedily: with the KV cache (the default of TransformerLens), without it, and with transformers.
It prints the three texts and writes three recordings of the text that came with the cache:

- uncached.safetensors: all of them read in one pass. This is right.
- cached.safetensors: what `generate` computed: the prompt in one pass, then one token in each pass.
- by_hand.safetensors: the same passes, made by `bridge(token, past_key_values=...)`.

Every weight is right. transformers 5.24 renamed an argument: it takes `past_key_values` and hands it on as `cache`. The
attention of TransformerLens looks for the old name, finds nothing, and keeps no keys. So from the first generated token
on, each token sees itself alone. `generate` still gives each token its position. By hand, the position is the length of
the cache, which stays 0.

The loss hides the fault if the wrong passes score their own text, so the script prints both losses. Tested on a CPU
with the versions above and the model in assets/demo, in float32 and bfloat16.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge

PROMPT = "One day, a little dog found a golden key near the old bridge. \""
STEPS = 24
Cache = dict[str, torch.Tensor]


class Passes:
    """The values of each forward pass, taken by a hook at every point."""

    def __init__(self) -> None:
        self.all: list[Cache] = []
        self.first: str | None = None  # the hook with which every pass begins

    def see(self, value: torch.Tensor, hook: HookPoint) -> None:
        self.first = self.first or hook.name
        if hook.name == self.first:
            self.all.append({})
        self.all[-1][hook.name] = value.detach().clone()


def joined(passes: list[Cache], prompt: int, length: int) -> Cache:
    """Passes put together along the axis of positions. A pattern has as many keys as its pass saw: the last ones."""
    out: Cache = {}
    for name in passes[0]:
        parts = [values[name] for values in passes]
        if name.endswith(("hook_pattern", "hook_attn_scores")):
            square, end = torch.zeros(*parts[0].shape[:2], length, length, dtype=parts[0].dtype), 0
            for part in parts:
                queries, keys = part.shape[2:]
                end += queries
                square[:, :, end - queries:end, end - keys:end] = part
            out[name] = square
        else:
            out[name] = torch.cat(parts, parts[0].shape.index(prompt))  # the router's values have no batch axis
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("model", type=Path, help="a folder with config.json, safetensors and tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    torch.set_grad_enabled(False)

    bridge = TransformerBridge.boot_transformers(str(args.model), dtype=dtype, device="cpu")
    options = {"dtype": dtype, "attn_implementation": "eager"}
    reference = transformers.MixtralForCausalLM.from_pretrained(args.model, **options).eval()
    words = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    prompt = torch.tensor([words.encode(PROMPT).ids])
    start = prompt.shape[1]

    greedy = {"max_new_tokens": STEPS, "do_sample": False, "stop_at_eos": False, "return_type": "tokens",
              "verbose": False}
    generated, by_hand = Passes(), Passes()
    with bridge.hooks(fwd_hooks=[(lambda name: True, generated.see)]):
        out = bridge.generate(prompt, **greedy)
    seen = out[:, :-1]  # no pass reads the last token
    length = seen.shape[1]
    with bridge.hooks(fwd_hooks=[(lambda name: True, by_hand.see)]):
        _, kept = bridge(prompt, return_type="logits_and_cache", use_cache=True)
        for at in range(start, length):
            _, kept = bridge(seen[:, at:at + 1], return_type="logits_and_cache", past_key_values=kept)
    logits, uncached = bridge.run_with_cache(seen)
    recordings = {"uncached": dict(uncached.items()), "cached": joined(generated.all, start, length),
                  "by_hand": joined(by_hand.all, start, length)}

    provenance = {"engine": "transformer_lens", "transformer_lens": "4.3.0", "torch": torch.__version__,
                  "transformers": transformers.__version__, "compute_dtype": args.dtype, "script": Path(__file__).name}
    metadata = {"format": "mixscope-trace", "version": "1", "model": args.model.name,
                "precision": "f32" if dtype == torch.float32 else "hf", "provenance": json.dumps(provenance),
                "config": (args.model / "config.json").read_text()}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, cache in recordings.items():
        values = {"tokens": seen, **{hook: value.detach().clone().contiguous() for hook, value in cache.items()}}
        save_file(values, args.out / f"{name}.safetensors", metadata=metadata)

    without = bridge.generate(prompt, **greedy, use_past_kv_cache=False)
    right = reference.generate(prompt, max_new_tokens=STEPS, do_sample=False, eos_token_id=None, pad_token_id=0)
    for label, tokens in (("with the KV cache", out), ("without it", without), ("by transformers", right)):
        print(f"\n{label}:\n  {words.decode(tokens[0].tolist())}")
    print(f"\none pass: largest error of a logit {(logits - reference(seen).logits).abs().max():.2g}")
    print(f"tokens in the KV cache after the last step: {kept.get_seq_length()} of {length}")
    for label in ("cached", "uncached"):
        scores = recordings[label]["unembed.hook_out"][0, start - 1:-1].float()
        loss = torch.nn.functional.cross_entropy(scores, seen[0, start:])
        print(f"loss of the generated tokens, scored by {label}: {loss:.2f}")


if __name__ == "__main__":
    main()
