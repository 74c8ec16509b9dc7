#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["llama-cpp-python==0.3.36", "numpy", "safetensors==0.8.0"]
# ///
"""Record a mixscope trace of a Mixtral in a GGUF file from llama.cpp.

llama.cpp shows each tensor of its graph to a callback after computing it. This script keeps the tensors that are hooks
of mixscope. Nothing is computed differently. The same bits need the same build, instruction set and number of threads.

Three kinds of values change their form:
- The rows of q and k in each head go back to the order of Hugging Face (two halves). A GGUF file holds them as pairs.
- Patterns end at the last token of the prompt. The KV cache has room for more.
- Experts' outputs are those before weighting, in the order of the chosen experts.
With --flash-attn no pattern is ever formed, so none is recorded.

llama.cpp rounds what it multiplies with weights to the type that goes with theirs: F32, BF16 and F16 to themselves,
quantised weights to blocks of 8-bit integers. It rounds keys and values to the type of the KV cache (F16, unless
--kv f32), and queries and patterns with them. Flash attention on a CPU works in F16 whatever the cache is. The router
is F32 in every file of llama.cpp's converter.

A second run without the callback must give the same logits bit for bit, and residual sums, heads, experts and rotations
must add up. Otherwise nothing is written. Tested on a CPU with the version above: the model in assets/demo as F32,
BF16, F16, Q8_0 and Q4_K_M, and six files of tests/fixtures/gguf, each with both kinds of attention and both kinds of KV
cache. Untested: GPUs. The script reads values in main memory, so it moves no layer to a GPU.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

try:
    import llama_cpp as llama
    import numpy as np
    import safetensors.numpy
except ImportError as missing:
    sys.exit(f"record_llama: {missing}; start it with `uv run`, or install the packages in its first lines")

Array = np.ndarray[Any, Any]
TESTED = "0.3.36"  # of llama-cpp-python; other versions may name tensors otherwise
ADVICE = f"use llama-cpp-python {TESTED}, whose tensors this script knows"
HEADS, KV_HEADS = "llama.attention.head_count", "llama.attention.head_count_kv"
# From names in llama.cpp's graph to hooks. Where two tensors share a name, the operation tells them apart.
IN_LAYER = {
    "attn_norm": "ln1.hook_out", "Qcur MUL_MAT": "attn.hook_q", "Kcur MUL_MAT": "attn.hook_k",
    "Vcur MUL_MAT": "attn.hook_v", "Qcur ROPE": "attn.hook_rot_q", "Kcur ROPE": "attn.hook_rot_k",
    "kq_soft_max": "attn.hook_pattern", "kqv_out": "attn.hook_z", "attn_out": "hook_attn_out",
    "ffn_inp": "hook_resid_mid", "ffn_norm": "ln2.hook_out", "ffn_moe_logits": "mlp.hook_router_logits",
    "ffn_moe_probs SOFT_MAX": "mlp.hook_expert_weights", "ffn_moe_topk": "mlp.hook_expert_indices",
    "ffn_moe_weights_norm DIV": "mlp.hook_mixing_weights", "ffn_moe_down": "mlp.hook_expert_out",
    "ffn_moe_out": "hook_mlp_out", "l_out": "hook_resid_post",
}
OUTSIDE = {"embd": "hook_embed", "inp_embd": "hook_embed", "result_norm": "ln_final.hook_out",
           "result_output": "unembed.hook_out"}
CONFIG = {  # keys of a config.json, and the metadata of the file that give their values
    "hidden_size": "llama.embedding_length", "intermediate_size": "llama.feed_forward_length",
    "num_hidden_layers": "llama.block_count", "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
    "num_local_experts": "llama.expert_count", "num_experts_per_tok": "llama.expert_used_count",
    "max_position_embeddings": "llama.context_length", "rms_norm_eps": "llama.attention.layer_norm_rms_epsilon",
    "rope_theta": "llama.rope.freq_base", "head_dim": "llama.attention.key_length",
    "sliding_window": "llama.attention.sliding_window",
}
PER_HEAD = {"attn.hook_q": HEADS, "attn.hook_rot_q": HEADS, "attn.hook_z": HEADS,
            "attn.hook_k": KV_HEADS, "attn.hook_rot_k": KV_HEADS, "attn.hook_v": KV_HEADS}


class Tensor(ctypes.Structure):
    """The first fields of ggml_tensor."""

    _fields_ = [("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4),
                ("nb", ctypes.c_size_t * 4), ("op", ctypes.c_int)]


def fail(text: str) -> NoReturn:
    sys.exit(f"record_llama: {text}")


def note(text: str) -> None:
    print(f"record_llama: {text}", file=sys.stderr)


def ggml() -> ctypes.CDLL:
    library = ctypes.CDLL(str(next((Path(llama.__file__).parent / "lib").glob("libggml-base.*"))))
    for name, result, takes in (
        ("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p), ("ggml_get_data", ctypes.c_void_p, ctypes.c_void_p),
        ("ggml_nbytes", ctypes.c_size_t, ctypes.c_void_p), ("ggml_op_name", ctypes.c_char_p, ctypes.c_int),
        ("ggml_type_name", ctypes.c_char_p, ctypes.c_int),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, [takes]
    return library


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def quiet(_level: int, _text: bytes, _data: Any) -> None:
    """Drops llama.cpp's log."""


class Recorder:
    """The callback. llama.cpp calls it before each tensor (`ask`), and again after those it wants to see."""

    def __init__(self) -> None:
        self.ggml, self.tensors, self.error = ggml(), {}, None
        self.callback = llama.ggml_backend_sched_eval_callback(self.see)

    def hook(self, address: int, tensor: Tensor) -> str | None:
        name, _, layer = self.ggml.ggml_get_name(address).decode().rpartition("-")
        operation = self.ggml.ggml_op_name(tensor.op).decode()
        if not name:
            return OUTSIDE.get(layer)
        found = IN_LAYER.get(f"{name} {operation}") or IN_LAYER.get(name)
        return f"blocks.{layer}.{found}" if found and layer.isdecimal() else None

    def see(self, address: int, ask: bool, _data: Any) -> bool:
        try:
            tensor = Tensor.from_address(address)
            hook = self.hook(address, tensor)
            if not ask and hook:
                self.tensors[hook] = self.read(address, tensor)
            return hook is not None or not ask
        except Exception as error:  # ctypes would print it and go on
            self.error = error
            return False

    def read(self, address: int, tensor: Tensor) -> Array:
        """A copy with the axes in the order of a trace, the fastest last."""
        kind = self.ggml.ggml_type_name(tensor.type).decode()
        dtype = {"f32": np.float32, "f16": np.float16, "i32": np.int32}[kind]
        raw = (ctypes.c_char * self.ggml.ggml_nbytes(address)).from_address(self.ggml.ggml_get_data(address))
        shape, strides = tuple(tensor.ne[::-1]), tuple(tensor.nb[::-1])
        return np.ndarray(shape, dtype, raw, strides=strides).copy()


def shaped(hook: str, value: Array, heads: dict[str, int], length: int) -> Array:
    """A value of llama.cpp in the form of a trace."""
    kind = hook.split(".", 2)[-1]
    if kind in PER_HEAD:
        count = heads[PER_HEAD[kind]]
        value = value.reshape(length, count, -1)
        if kind[-1] in "qk":  # from adjacent pairs to halves
            value = value.reshape(length, count, -1, 2).swapaxes(-1, -2).reshape(length, count, -1)
    elif kind == "attn.hook_pattern":  # [1, head, query, key]
        value = value[0, :, :length, :length]
    elif kind == "mlp.hook_expert_out":  # [1, position, slot, component]
        value = value[0]
    elif kind == "mlp.hook_expert_indices":
        value = value.reshape(length, -1).astype(np.uint32)
    else:
        value = value.reshape(length, -1)
    return np.ascontiguousarray(value)


def token_ids(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0], allow_abbrev=False)
    prompt, add = parser.add_mutually_exclusive_group(required=True), parser.add_argument
    add("model", type=Path, metavar="MODEL.gguf", help="a Mixtral, in one file or the first of several")
    add("--out", type=Path, required=True, metavar="FILE", help="the trace")
    prompt.add_argument("--prompt", metavar="TEXT", help="the prompt, split by the tokenizer in MODEL.gguf")
    prompt.add_argument("--prompt-file", type=Path, metavar="FILE", help="a prompt in UTF-8, used unchanged")
    prompt.add_argument("--prompt-ids", type=token_ids, metavar="IDS", help="the prompt as token ids: 1,422,3")
    add("--flash-attn", action="store_true", help="flash attention, which forms no patterns")
    add("--kv", choices=["f16", "f32"], default="f16", help="type of the KV cache (f16, llama.cpp's default)")
    add("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", 1)))
    add("--no-verify", action="store_true", help="skip the second run without the callback")
    add("--force", action="store_true", help="overwrite FILE")
    return parser.parse_args()


def metadata(model: Any) -> dict[str, str]:
    """The metadata of the file, without lists."""
    buffer, found = ctypes.create_string_buffer(1 << 16), {}
    for index in range(llama.llama_model_meta_count(model)):
        llama.llama_model_meta_key_by_index(model, index, buffer, len(buffer))
        key = buffer.value.decode()
        llama.llama_model_meta_val_str_by_index(model, index, buffer, len(buffer))
        found[key] = buffer.value.decode(errors="replace")
    return found


def number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def spelling(vocab: Any, token: int) -> str:
    return (llama.llama_vocab_get_text(vocab, token) or b"").decode(errors="replace")


def read_prompt(args: argparse.Namespace, vocab: Any) -> tuple[list[int], str | None]:
    text = args.prompt_file.read_bytes().decode() if args.prompt_file else args.prompt
    if text is None:
        return args.prompt_ids, None
    raw = text.encode()
    room = (llama.llama_token * (len(raw) + 8))()
    count = llama.llama_tokenize(vocab, raw, len(raw), room, len(room), True, False)
    if count < 1:
        fail(f"the tokenizer in {args.model} can't split the prompt; give --prompt-ids")
    return list(room[:count]), text


def read(model: Any, args: argparse.Namespace, ids: list[int], callback: Any = None) -> Array:
    """Logits at every position of the prompt, read in one batch."""
    settings = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = max(len(ids), 32)
    settings.n_threads = settings.n_threads_batch = args.threads
    settings.flash_attn_type = int(args.flash_attn)
    settings.type_k = settings.type_v = llama.GGML_TYPE_F16 if args.kv == "f16" else llama.GGML_TYPE_F32
    if callback:
        settings.cb_eval = callback
    context = llama.llama_init_from_model(model, settings)
    if not context:
        fail("llama.cpp can't make a context; give fewer tokens")
    batch = llama.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    failed = llama.llama_decode(context, batch)
    llama.llama_synchronize(context)
    llama.llama_batch_free(batch)
    if failed:
        fail(f"llama.cpp can't read {len(ids)} tokens (status {failed})")
    vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    logits = np.ctypeslib.as_array(llama.llama_get_logits(context), (len(ids), vocab)).copy()
    llama.llama_free(context)
    return logits


def verify(tensors: dict[str, Array], logits: Array, layers: int) -> dict[str, float]:
    """The largest error of each rule, as a share of the largest value. Sums in f32 hold exactly."""
    worst: dict[str, float] = {}

    def check(label: str, found: Array, derived: Array, slack: float) -> None:
        missed = float(np.abs(found.astype(np.float64) - derived).max() / max(np.abs(found).max(), 1e-30))
        if not missed <= slack:
            fail(f"{label} does not hold: the error is {missed:g}, so nothing was written; {ADVICE}")
        worst[label] = max(missed, worst.get(label, 0.0))

    check("recorded logits = returned logits", tensors["unembed.hook_out"], logits, 0.0)
    for layer in range(layers):
        own = {name.split(".", 2)[2]: value for name, value in tensors.items() if name.startswith(f"blocks.{layer}.")}
        pre, middle, post = (own[f"hook_resid_{place}"] for place in ("pre", "mid", "post"))
        check("resid_mid = resid_pre + attn_out", middle, pre + own["hook_attn_out"], 0)
        check("resid_post = resid_mid + mlp_out", post, middle + own["hook_mlp_out"], 0)
        mixing, outputs = own["mlp.hook_mixing_weights"], own["mlp.hook_expert_out"].astype(np.float64)
        mixed = (mixing[..., None] * outputs).sum(1)
        check("mlp_out = sum of mixing_weights x expert_out", own["hook_mlp_out"], mixed, 2e-5)
        chosen = np.take_along_axis(own["mlp.hook_expert_weights"], own["mlp.hook_expert_indices"].astype(np.int64), 1)
        check("mixing_weights = expert_weights[indices] / sum", mixing, chosen / chosen.sum(1, keepdims=True), 2e-5)
        if "attn.hook_pattern" in own:
            pattern, values = own["attn.hook_pattern"], own["attn.hook_v"]
            check("pattern is causal", pattern, np.tril(pattern), 0)
            values = values.repeat(len(pattern) // values.shape[1], 1).astype(np.float64)
            z = np.einsum("hqk,khd->qhd", pattern, values)  # llama.cpp rounds both to the type of the KV cache
            check("z = pattern x v", own["attn.hook_z"], z, 5e-3)
        for kind in ("q", "k"):  # a rotation keeps the length of each pair, so a wrong order of rows shows
            pair = (own[f"attn.hook_{kind}"], own[f"attn.hook_rot_{kind}"])
            before, after = (np.linalg.norm(x.reshape(*x.shape[:2], 2, -1), axis=2) for x in pair)
            check("RoPE keeps the length of each pair", before, after, 2e-5)
    return worst


def main() -> None:
    args = arguments()
    if args.out.exists() and not args.force:
        fail(f"{args.out} exists; give another --out, or --force to overwrite")
    if not args.out.absolute().parent.is_dir() or args.out.is_dir():
        fail(f"{args.out} can't be written; give --out a file name in a folder that exists")
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    options = llama.llama_model_default_params()
    options.n_gpu_layers = 0  # the callback reads main memory
    model = llama.llama_model_load_from_file(str(args.model).encode(), options)
    if not model:
        fail(f"llama.cpp can't open {args.model}; see `mixscope check`")
    stored, vocab = metadata(model), llama.llama_model_get_vocab(model)
    if stored.get("general.architecture") != "llama" or not int(stored.get("llama.expert_count", 0)):
        fail(f"{args.model} is no Mixtral (architecture `llama` with experts)")
    ids, text = read_prompt(args, vocab)
    if not 0 < len(ids) or not all(0 <= i < llama.llama_vocab_n_tokens(vocab) for i in ids):
        fail(f"give at least one token, with ids from 0 to {llama.llama_vocab_n_tokens(vocab) - 1}")

    recorder, plain = Recorder(), None if args.no_verify else read(model, args, ids)
    logits = read(model, args, ids, recorder.callback)
    if recorder.error:
        fail(f"llama.cpp's tensors can't be read ({recorder.error!r}); {ADVICE}")

    config: dict[str, Any] = {key: number(stored[name]) for key, name in CONFIG.items() if name in stored}
    config |= {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "hidden_act": "silu"}
    config["vocab_size"] = llama.llama_vocab_n_tokens(vocab)
    heads, layers = {key: int(stored[key]) for key in (HEADS, KV_HEADS)}, config["num_hidden_layers"]
    tensors = {hook: shaped(hook, value, heads, len(ids)) for hook, value in recorder.tensors.items()}
    for layer in range(layers):
        before = f"blocks.{layer - 1}.hook_resid_post" if layer else "hook_embed"
        if before in tensors:
            tensors[f"blocks.{layer}.hook_resid_pre"] = tensors[before].copy()
    kinds = set(IN_LAYER.values()) - ({"attn.hook_pattern"} if args.flash_attn else set())
    expected = {f"blocks.{layer}.{kind}" for layer in range(layers) for kind in kinds} | set(OUTSIDE.values())
    if lacking := sorted(expected - tensors.keys()):
        fail(f"llama.cpp showed no {lacking[0]} ({len(lacking)} hooks are missing); {ADVICE}")
    if plain is not None and not np.array_equal(plain, logits):
        fail("logits with and without the callback differ, so nothing was written; --no-verify writes them anyway")
    same = "not compared" if plain is None else "bit for bit"
    checks = {"logits as without the callback": same, **verify(tensors, logits, layers)}
    provenance = {
        "engine": "llama.cpp", "llama_cpp_python": llama.__version__, "compute_dtype": "float32",
        "attn": "flash" if args.flash_attn else "eager", "kv_cache": args.kv, "num_threads": args.threads,
        "file_type": stored.get("general.file_type"), "prompt": text, "script": Path(__file__).name,
        "system": llama.llama_print_system_info().decode(),
    }
    texts = {
        "format": "mixscope-trace", "version": "1", "model": args.model.name, "precision": "f32",
        "config": json.dumps(config, sort_keys=True), "provenance": json.dumps(provenance),
        "token_texts": json.dumps([spelling(vocab, token) for token in ids]), "validation": json.dumps(checks),
    }
    part = args.out.with_name(f".{args.out.name}.{os.getpid()}.part")
    try:
        safetensors.numpy.save_file({"tokens": np.array(ids, np.uint32), **tensors}, part, metadata=texts)
        part.replace(args.out)
    finally:
        part.unlink(missing_ok=True)
    note(f"wrote {len(tensors) + 1} tensors of {len(ids)} tokens to {args.out}")


if __name__ == "__main__":
    main()
