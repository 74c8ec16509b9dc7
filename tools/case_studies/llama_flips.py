#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "safetensors==0.8.0"]
# ///
"""Show which choices of experts llama.cpp's rounding flips, with their margins.

    uv run tools/case_studies/llama_flips.py llama.safetensors ours/trace.safetensors

The first trace is made by tools/record_llama.py, the second by `mixscope run MODEL.gguf --precision f32`, from the same
file and the same tokens. Both use the same dequantised weights. llama.cpp rounds activations to 8 bits before each
product, mixscope rounds nothing. So flips come from this rounding alone. The margin of a choice is the router logit of
the last chosen expert minus that of the best rejected one, in f32.

Tested with traces of the model in assets/demo as Q8_0 and Q4_K_M.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

EDGES = (0.0, 0.01, 0.03, 0.1, 0.3, np.inf)
ROW = "{:>5} {:>9}  {:<10} {:<10} {:>8} {:>9}"


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Tokens, router logits, choices and logits."""
    wanted = ("tokens", "router_logits", "expert_indices", "unembed.hook_out")
    with safe_open(path, "np") as trace:
        return {name: trace.get_tensor(name) for name in trace.keys() if name.endswith(wanted)}


def mean_loss(trace: dict[str, np.ndarray[Any, Any]]) -> float:
    logits, next_tokens = trace["unembed.hook_out"][:-1].astype(np.float64), trace["tokens"][1:].astype(np.int64)
    largest = logits.max(1)
    total = largest + np.log(np.exp(logits - largest[:, None]).sum(1))
    return float((total - np.take_along_axis(logits, next_tokens[:, None], 1)[:, 0]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("llama", type=Path, help="a trace made by record_llama.py")
    parser.add_argument("ours", type=Path, help="a trace made by mixscope run, in f32")
    args = parser.parse_args()
    llama, ours = read(args.llama), read(args.ours)
    if not np.array_equal(llama["tokens"], ours["tokens"]):
        sys.exit("llama_flips: the traces hold different tokens; give both programs the same --prompt-ids")

    margins, flips = [], []
    layers = sum(name.endswith("router_logits") for name in ours)
    for layer in range(layers):
        logits = ours[f"blocks.{layer}.mlp.hook_router_logits"]
        noise = np.abs(llama[f"blocks.{layer}.mlp.hook_router_logits"] - logits).max(1)
        ours_chose, llama_chose = (trace[f"blocks.{layer}.mlp.hook_expert_indices"] for trace in (ours, llama))
        k = ours_chose.shape[1]
        ordered = -np.sort(-logits, axis=1)
        margins.append(ordered[:, k - 1] - ordered[:, k])
        for position in range(len(logits)):
            sets = [sorted(int(expert) for expert in chosen[position]) for chosen in (ours_chose, llama_chose)]
            if sets[0] != sets[1]:
                flips.append((layer, position, *sets, margins[-1][position], noise[position]))
    every, flipped = np.concatenate(margins), np.array([flip[4] for flip in flips])

    print(f"{len(flips)} of {len(every)} choices flipped; median margin of all choices {np.median(every):.2f}")
    if "unembed.hook_out" in llama and "unembed.hook_out" in ours:
        print(f"mean loss: f32 {mean_loss(ours):.5f}, llama.cpp {mean_loss(llama):.5f}")
    print("\n      margin  choices  flipped")
    for low, high in zip(EDGES, EDGES[1:], strict=False):
        label = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
        counts = [int(((low <= values) & (values < high)).sum()) for values in (every, flipped)]
        print(f"{label:>12}  {counts[0]:7}  {counts[1]:7}")
    print("\n" + ROW.format("layer", "position", "f32", "llama.cpp", "margin", "moved by"))
    for layer, position, before, after, margin, moved in sorted(flips, key=lambda flip: -flip[4]):
        names = (" ".join(map(str, chosen)) for chosen in (before, after))
        print(ROW.format(layer, position, *names, f"{margin:.4f}", f"{moved:.4f}"))
    print("\nmoved by: the largest change of a router logit of that token")


if __name__ == "__main__":
    main()
