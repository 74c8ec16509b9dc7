#!/usr/bin/env python3
"""mixscope next to its peers, in turn, on one instruction set: medians, ranges, and ratios of each round.

    compare.py MIXSCOPE --isa avx2 --rounds 3 --wide DIR --gguf FILE... [--prompt-tokens N] [--steps N] [--llama FOLDER]

MIXSCOPE is the program. Every round runs all programs once, one after the other; a ratio compares runs of one round. transformers is
forced down by ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA and MKL_ENABLE_INSTRUCTIONS. llama.cpp can't be forced: --llama names a folder
with a llama_cpp package that was built without AVX-512. Start it with a Python that has the packages of hf.py and llama.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TORCH = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}


def run(command: list[str], env: dict[str, str]) -> dict:
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixscope")
    parser.add_argument("--isa", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wide", help="a folder in bf16")
    parser.add_argument("--gguf", nargs="*", default=[])
    parser.add_argument("--precision", nargs="*", default=["hf"], help="policies of the quantised files")
    parser.add_argument("--prompt-tokens", default="256")
    parser.add_argument("--steps", default="12")
    parser.add_argument("--llama", help="folder with another llama_cpp package")
    parser.add_argument("--hf", nargs="*", default=["bfloat16"], help="dtypes of transformers")
    args = parser.parse_args()
    size = ["--prompt-tokens", args.prompt_tokens, "--steps", args.steps]
    llama = {"OMP_WAIT_POLICY": "passive"} | ({"PYTHONPATH": args.llama} if args.llama else {})
    torch = {"OMP_WAIT_POLICY": "passive"} | TORCH.get(args.isa, {})

    def mixscope(model: str, policy: str) -> tuple[str, list[str], dict[str, str]]:
        command = [args.mixscope, "bench", model, *size, "--json", "--quiet", "--precision", policy]
        return f"mixscope {Path(model).name} {policy}", command, {"MIXSCOPE_ISA": args.isa}

    groups = []
    if args.wide:
        hf = [(f"transformers {d}", [sys.executable, str(HERE / "hf.py"), args.wide, *size, "--dtype", d], torch) for d in args.hf]
        groups.append([mixscope(args.wide, "hf"), *hf])
    for file in args.gguf:
        peer = ("llama.cpp", [sys.executable, str(HERE / "llama.py"), file, *size], llama)
        groups.append([*(mixscope(file, policy) for policy in args.precision), peer])

    for group in groups:
        rounds = []
        for _ in range(args.rounds):
            found = [run(command, env) for _, command, env in group]
            rounds.append([one.get("bare", one) | {"floor": (one.get("bare") or {}).get("of_floor")} for one in found])
        for at, (name, _, _) in enumerate(group):
            steps = sorted(one[at]["step_ms"] for one in rounds)
            prefills = sorted(one[at]["prefill_per_second"] for one in rounds)
            line = f"{name:<34} step {statistics.median(steps):8.2f} ms ({steps[0]:.2f}-{steps[-1]:.2f})"
            line += f"  prefill {statistics.median(prefills):7.1f} tok/s ({prefills[0]:.1f}-{prefills[-1]:.1f})"
            if rounds[0][at]["floor"]:
                shares = sorted(one[at]["floor"] for one in rounds)
                line += f"  of the floor {statistics.median(shares):.2f} ({shares[0]:.2f}-{shares[-1]:.2f})"
            print(line)
        ours = [at for at, (name, _, _) in enumerate(group) if name.startswith("mixscope")]
        for peer in (at for at in range(len(group)) if at not in ours):
            for at in ours:
                faster = sorted(one[peer]["step_ms"] / one[at]["step_ms"] for one in rounds)
                more = sorted(one[at]["prefill_per_second"] / one[peer]["prefill_per_second"] for one in rounds)
                print(f"  {group[at][0]} : {group[peer][0]}: decode {statistics.median(faster):.2f} x ({faster[0]:.2f}-{faster[-1]:.2f}), "
                      f"prefill {statistics.median(more):.2f} x ({more[0]:.2f}-{more[-1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
