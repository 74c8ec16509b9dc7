#!/usr/bin/env python3
"""Test the recorders of routing, trace_lines.py and record_vllm.py: tools/cluster/test_recorded.py [PROGRAM].

The counts of `mixscope sweep --recorded` have to be those of `mixscope sweep`, where routing was recorded from a run of
the embedded model, and those of numpy, where a stand-in for vLLM made it up. Needs numpy.
"""
from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "tools/cluster"
# What both know: counts of the prompt. Weights, probabilities and losses are not recorded.
COUNTED = {
    "experts.csv": ["group", "phase", "layer", "expert", "tokens", "first", "chosen", "specialisation"],
    "pairs.csv": ["group", "phase", "layer", "expert", "with", "together", "adjacent"],
    "transitions.csv": ["group", "phase", "layer", "expert", "next_expert", "first", "chosen"],
    "repeats.csv": ["group", "phase", "layer", "neighbours", "same_first", "same_any"],
    "positions.csv": ["group", "phase", "layer", "from", "to", "expert", "tokens", "first", "chosen"],
}
VLLM = '''
    """A stand-in for vLLM: routing at random, by a seed that follows from the tokens."""
    import os
    from types import SimpleNamespace as Any
    import numpy as np

    LAYERS, EXPERTS, K = 3, 16, 4

    class SamplingParams:
        def __init__(self, *, temperature, max_tokens, detokenize):
            self.max_tokens = max_tokens

    class LLM:
        def __init__(self, *, model, enable_return_routed_experts, tensor_parallel_size, max_model_len):
            assert enable_return_routed_experts and tensor_parallel_size == 2

        def get_tokenizer(self):
            def encode(text, add_special_tokens=True):
                return [1] * add_special_tokens + [3 + byte for byte in text.encode()]
            return Any(encode=encode)

        def generate(self, prompts, sampling, use_tqdm):
            return [self.one(prompt["prompt_token_ids"], sampling.max_tokens) for prompt in prompts]

        def one(self, ids, steps):
            rng = np.random.default_rng(ids)
            new = rng.integers(3, 259, steps).tolist()
            shape = (len(ids) + steps - 1, LAYERS)
            experts = np.stack([rng.permutation(EXPERTS)[:K] for _ in range(np.prod(shape))]).reshape(*shape, K)
            experts = experts.astype(np.uint8 if os.environ["FORM"] == "0.33" else np.int16)
            if os.environ["FORM"] == "0.33":
                return Any(prompt_token_ids=ids, outputs=[Any(token_ids=new, routed_experts=experts)])
            if os.environ["FORM"] == "cached":
                experts[0] = -1
            return Any(prompt_token_ids=ids, prompt_routed_experts=experts[:len(ids)],
                       outputs=[Any(token_ids=new, routed_experts=experts[len(ids):])])
'''


def rows(sweep: Path, table: str, columns: list[str]) -> list[tuple[str, ...]]:
    """Some columns of a table of a sweep, sorted."""
    with (sweep / table).open(encoding="utf-8", newline="") as file:
        return sorted(tuple(row[column] for column in columns) for row in csv.DictReader(file))


def call(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command."""
    path = f"{REPOSITORY / 'python'}:{environment.pop('PYTHONPATH', '')}"
    return subprocess.run([str(word) for word in command], env={**os.environ, "PYTHONPATH": path, **environment},
                          capture_output=True, text=True, check=False)


def check(*command: object, **environment: str) -> None:
    """Runs a command that has to succeed."""
    done = call(*command, **environment)
    assert done.returncode == 0, done.stderr


def traces(program: Path, folder: Path) -> None:
    """Counts of a recorded run of the embedded model, next to those of the model."""
    text = folder / "es.txt"
    text.write_text("Pilar era una niña valiente que vivía cerca del parque. A Pilar le gustaba jugar en el parque.")
    check(program, "run", "demo", "--prompt-file", text, "--out", folder / "run", "--format", "trace", "-q")
    check(sys.executable, TOOLS / "trace_lines.py", folder / "run", "--group", "es.txt", "--out", folder / "run.jsonl")
    check(program, "sweep", "--recorded", folder / "run.jsonl", "--experts", 8, "--window", 512, "--group-by", "group",
          "--out", folder / "recorded", "-q")
    check(program, "sweep", text, "--out", folder / "model", "-q")
    for table, columns in COUNTED.items():
        recorded, counted = (rows(folder / name, table, columns) for name in ("recorded", "model"))
        assert recorded == counted and recorded, f"{table}: recorded {recorded[:3]}, counted {counted[:3]}"
    # A recording of tools/record_reference.py, and something that is none.
    reference = REPOSITORY / "tests/fixtures/gqa-headdim/reference.safetensors"
    check(sys.executable, TOOLS / "trace_lines.py", reference, "--out", folder / "reference.jsonl")
    check(program, "sweep", "--recorded", folder / "reference.jsonl", "--experts", 8, "--out", folder / "reference", "-q")
    wrong = call(sys.executable, TOOLS / "trace_lines.py", folder / "model", "--out", folder / "wrong.jsonl")
    assert wrong.returncode == 1 and "is a sweep" in wrong.stderr, wrong.stderr


def vllm(program: Path, folder: Path) -> None:
    """Counts of both forms of vLLM's results, next to those of numpy."""
    (folder / "vllm.py").write_text(textwrap.dedent(VLLM))
    corpus = folder / "c.jsonl"
    corpus.write_text('{"text": "abcdefghij", "domain": "x"}\n\n{"text": "klm", "domain": "y"}\n{"text": "nop"}\n')
    command = [sys.executable, TOOLS / "record_vllm.py", "some/model", corpus, "--group-by", "domain", "--gpus", 2,
               "--window", 8, "--decode", 2, "--out"]
    results = []
    for form in ("0.33", "0.21"):
        check(*command, folder / f"{form}.jsonl", PYTHONPATH=str(folder), FORM=form)
        results.append((folder / f"{form}.jsonl").read_text())
    assert results[0] == results[1], results
    cached = call(*command, folder / "cached.jsonl", PYTHONPATH=str(folder), FORM="cached")
    assert cached.returncode == 1 and "prefix cache" in cached.stderr, cached.stderr
    check(program, "sweep", "--recorded", folder / "0.33.jsonl", "--experts", 16, "--group-by", "group", "--out",
          folder / "vllm", "-q")
    sys.path.insert(0, str(folder))
    os.environ["FORM"] = "0.33"
    from vllm import LLM

    llm = LLM(model="", enable_return_routed_experts=True, tensor_parallel_size=2, max_model_len=0)
    counts: dict[tuple[str, ...], np.ndarray] = {}
    for group, text in (("x", "abcdefg"), ("x", "hij"), ("y", "klm"), ("(none)", "nop")):
        ids = llm.get_tokenizer().encode(text)
        chosen = llm.one(ids, 3).outputs[0].routed_experts
        for phase, part in (("prefill", chosen[: len(ids)]), ("decode", chosen[len(ids) :])):
            for layer in range(3):
                for expert in range(16):
                    key = group, phase, str(layer), str(expert)
                    old = counts.get(key, np.zeros(3, int))
                    counts[key] = old + [len(part), (part[:, layer, 0] == expert).sum(), (part[:, layer] == expert).sum()]
    expected = sorted((*key, *map(str, value)) for key, value in counts.items())
    found = rows(folder / "vllm", "experts.csv", COUNTED["experts.csv"][:-1])
    assert found == expected, f"{found[:3]} … {expected[:3]}"


def main() -> None:
    program = Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "target/debug/mixscope").resolve()
    if not os.access(program, os.X_OK):
        sys.exit(f"{program} is not there: cargo build makes it")
    with tempfile.TemporaryDirectory(prefix="mixscope-recorded-") as folder:
        traces(program, Path(folder))
        vllm(program, Path(folder))
    print("recorded routing gives the counts of the model, and those of numpy")


if __name__ == "__main__":
    main()
