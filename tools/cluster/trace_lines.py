#!/usr/bin/env python3
"""Turn traces into recorded routing, which `mixscope sweep --recorded` counts without a model.

    PYTHONPATH=python python tools/cluster/trace_lines.py traces/*.safetensors --out routing.jsonl
    mixscope sweep --recorded routing.jsonl --experts 8 --group-by group --out sweep1

Each trace becomes one line. Its group is the name of its folder, or --group. Traces come from tools/record_reference.py,
`mixscope run` or TransformerLens; they need the hook mlp.hook_expert_indices of every layer and the tensor `tokens`.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

try:
    import mixscope
except ImportError:
    sys.exit("trace_lines: the module mixscope is missing; pip install it, or set PYTHONPATH=python in a checkout")


def line(path: Path, group: str) -> str:
    """The routing of a trace as a JSON object in the fields of vLLM: `prompt_routed_experts` is [pos, layers, k]."""
    run = mixscope.load(path)
    if not isinstance(run, mixscope.Run):
        raise ValueError(f"{path} is a sweep; give traces")
    layers: list[np.ndarray] = []
    while (hook := f"blocks.{len(layers)}.mlp.hook_expert_indices") in run:
        layers.append(run[hook].reshape(len(run.ids), -1))
    if not layers:
        raise ValueError(f"{path} lacks {hook}; record it with `--capture routing`")
    experts = np.stack(layers, axis=1)
    return json.dumps({"group": group, "prompt_token_ids": run.ids.tolist(), "prompt_routed_experts": experts.tolist()})


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="trace.safetensors, or the folder of a run")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON lines")
    parser.add_argument("--group", metavar="NAME", help="group of all traces [the folder of each]")
    args = parser.parse_args()
    try:
        lines = [line(path, args.group or path.resolve().parent.name) for path in args.traces]
        args.out.write_text("\n".join(lines) + "\n")
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"trace_lines: {error}")


if __name__ == "__main__":
    main()
