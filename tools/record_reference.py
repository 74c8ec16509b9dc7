#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.15.0", "transformers==5.23.0", "accelerate==1.15.0", "safetensors==0.8.0"]
# ///
"""Record a mixscope trace of a mixture of experts from Hugging Face transformers: Mixtral, OLMoE, Qwen2-MoE, Qwen3-MoE,
Granite-MoE, gpt-oss.

The versions above made mixscope's own references; hooks rely on names inside transformers. Modules are watched by
forward hooks; attention and the experts' linear map are replaced by functions that call the original and hand on its
result, so nothing is computed differently. The same bits need the same device, instruction set and OMP_NUM_THREADS.
Tested on CPUs: one process, accelerate's dispatch and offloading, torchrun with two processes (gloo), without and with
--tp. Untested, for want of GPUs: CUDA and other accelerators, device maps that spread a model over several, NCCL.
"""
from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

try:
    import safetensors.torch
    import torch
    import transformers
    import transformers.integrations.moe as hf_moe
    from tokenizers import Tokenizer
    from torch import Tensor, distributed, nn
except ImportError as missing:
    sys.exit(f"record_reference: {missing}; start it with `uv run`, or install the packages in its first lines")

ROUTING = ("mlp.hook_router_logits", "mlp.hook_expert_weights", "mlp.hook_expert_indices", "mlp.hook_mixing_weights")
ATTENTION = tuple(f"attn.hook_{name}" for name in ("q", "k", "v", "rot_q", "rot_k", "z"))
PATTERN, EXPERT_OUT = "attn.hook_pattern", "mlp.hook_expert_out"
NORMED, SHARED = ("attn.q_norm.hook_out", "attn.k_norm.hook_out"), ("mlp.hook_shared_out", "mlp.hook_shared_gate")
FAMILIES = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "granitemoe", "gpt_oss")  # model_type in config.json
GROUPS: dict[str, tuple[str, ...]] = {  # the names of `mixscope run --capture`
    "routing": ROUTING, "residuals": ("hook_embed", "hook_resid_pre", "hook_resid_mid", "hook_resid_post"),
    "attention": (*ATTENTION, *NORMED), "pattern": (PATTERN,),
    "norms": ("ln1.hook_out", "ln2.hook_out", "ln_final.hook_out"),
    "outputs": ("hook_attn_out", "hook_mlp_out", EXPERT_OUT, *SHARED), "logits": ("unembed.hook_out",), "none": (),
}
ALL = frozenset(hook for hooks in GROUPS.values() for hook in hooks)
WATCHED = {  # the module of a decoder layer whose output, or after > whose input, is recorded
    "hook_resid_pre": ">", "ln1.hook_out": "input_layernorm", "hook_attn_out": "self_attn",
    "attn.hook_q": "self_attn.q_proj", "attn.hook_k": "self_attn.k_proj", "attn.hook_v": "self_attn.v_proj",
    "hook_resid_mid": ">post_attention_layernorm", "ln2.hook_out": "post_attention_layernorm", "hook_resid_post": "",
}
# How far a sum may be from its recomputation, as a share of the largest value: the rounding of its terms.
SLACK = {torch.float32: 2e-5, torch.float16: 5e-3, torch.bfloat16: 2e-2}


@contextlib.contextmanager
def otherwise(advice: str) -> Iterator[None]:
    """Makes any error, whose texts run over many lines in these libraries, a sentence that ends with `advice`."""
    try:
        yield
    except Exception as error:
        fail(f"{(str(error).strip().splitlines() or [type(error).__name__])[0].rstrip('.:')}; {advice}")


def fail(text: str) -> NoReturn:
    sys.exit(f"record_reference: {text}")


def note(text: str) -> None:
    print(f"record_reference: {text}", file=sys.stderr)


def hooks_named(text: str) -> frozenset[str]:
    """The hooks of comma-separated fields: groups, full names, or the last words of names."""
    known = {"all": tuple(ALL), **GROUPS}
    for hook in ALL:
        known[hook] = known[hook.removesuffix(".hook_out").rsplit("hook_", 1)[-1]] = (hook,)
    fields = [field.strip() for field in text.split(",") if field.strip()]
    if unknown := [field for field in fields if field not in known]:
        raise argparse.ArgumentTypeError(f"`{unknown[0]}` is no field; use all, {', '.join(GROUPS)}, or a hook's name")
    return frozenset(hook for field in fields for hook in known[field])


def token_ids(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0], allow_abbrev=False)
    prompt, place = parser.add_mutually_exclusive_group(required=True), parser.add_mutually_exclusive_group()
    add, fields = parser.add_argument, f"all, {', '.join(GROUPS)}, or hook names, with commas between"
    add("model", metavar="MODEL", help="directory of config.json and safetensors, or owner/name[@revision] on the Hub")
    add("--out", type=Path, required=True, metavar="FILE", help="the trace")
    prompt.add_argument("--prompt", metavar="TEXT", help="the prompt, turned into ids by tokenizer.json")
    prompt.add_argument("--prompt-file", type=Path, metavar="FILE", help="a prompt in UTF-8, taken as it is")
    prompt.add_argument("--prompt-ids", type=token_ids, metavar="IDS", help="the prompt as token ids: 1,422,3")
    add("--dtype", choices=["auto", "float32", "bfloat16", "float16"], default="auto", help="auto: the model's own")
    place.add_argument("--device-map", default="cpu", metavar="MAP", help="cpu (default), auto, balanced, cuda:0, …")
    place.add_argument("--tp", action="store_true", help="tensor parallelism over the processes that torchrun starts")
    add("--capture", type=hooks_named, metavar="HOOKS", help=fields + " [default: all, patterns only up to 256 MB]")
    add("--experts", choices=["grouped_mm", "eager"], help="default: what transformers chooses")
    add("--no-verify", action="store_true", help="no second run without hooks to compare the logits with")
    add("--force", action="store_true", help="overwrite FILE")
    args = parser.parse_args()
    args.world, args.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if args.tp and args.world == 1:
        parser.error("--tp needs several processes; start with `torchrun --nproc-per-node N tools/record_reference.py`")
    args.local, (name, _, revision) = Path(args.model).exists(), args.model.partition("@")
    args.model, args.revision = (args.model, "main") if args.local else (name, revision or "main")
    return args


def read_prompt(args: argparse.Namespace, config: Any) -> tuple[list[int], list[str], str | None]:
    """Ids, their spellings and the text. AutoTokenizer of transformers 5 is not used, since it gives other ids than
    tokenizer.json to texts that begin with a space."""
    with otherwise("give a text in UTF-8 and a MODEL with a whole tokenizer.json, or --prompt-ids and one without"):
        text = args.prompt_file.read_bytes().decode() if args.prompt_file else args.prompt
        options = {"revision": args.revision, "_raise_exceptions_for_missing_entries": text is not None}
        path = transformers.utils.cached_file(args.model, "tokenizer.json", **options)
        tokenizer = Tokenizer.from_file(path) if path else None
        ids = args.prompt_ids if text is None else tokenizer.encode(text).ids
    if not 0 < len(ids) <= config.max_position_embeddings or not all(0 <= i < config.vocab_size for i in ids):
        limits = f"1 to {config.max_position_embeddings} tokens with ids from 0 to {config.vocab_size - 1}"
        fail(f"the prompt has {len(ids)} tokens, ids {min(ids, default=0)} to {max(ids, default=0)}; give {limits}")
    return ids, [tokenizer.id_to_token(i) or f"<id {i}>" for i in ids] if tokenizer else [], text


def chosen_hooks(args: argparse.Namespace, config: Any, length: int) -> frozenset[str]:
    """What to record: less than was asked for where it can't be had, less than all where nothing was and it is huge."""
    hooks, left_out = ALL if args.capture is None else args.capture, {}
    heads = (config.num_attention_heads, config.num_key_value_heads)
    if args.capture is None and (megabytes := config.num_hidden_layers * heads[0] * length**2 * 4 >> 20) > 256:
        left_out[PATTERN] = f"which could take {megabytes} MB; --capture all keeps it"
    if args.tp:
        left_out[EXPERT_OUT] = "of which with --tp each process has a summand, and nothing ever the sum"
        if any(count % args.world for count in heads):
            fail(f"{args.world} processes can't share {heads[0]} query and {heads[1]} key-value heads; start fewer")
    for hook in hooks & left_out.keys() if args.rank == 0 else ():
        note(f"without {hook}, {left_out[hook]}")
    return hooks - left_out.keys()


def load(args: argparse.Namespace) -> nn.Module:
    """The model, in eager attention: no other forms patterns. Tensors that the files lack are refused, since
    transformers would fill them with random numbers and a warning."""
    options: dict[str, Any] = {"dtype": args.dtype, "revision": args.revision}
    options |= {"attn_implementation": "eager", "experts_implementation": args.experts}
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    with otherwise("check the files with `mixscope check`, and --dtype and --device-map against the memory there is"):
        if args.tp:
            options["distributed_config"] = transformers.distributed.DistributedConfig(tp_size=args.world)
        elif args.device_map != "cpu":
            options["device_map"] = args.device_map
        model, info = transformers.AutoModelForCausalLM.from_pretrained(args.model, **options)
    if lacking := sorted([*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])]):
        fail(f"{args.model} lacks {lacking[0]}, or has it in another shape; see `mixscope check`")
    return model.eval()


def forward(model: nn.Module, ids: list[int]) -> Tensor:
    device = model.get_input_embeddings().weight.device
    tokens = torch.tensor([ids], device="cpu" if device.type == "meta" else device)  # meta: offloaded
    with torch.no_grad(), otherwise("give fewer tokens or hooks, or a --device-map with more memory"):
        return model(input_ids=tokens, use_cache=False).logits[0]


class Recorder:
    """Watches one forward pass. Values go to the CPU as they come, so that they don't fill a GPU."""

    def __init__(self, model: nn.Module, hooks: frozenset[str], processes: int, rank: int) -> None:
        self.model, self.hooks, self.processes, self.rank = model, hooks, processes, rank
        self.experts: str = model.config._experts_implementation
        self.tensors: dict[str, Tensor] = {}
        self.linears: list[Tensor] | None = None  # results of the experts' linear map, while experts run

    def put(self, prefix: str, hook: str, value: Tensor) -> None:
        """Keeps a value; with --tp that of all processes, each of which has its own heads, in order of rank."""
        if hook not in self.hooks:
            return
        if hasattr(value, "full_tensor"):  # a DTensor
            value = value.full_tensor()
        elif self.processes > 1 and hook in (PATTERN, *ATTENTION):
            parts = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(self.processes)]
            distributed.all_gather(parts, value.contiguous())
            value = torch.cat(parts, 0 if hook == PATTERN else 1)
        if self.rank == 0:
            self.tensors[prefix + hook] = value.detach().to("cpu", copy=True).contiguous()

    def run(self, ids: list[int]) -> Tensor:
        """One forward pass; returns the logits."""
        owner, name = (nn.functional, "linear") if self.experts == "eager" else (hf_moe, "_grouped_linear")
        family = self.model.config.model_type
        modeling = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
        attend = partial(self.attend, modeling.eager_attention_forward)
        linear = partial(self.linear, getattr(owner, name))
        self.watch()
        with patch.object(modeling, "eager_attention_forward", attend), patch.object(owner, name, linear):
            logits = forward(self.model, ids)
        self.put("", "unembed.hook_out", logits)
        return logits

    def watch(self) -> None:
        body = self.model.model
        watched = [("", body.embed_tokens, "hook_embed", ""), ("", body.norm, "ln_final.hook_out", "")]
        for index, layer in enumerate(body.layers):
            prefix = f"blocks.{index}."
            watched += [(prefix, layer.get_submodule(path.strip(">")), hook, path) for hook, path in WATCHED.items()]
            mlp, at = getattr(layer, "mlp", None) or layer.block_sparse_moe, layer.self_attn
            watched.append((prefix, mlp, "hook_mlp_out", ""))
            watched += [(prefix, getattr(at, hook.split(".")[1]), hook, "") for hook in NORMED if hasattr(at, "q_norm")]
            if hasattr(mlp, "shared_expert"):
                parts = (mlp.shared_expert, mlp.shared_expert_gate)
                watched += [(prefix, part, hook, "") for part, hook in zip(parts, SHARED)]
            if hasattr(mlp, "experts"):  # else a layer without a router
                router = getattr(mlp, "gate", None) or mlp.router
                router.register_forward_hook(partial(self.route, prefix))
                mlp.experts.register_forward_hook(partial(self.expert_outputs, prefix))
        for prefix, module, hook, path in watched:
            register = module.register_forward_pre_hook if path.startswith(">") else module.register_forward_hook
            register(partial(self.see, prefix, hook), with_kwargs=True)

    def see(self, prefix: str, hook: str, _: nn.Module, args: Any, named: dict[str, Any], *output: Any) -> None:
        value = output[0] if output else args[0] if args else named["hidden_states"]
        value = value[0] if isinstance(value, tuple) else value
        value = value if hook in SHARED else value[0]  # Qwen's shared expert reads tokens without a batch axis
        width = self.model.model.layers[0].self_attn.head_dim
        is_flat = hook in ATTENTION or hook in NORMED and value.dim() == 2
        self.put(prefix, hook, value.unflatten(-1, (-1, width)) if is_flat else value)

    def attend(self, original: Callable, module: nn.Module, q: Tensor, k: Tensor, *args: Any, **named: Any) -> Any:
        out, pattern = original(module, q, k, *args, **named)
        for hook, value in zip(ATTENTION[3:], (q[0].transpose(0, 1), k[0].transpose(0, 1), out[0])):
            self.put(f"blocks.{module.layer_idx}.", hook, value)
        self.put(f"blocks.{module.layer_idx}.", PATTERN, pattern[0])
        return out, pattern

    def route(self, prefix: str, _module: nn.Module, _args: Any, output: tuple[Tensor, Tensor, Tensor]) -> None:
        logits, weights, self.chosen = output
        every = nn.functional.softmax(logits.float(), dim=-1)  # as the router does, which returns the chosen ones' only
        for hook, value in zip(ROUTING, (logits, every, self.chosen.cpu().to(torch.int64), weights)):
            self.put(prefix, hook, value)
        self.linears = [] if EXPERT_OUT in self.hooks else None

    def linear(self, original: Callable, *args: Any, **named: Any) -> Tensor:
        out = original(*args, **named)
        if self.linears is not None:
            # Experts call it in pairs: gate and up as one, then down, whose result is the expert's output.
            self.linears.append(out.detach().to("cpu", copy=True) if len(self.linears) % 2 else out[:0])
        return out

    def expert_outputs(self, prefix: str, *_: Any) -> None:
        """Brings rows that are sorted by expert into the order of tokens; `slots` tells where each belongs."""
        if self.linears is None:
            return
        rows, (positions, k) = torch.cat(self.linears[1::2]), self.chosen.shape
        if self.experts == "grouped_mm":
            slots = torch.sort(self.chosen.reshape(-1))[1].cpu()  # as transformers sorts, on the same device
        else:
            pairs = [torch.where((self.chosen == expert).T) for expert in self.chosen.unique()]
            slots = torch.cat([token * k + place for place, token in pairs]).cpu()
        self.put(prefix, EXPERT_OUT, rows[slots.argsort()].view(positions, k, -1))
        self.linears = None


def verify(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, float]:
    """By how much what must hold is missed at most, as a share of the largest value, where its hooks were recorded."""
    config = model.config
    by = getattr(config, "residual_multiplier", 1)  # Granite multiplies what it adds
    softmax_over_chosen = config.model_type in ("mixtral", "granitemoe", "gpt_oss")
    share = torch.nn.functional.normalize if softmax_over_chosen or config.norm_topk_prob else lambda x, p: x
    identities: list[tuple[str, bool, str, Callable[..., Tensor]]] = [  # in words, exact?, a hook and what makes it
        ("resid_pre = resid_post of the layer before", True, "hook_resid_pre <", lambda x: x),
        ("resid_mid = resid_pre + attn_out", True, "hook_resid_mid hook_resid_pre hook_attn_out", lambda a, b: a + b * by),
        ("resid_post = resid_mid + mlp_out", True, "hook_resid_post hook_resid_mid hook_mlp_out", lambda a, b: a + b * by),
        ("pattern looks back", True, f"{PATTERN} {PATTERN}", torch.tril),
        ("z = pattern x v", False, f"attn.hook_z {PATTERN} attn.hook_v",
         lambda p, v: torch.einsum("hqk,khd->qhd", p.float(), v.float().repeat_interleave(len(p) // v.shape[1], 1))),
        ("mixing_weights = softmax(router_logits)[indices], renormalised", False, f"{ROUTING[3]} {ROUTING[0]} {ROUTING[2]}",
         lambda x, i: share(x.float().softmax(-1).gather(1, i.long()), p=1)),
    ]
    mixed = ("mlp_out = sum of mixing_weights x expert_out", False, f"hook_mlp_out {ROUTING[3]} {EXPERT_OUT}")
    gated = (mixed[0] + " + shared", False, f"{mixed[2]} {' '.join(SHARED)}")
    if getattr(config, "shared_expert_intermediate_size", 0):
        identities.append((*gated, lambda m, x, s, g: (m[..., None].float() * x.float()).sum(1) + g.float().sigmoid() * s))
    else:
        identities.append((*mixed, lambda m, x: (m[..., None].float() * x.float()).sum(1)))
    if getattr(config, "clip_qkv", None) is not None:  # the recorded v is not clamped yet
        identities = [identity for identity in identities if not identity[0].startswith("z = ")]
    worst: dict[str, float] = {}
    for layer in range(model.config.num_hidden_layers):
        before = f"blocks.{layer - 1}.hook_resid_post" if layer else "hook_embed"
        if not layer and getattr(config, "embedding_multiplier", 1) != 1:
            before = "blocks.0.hook_resid_pre"  # the embedding is multiplied before the first layer
        for label, exact, hooks, derive in identities:
            names = [before if hook == "<" else f"blocks.{layer}.{hook}" for hook in hooks.split()]
            if tensors.keys() >= set(names):
                found, derived = tensors[names[0]].float(), derive(*(tensors[name] for name in names[1:])).float()
                missed = float((found - derived).abs().max() / found.abs().max().clamp_min(1))
                if not missed <= (0 if exact else SLACK[model.dtype]):  # NaN, too
                    advice = "see `mixscope check MODEL`, and use the versions in the script's first lines"
                    fail(f"layer {layer}: {label} is missed by {missed:g}, so nothing was written; {advice}")
                worst[label] = max(missed, worst.get(label, 0.0))
    return worst


def metadata(args: argparse.Namespace, model: nn.Module, spellings: list[str], text: str | None) -> dict[str, str]:
    config, dtype = model.config, str(model.dtype).removeprefix("torch.")
    attention, experts = config._attn_implementation, config._experts_implementation
    devices = sorted({str(device) for device in getattr(model, "hf_device_map", {"": model.device}).values()})
    provenance = {
        "engine": "huggingface transformers", "transformers": transformers.__version__, "torch": torch.__version__,
        "compute_dtype": dtype, "attn": attention, "experts": experts, "prompt": text, "script": Path(__file__).name,
        "device_map": None if args.tp else args.device_map, "tensor_parallel": args.world if args.tp else 1,
        "devices": devices, "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(), "num_threads": torch.get_num_threads(),
    }
    settings = {key: value for key, value in config.to_dict().items() if key != "_name_or_path"}
    return {
        "format": "mixscope-trace", "version": "1", "config": json.dumps(settings, default=str, sort_keys=True),
        "model": Path(args.model).resolve().name if args.local else args.model, "token_texts": json.dumps(spellings),
        # mixscope's name for where values are rounded, under which `check --against` computes
        "precision": "f32" if dtype == "float32" else "eager-experts" if experts == "eager" else "hf",
        "provenance": json.dumps(provenance),
    }


def write(out: Path, tensors: dict[str, Tensor], texts: dict[str, str]) -> None:
    """A whole file or none: written beside `out`, then renamed."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    with otherwise(f"give an --out with room for {sum(tensor.nbytes for tensor in tensors.values()) >> 20} MB"):
        try:
            part.touch()
            rights = part.stat().st_mode  # save_file would leave a file that nobody else can read
            safetensors.torch.save_file(tensors, part, metadata=texts)
            part.chmod(rights)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)


def main() -> None:
    args = arguments()
    if args.rank and not args.tp:
        return  # one process records; more would only load the model again
    if args.rank or not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    if args.out.is_dir() or not args.out.absolute().parent.is_dir():
        fail(f"{args.out} can't be a file; give --out a name in a folder that exists")
    if args.out.exists() and not args.force:
        fail(f"{args.out} exists; give another --out, or --force to overwrite")
    with otherwise("give MODEL as a directory of config.json and safetensors, or as owner/name[@revision] on the Hub"):
        config = transformers.AutoConfig.from_pretrained(args.model, revision=args.revision)
    if config.model_type not in FAMILIES or getattr(config, "quantization_config", None):
        fail(f"{args.model} is quantised or of no family that mixscope reads ({', '.join(FAMILIES)})")
    ids, spellings, text = read_prompt(args, config)
    hooks = chosen_hooks(args, config, len(ids))
    model = load(args)
    if args.tp and args.rank == 0 and model.dtype != torch.float32:
        note("with --tp each process rounds its summands, unlike one device; --device-map gives a closer reference")
    plain = None if args.no_verify else forward(model, ids)
    recorder = Recorder(model, hooks, args.world if args.tp else 1, args.rank)
    logits = recorder.run(ids)
    if not logits.isfinite().all():
        fail(f"{args.model} gives NaN or infinite logits, so nothing was written; see `mixscope check`")
    if plain is not None and not torch.equal(plain, logits):
        advice = "compute on the CPU, or give --no-verify if the device is not deterministic"
        fail(f"logits with and without hooks differ, so nothing was written; {advice}")
    if args.tp:
        distributed.destroy_process_group()
    if args.rank == 0:
        compared = "not compared" if plain is None else "bit for bit"
        checks = {"logits as without hooks": compared, **verify(recorder.tensors, model)}
        tensors = {"tokens": torch.tensor(ids), **recorder.tensors}
        write(args.out, tensors, {**metadata(args, model, spellings, text), "validation": json.dumps(checks)})
        note(f"wrote {len(tensors)} tensors of {len(ids)} tokens to {args.out}")


if __name__ == "__main__":
    main()
