#!/usr/bin/env python3
"""Record with vLLM which experts the tokens of a corpus choose, for `mixscope sweep --recorded`.

    python tools/cluster/record_vllm.py path/to/Mixtral-8x22B c4.jsonl --group-by domain --gpus 8 --out routing.jsonl
    mixscope sweep --recorded routing.jsonl --experts 8 --group-by group --out sweep1

Needs a vLLM that has --enable-return-routed-experts, and its GPUs. Written for two forms of its results: those of 0.33,
where an array holds the experts of prompt and generated tokens, and those of 0.21, where they are apart. It was tested
with a stand-in for vLLM that returns both, not with vLLM itself, for want of GPUs.

Routers with groups or a bias sort the experts of a token, best first, only if VLLM_BATCH_INVARIANT=1 is set, which this
script does. First choices and pairs on neighbouring ranks mean nothing without it. If a GPU does not support it and the
router is a plain softmax, set VLLM_BATCH_INVARIANT=0.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

BATCH = 512  # windows that vLLM gets at once


def texts(paths: Sequence[Path], text_field: str, group_field: str | None) -> Iterator[tuple[str, str]]:
    """Groups and texts: of each line of a .jsonl file, and of any other file as a whole."""
    for path in paths:
        if path.suffix not in (".jsonl", ".ndjson"):
            yield path.name, path.read_text("utf-8")
            continue
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if text_field not in row:
                    raise ValueError(f"{path}, line {number}: it has no field {text_field}; give --text-field")
                yield str(row.get(group_field, "(none)")) if group_field else path.name, row[text_field]


def windows(tokenizer: Any, text: str, size: int) -> Iterator[list[int]]:
    """Token ids in contexts of at most `size`. Each begins with the tokens that the tokenizer puts before a text."""
    before = tokenizer.encode("")
    ids = tokenizer.encode(text, add_special_tokens=False)
    step = size - len(before)
    for start in range(0, len(ids), step):
        yield before + ids[start : start + step]


def line(group: str, result: Any) -> str:
    """A result of vLLM as a JSON object. Raises ValueError if it lacks the experts of a token."""
    ids, completion = list(result.prompt_token_ids), result.outputs[0]
    prompt: Any = getattr(result, "prompt_routed_experts", None)
    generated: Any = completion.routed_experts
    if prompt is None:
        if generated is None:
            raise ValueError("vLLM returned no experts of a text; see its messages")
        # Of all tokens but the last, which vLLM has not read.
        prompt, generated = generated[: len(ids)], generated[len(ids) :]
    generated = prompt[:0] if generated is None else generated[: len(completion.token_ids)]
    if len(prompt) != len(ids):
        raise ValueError(f"vLLM returned experts of {len(prompt)} of {len(ids)} tokens")
    if any(len(part) and part.min() < 0 for part in (prompt, generated)):
        raise ValueError("vLLM returned no experts of tokens in its prefix cache; give --engine "
                         "'{\"enable_prefix_caching\": false}'")
    row: dict[str, Any] = {"group": group, "prompt_token_ids": ids, "prompt_routed_experts": prompt.tolist()}
    if len(generated):
        row |= {"token_ids": list(completion.token_ids)[: len(generated)], "routed_experts": generated.tolist()}
    return json.dumps(row, separators=(",", ":"))


def record(llm: Any, sampling: Any, contexts: Iterator[tuple[str, list[int]]], out: TextIO) -> int:
    """Writes a line for each context; returns how many."""
    count = 0
    while batch := list(islice(contexts, BATCH)):
        results = llm.generate([{"prompt_token_ids": ids} for _, ids in batch], sampling, use_tqdm=False)
        for (group, _), result in zip(batch, results):
            out.write(line(group, result) + "\n")
        count += len(batch)
        print(f"record_vllm: {count} windows", file=sys.stderr)
    return count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0], allow_abbrev=False)
    add = parser.add_argument
    add("model", metavar="MODEL", help="what vLLM takes: a directory, or owner/name on the Hub")
    add("texts", nargs="+", type=Path, metavar="FILE", help="each line of a .jsonl file is a text, else the whole file")
    add("--out", required=True, type=Path, metavar="FILE", help="JSON lines")
    add("--gpus", type=int, default=1, metavar="N", help="GPUs over which every layer is split (tensor parallelism) [1]")
    add("--window", type=int, default=512, metavar="N", help="tokens of a context [512]")
    add("--decode", type=int, default=0, metavar="N", help="generate N tokens after each window, greedily [0]")
    add("--text-field", default="text", metavar="FIELD", help="field of JSON lines that holds the text [text]")
    add("--group-by", metavar="FIELD", help="field of JSON lines that names the group [the file]")
    add("--engine", type=json.loads, default={}, metavar="JSON",
        help="more arguments of vllm.LLM: '{\"distributed_executor_backend\": \"ray\"}'")
    args = parser.parse_args()
    if args.window < 2 or args.decode < 0 or args.gpus < 1:
        parser.error("expected --window from 2, --decode from 0 and --gpus from 1")
    return args


def main() -> None:
    args = arguments()
    os.environ.setdefault("VLLM_BATCH_INVARIANT", "1")
    try:
        from vllm import LLM, SamplingParams
    except ImportError as missing:
        sys.exit(f"record_vllm: {missing}; install vllm")
    # The last generated token is not read, so one more is generated.
    engine = {"enable_return_routed_experts": True, "tensor_parallel_size": args.gpus,
              "max_model_len": args.window + args.decode + 1, **args.engine}
    llm = LLM(model=args.model, **engine)
    sampling = SamplingParams(temperature=0, max_tokens=args.decode + 1, detokenize=False)
    tokenizer = llm.get_tokenizer()
    contexts = ((group, ids) for group, text in texts(args.texts, args.text_field, args.group_by)
                for ids in windows(tokenizer, text, args.window))
    part = args.out.with_name(args.out.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as out:
            count = record(llm, sampling, contexts, out)
        part.replace(args.out)
    except (OSError, ValueError) as error:
        sys.exit(f"record_vllm: {error}")
    print(f"wrote {count} windows to {args.out}")


if __name__ == "__main__":
    main()
