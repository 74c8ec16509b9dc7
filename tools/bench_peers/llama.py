#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["llama-cpp-python==0.3.36"]
# ///
"""What llama.cpp needs on the prompts of `mixscope bench`: prefill, and decoding with its KV cache.

    llama.py MODEL.gguf [--prompt-tokens N] [--steps N] [--last-only]

Prints one JSON object: medians, as `mixscope bench --json` names them. Logits are computed at every position of the prompt, as mixscope
and transformers do, or with --last-only at the last.
"""

import argparse
import ctypes
import json
import statistics
import time

import llama_cpp as llama


def prompt(tokens: int, vocab: int) -> list[int]:
    """The walk through the vocabulary that `mixscope bench` reads."""
    span = min(max(vocab - 3, 1), 4000)
    return [(3 + (i * i // 3 + 7 * i) % span) % vocab for i in range(tokens)]


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def quiet(_level, _text, _data):
    """Takes llama.cpp's log."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--last-only", action="store_true")
    args = parser.parse_args()
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()

    started = time.perf_counter()
    model = llama.llama_model_load_from_file(args.model.encode(), llama.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp can't open {args.model}")
    settings = llama.llama_context_default_params()
    settings.n_ctx = args.prompt_tokens + args.steps + 8
    settings.n_batch = settings.n_ubatch = max(args.prompt_tokens, 8)
    settings.n_threads = settings.n_threads_batch = args.threads
    context = llama.llama_init_from_model(model, settings)
    if not context:
        raise SystemExit("llama.cpp can't make a context")
    load_ms = (time.perf_counter() - started) * 1e3
    vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))

    def read(ids: list[int], start: int, every: bool) -> float:
        batch = llama.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, start + i, 1, 0
            batch.logits[i] = every or i + 1 == len(ids)
        started = time.perf_counter()
        failed = llama.llama_decode(context, batch)
        llama.llama_synchronize(context)
        took = time.perf_counter() - started
        llama.llama_batch_free(batch)
        if failed:
            raise SystemExit(f"llama.cpp can't read {len(ids)} tokens: {failed}")
        return took

    ids = prompt(args.prompt_tokens, vocab)
    prefill = []
    for _ in range(4):
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        prefill.append(len(ids) / read(ids, 0, not args.last_only))
    steps = []
    for step in range(args.steps):
        logits = llama.llama_get_logits_ith(context, -1)
        best = max(range(vocab), key=lambda i: logits[i])
        steps.append(read([best], len(ids) + step, True) * 1e3)
    print(json.dumps({
        "model": args.model,
        "load_ms": load_ms,
        "prefill_per_second": statistics.median(prefill[1:]),
        "step_ms": statistics.median(steps),
    }))


if __name__ == "__main__":
    main()
