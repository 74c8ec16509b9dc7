# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.15.0", "transformers==5.24.0", "safetensors==0.8.0"]
# ///
"""Records what edits do to a forward pass of Hugging Face transformers: tests/fixtures/edits.

    uv run tools/record_edits.py

For each model: `MODEL.json` has the prompt, the edits of each case and the experts that were chosen under them, best
first, by layer and position; `MODEL.safetensors` the logits `baseline.logits` and `case.{i}.logits` at its `positions`
and `columns`; `MODEL.vectors.safetensors` the vectors of `add`, called `v.safetensors` in the edits;
`MODEL.clean.safetensors` a trace of another prompt without edits, called `clean.safetensors`.

The model is that of transformers, in f32. Values are changed in place by hooks of its modules; its router, its experts
and attention with cut keys are replaced by functions that do the same and can be edited. Nothing here is taken from
mixscope. Nothing is written unless edits that change nothing give the same bits as the untouched model, and all others
change the recorded logits by far more than rounding.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"
import safetensors.torch
import torch
import transformers
import transformers.models.mixtral.modeling_mixtral as hf
from tokenizers import Tokenizer
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "fixtures" / "edits"
BOS, COLUMNS = 1, 300
TEXT = "Once upon a time, there was a little girl who had a red ball. She took the ball to the garden."
CLEAN = "Far away, near the museum, lived a generous cat. Her name was Daisy. One day, it was the birthday of Mark."
MODELS: dict[str, dict[str, Any]] = {
    "tiny-f32": {  # 3 layers of 4 heads and 4 experts, 2 of them for each token
        "path": "tests/fixtures/tiny-f32/model", "tokens": 24, "positions": [0, 5, 7, 12, 18, 23],
        "cases": [
            ["ban L1.E2"],
            ["ban L0,L2.E0@7..12"],
            ["force L0.E1,E3"],
            ["force L2.E1@last"],
            ["bias L1.E3 +1.0"],
            ["topk L0 1"],
            ["topk L1@7 3"],
            ["zero L2.E1"],
            ["scale L*.E2..3@prompt 0.5"],
            ["mean L1.E2"],
            ["zero L0.H2"],
            ["scale L1,L2.H0,H3@7..12 -1.5"],
            ["mean L0.H1"],
            ["mean L1.attn"],
            ["scale L2.mlp 2"],
            ["zero L1.attn@generated"],
            ["cut L2.H3 12->3"],
            ["cut L1.H* *->0"],
            ["cut L0..1.H1..3 8..12->3..5"],
            ["add L1.resid_post v.safetensors:v 4.0"],
            ["add L0.q@7..12 v.safetensors:q -2"],
            ["patch L1.resid_pre@7 clean.safetensors@3"],
            ["patch L2.router_logits clean.safetensors"],
            ["patch L1.H0 clean.safetensors"],
            ["patch L1.E2 clean.safetensors"],
            ["replay L* clean.safetensors"],
            ["replay! L0,L2@5..18 clean.safetensors"],
            ["ban L1.E2", "force L1.E2"],
            ["ban L*.E0", "replay L* clean.safetensors"],
            ["bias L1.E0 +1.5", "topk L1 1"],
            ["cut L1.H1 *->0", "zero L1.H0"],
        ],
    },
    "top3": {  # 2 layers of 4 heads and 16 experts, 3 of them for each token
        "path": "tests/fixtures/top3/model", "tokens": 28, "positions": [0, 6, 7, 12, 20, 27],
        "cases": [
            ["ban L0.E0..11"],
            ["ban L1.E3,E5,E8..10@12"],
            ["force L1.E1,E4"],
            ["force L*.E7@7..12"],
            ["bias L0.E2,E6,E12 -1.25"],
            ["topk L1 5"],
            ["topk L*@prompt 1"],
            ["zero L0.E4..9"],
            ["scale L1.E* 1.5"],
            ["mean L0.E*"],
            ["mean L1.E0..7@last"],
            ["zero L1.H3@7"],
            ["mean L*.H*"],
            ["scale L0.attn -0.5"],
            ["zero L0.mlp@last"],
            ["mean L1.mlp"],
            ["zero L*.mlp@generated"],
            ["cut L0.H1,H3 *->2..6"],
            ["cut L1.H0 7->*"],
            ["add L0.resid_pre v.safetensors:v 2"],
            ["add L1.attn_out@12 v.safetensors:v -3.5"],
            ["add L1.mlp_out v.safetensors:v 0.75"],
            ["patch L0.z clean.safetensors"],
            ["patch L1.q@6..12 clean.safetensors@1"],
            ["patch L0.mlp_out@last clean.safetensors@20"],
            ["patch L*.E* clean.safetensors"],
            ["replay L1 clean.safetensors"],
            ["replay! L* clean.safetensors"],
            ["force L0.E7", "ban L0.E7"],
            ["replay L* clean.safetensors", "ban L1.E0..4"],
            ["bias L1.E9,E14 +3", "topk L1 2", "scale L1.E9 -1"],
            ["cut L0.H* 3..27->0", "zero L1.H2"],
        ],
    },
    "demo": {  # 6 layers of 8 heads and 8 experts, 2 of them for each token
        "path": "assets/demo", "tokens": 25, "positions": [0, 5, 7, 12, 18, 24],
        "cases": [
            ["ban L3.E5"],
            ["ban L0..5.E1,E6"],
            ["force L5.E1,E4@12"],
            ["force L0.E2"],
            ["bias L3.E5 +1.0"],
            ["bias L*.E0..3@last -2"],
            ["topk L3 1"],
            ["topk L0,L5@7..12 8"],
            ["zero L0.E*@12"],
            ["scale L3.E2,E5 0.25"],
            ["mean L5.E0..7"],
            ["zero L5.H2"],
            ["scale L2.H5,H6 0.5"],
            ["mean L3.H1@5..18"],
            ["zero L4.attn"],
            ["mean L0.mlp@7"],
            ["scale L*.attn@generated 7"],
            ["cut L5.H2 12->3"],
            ["cut L*.H* *->0"],
            ["cut L2..3.H5..6 8..12->3..7"],
            ["add L1.resid_post v.safetensors:v 4.0"],
            ["add L4.resid_mid@prompt v.safetensors:v -1.5"],
            ["add L3.q v.safetensors:q 3"],
            ["patch L5.resid_pre@7 clean.safetensors@3"],
            ["patch L2.resid_mid@12..18 clean.safetensors@7"],
            ["patch L3.H0..3 clean.safetensors"],
            ["patch L0.E6 clean.safetensors"],
            ["patch L5.resid_post@last clean.safetensors"],
            ["replay L* clean.safetensors"],
            ["replay! L3 clean.safetensors"],
            ["ban L2.E3", "force L2.E3"],
            ["ban L*.E4", "replay L0..2@prompt clean.safetensors"],
            ["bias L3.E0 +2", "topk L3 3"],
            ["cut L5.H0 *->1..4", "zero L5.H1"],
        ],
    },
}
HOOKS = {
    **{name: f"hook_{name}" for name in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")},
    **{name: f"attn.hook_{name}" for name in ("q", "z")},
    **{name: f"mlp.hook_{name}" for name in ("router_logits", "expert_indices", "mixing_weights", "expert_out")},
}
PICKS = r"{0}(?:\*|\d+(?:\.\.\d+)?(?:,{0}\d+(?:\.\.\d+)?)*)"
EDIT = re.compile(
    rf"(?P<verb>[a-z]+!?) (?P<layers>{PICKS.format('L')})"
    rf"(?:\.(?P<part>{PICKS.format('E')}|{PICKS.format('H')}|[a-z_]+))?(?:@(?P<scope>[a-z0-9.]+))?(?: (?P<rest>.+))?"
)


def picks(text: str, count: int) -> list[int]:
    """The indices of E5, E1,E4, E2..4 or E*, where there are `count`."""
    if text[1:] == "*":
        return list(range(count))
    ranges = [item[1:].partition("..") for item in text.split(",")]
    found = [index for first, _, last in ranges for index in range(int(first), int(last or first) + 1)]
    assert max(found) < count, text
    return found


def span(text: str, count: int) -> slice:
    """The positions of 7, 7..12 or *; both ends count."""
    first, _, last = text.partition("..")
    return slice(0, count) if text == "*" else slice(int(first), int(last or first) + 1)


@dataclass
class Edit:
    verb: str
    layers: list[int]
    part: str  # experts, heads, or the name of a hook
    indices: list[int]  # of experts or heads
    rows: slice  # the positions of the scope
    rest: list[str]

    @classmethod
    def read(cls, text: str, config: Any, tokens: int) -> Edit:
        """All tokens are the prompt."""
        found = EDIT.fullmatch(text)
        assert found, text
        part, scope, indices = found["part"] or "", found["scope"] or "prompt", []
        if part[:1] in ("E", "H"):
            experts, count = part[0] == "E", [config.num_attention_heads, config.num_local_experts]
            part, indices = "experts" if experts else "heads", picks(part, count[experts])
        named = {"last": slice(tokens - 1, tokens), "prompt": slice(0, tokens), "generated": slice(tokens, tokens)}
        rows = named.get(scope) or span(scope, tokens)
        assert rows.stop <= tokens, text
        layers = picks(found["layers"], config.num_hidden_layers)
        return cls(found["verb"], layers, part, indices, rows, (found["rest"] or "").split())

    @property
    def factor(self) -> float:
        return 0.0 if self.verb == "zero" else float(self.rest[-1])


class Pass:
    """One forward pass under edits. `plain` is the pass over the same prompt without edits, `files` what edits name."""

    def __init__(self, model: nn.Module, ids: list[int], edits: list[str], plain: Pass | None, files: dict) -> None:
        self.model, self.ids, self.plain, self.files = model, ids, plain, files
        self.edits = [Edit.read(text, model.config, len(ids)) for text in edits]
        self.seen: dict[str, Tensor] = {}  # the values of hooks, after the edits
        self.chosen: list[list[list[int]]] = [[] for _ in model.model.layers]  # by layer and position, best first
        self.margin = float("inf")  # the least difference of router logits that the choice or its order hung on
        with torch.no_grad(), self.watching():
            self.logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks are called with what a module reads (before) or returns, and change it in place. So the residual stream
        changes with what a norm reads, and nothing has to be handed on."""
        with contextlib.ExitStack() as stack:
            def watch(index: int, hook: str, module: nn.Module, before: bool = False) -> None:
                def see(_: nn.Module, args: tuple[Tensor, ...], *output: Any) -> None:
                    value = output[0] if output else args[0]
                    self.at(index, hook, (value[0] if isinstance(value, tuple) else value)[0])
                register = module.register_forward_pre_hook if before else module.register_forward_hook
                stack.callback(register(see).remove)

            for index, layer in enumerate(self.model.model.layers):
                watch(index, "resid_pre", layer, before=True)
                watch(index, "q", layer.self_attn.q_proj)
                watch(index, "z", layer.self_attn.o_proj, before=True)
                watch(index, "attn_out", layer.self_attn)
                watch(index, "resid_mid", layer.post_attention_layernorm, before=True)
                watch(index, "mlp_out", layer.mlp)
                watch(index, "resid_post", layer)
                stack.enter_context(patch.object(layer.mlp.gate, "forward", partial(self.route, index, layer.mlp.gate)))
                experts = partial(self.experts, index, layer.mlp.experts)
                stack.enter_context(patch.object(layer.mlp.experts, "forward", experts))
            attend = partial(self.attend, hf.eager_attention_forward)
            stack.enter_context(patch.object(hf, "eager_attention_forward", attend))
            yield

    def of(self, layer: int) -> list[Edit]:
        return [edit for edit in self.edits if layer in edit.layers]

    def clean(self, layer: int, hook: str) -> Tensor:
        return self.files["clean.safetensors"][f"blocks.{layer}.{HOOKS[hook]}"]

    def at(self, layer: int, hook: str, value: Tensor) -> None:
        """Edits the value `[pos, …]` of a hook in place, and keeps it."""
        for edit in self.of(layer):
            self.change(edit, layer, hook, value)
        by_head = hook in ("q", "z")
        kept = value.unflatten(-1, (self.model.config.num_attention_heads, -1)) if by_head else value
        self.seen[f"blocks.{layer}.{HOOKS[hook]}"] = kept.clone()

    def change(self, edit: Edit, layer: int, hook: str, value: Tensor) -> None:
        rows, name = edit.rows, f"blocks.{layer}.{HOOKS[hook]}"
        by_head = value.unflatten(-1, (self.model.config.num_attention_heads, -1)) if hook in ("q", "z") else value
        match edit.verb, edit.part, hook:
            case "bias", "experts", "router_logits":
                value[rows, edit.indices] += float(edit.rest[0])
            case "zero" | "scale", "experts", "mixing_weights":
                for pos, slot, _ in self.slots(edit, layer):
                    value[pos, slot] *= edit.factor
            case "zero" | "scale", "heads", "z":
                by_head[rows, edit.indices] *= edit.factor
            case ("zero" | "scale", "attn", "attn_out") | ("zero" | "scale", "mlp", "mlp_out"):
                value[rows] *= edit.factor
            case "mean", "experts", "expert_out":
                for pos, slot, expert in self.slots(edit, layer):
                    outputs = [self.plain.seen[name][p, chosen.index(expert)]
                               for p, chosen in enumerate(self.plain.chosen[layer]) if expert in chosen]
                    if outputs:
                        value[pos, slot] = mean(torch.stack(outputs))
            case "mean", "heads", "z":
                by_head[rows, edit.indices] = mean(self.plain.seen[name])[edit.indices]
            case ("mean", "attn", "attn_out") | ("mean", "mlp", "mlp_out"):
                value[rows] = mean(self.plain.seen[name])
            case "add", part, _ if part == hook:
                file, _, vector = edit.rest[0].partition(":")
                value[rows] += edit.factor * self.files[file][vector]
            case "patch", part, _ if part == hook:
                value[rows] = self.clean(layer, hook)[self.source(edit)].flatten(1)
            case "patch", "heads", "z":
                by_head[rows, edit.indices] = self.clean(layer, "z")[self.source(edit), edit.indices]
            case "patch", "experts", "expert_out":
                shift, theirs = self.source(edit).start - rows.start, self.clean(layer, "expert_indices").tolist()
                for pos, slot, expert in self.slots(edit, layer):
                    if expert in (chosen := theirs[pos + shift]):
                        value[pos, slot] = self.clean(layer, "expert_out")[pos + shift, chosen.index(expert)]
            case "replay!", _, "mixing_weights":
                theirs, weights = self.clean(layer, "expert_indices").tolist(), self.clean(layer, "mixing_weights")
                for pos in range(len(self.ids))[rows]:
                    for slot, expert in enumerate(self.chosen[layer][pos]):
                        if expert in theirs[pos]:
                            value[pos, slot] = weights[pos, theirs[pos].index(expert)]

    def slots(self, edit: Edit, layer: int) -> list[tuple[int, int, int]]:
        """Where the edit's experts were chosen: position, place in the choice, expert."""
        chosen = [(pos, *at) for pos in range(len(self.ids))[edit.rows] for at in enumerate(self.chosen[layer][pos])]
        return [place for place in chosen if place[2] in edit.indices]

    def source(self, edit: Edit) -> slice:
        """The positions that `patch` reads in the other run: those of the scope, or as many from `@n` on."""
        _, _, first = edit.rest[0].partition("@")
        start = int(first) if first else edit.rows.start
        return slice(start, start + edit.rows.stop - edit.rows.start)

    def choose(self, layer: int, pos: int, logits: list[float], probs: list[float]) -> list[int]:
        """The experts of a token. All are ranked; edits take some out or put some first."""
        rank = partial(sorted, key=lambda expert: -probs[expert])
        order, count = rank(range(len(probs))), self.model.config.num_experts_per_tok
        group = defaultdict(int)  # experts of the same group are in the order of their probabilities
        for number, edit in enumerate(self.of(layer), 1):
            if pos not in range(len(self.ids))[edit.rows]:
                continue
            first: list[int] = []
            if edit.verb == "ban":
                order = [expert for expert in order if expert not in edit.indices]
            elif edit.verb == "force":
                first = rank(edit.indices)
                group |= {expert: number for expert in first}
            elif edit.verb == "topk":
                count = int(edit.rest[0])
            elif edit.verb in ("replay", "replay!"):
                first = self.clean(layer, "expert_indices")[pos].tolist()
                group |= {expert: (number, expert) for expert in first}
                count = len(first)
            order = first + [expert for expert in order if expert not in first]
        for a, b in zip(order[:count], order[1:]):
            if group[a] == group[b]:
                self.margin = min(self.margin, logits[a] - logits[b])
        return order[:count]

    def route(self, layer: int, gate: nn.Module, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """MixtralTopKRouter.forward. Tokens with fewer experts than others have the index past the last one instead,
        which MixtralExperts leaves out."""
        logits = nn.functional.linear(hidden, gate.weight)
        self.at(layer, "router_logits", logits)
        probs = nn.functional.softmax(logits, dim=-1)
        rows = enumerate(zip(logits.tolist(), probs.tolist()))
        chosen = self.chosen[layer] = [self.choose(layer, pos, *row) for pos, row in rows]
        none, most = gate.num_experts, max(map(len, chosen))
        indices = torch.tensor([row + [none] * (most - len(row)) for row in chosen])
        weights = torch.cat([probs, torch.zeros(len(probs), 1)], dim=-1).gather(1, indices)
        weights /= weights.sum(dim=-1, keepdim=True)
        self.at(layer, "mixing_weights", weights)
        self.seen[f"blocks.{layer}.{HOOKS['expert_indices']}"] = indices
        return logits, weights, indices

    def experts(self, layer: int, experts: nn.Module, hidden: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        """MixtralExperts.forward, with the outputs of all experts before the first is weighted."""
        outputs, total = torch.zeros(*indices.shape, hidden.shape[-1]), torch.zeros_like(hidden)
        used = [expert for expert in indices.unique().tolist() if expert < experts.num_experts]
        places = {expert: torch.where(indices.T == expert) for expert in used}
        for expert, (slot, token) in places.items():
            gate, up = nn.functional.linear(hidden[token], experts.gate_up_proj[expert]).chunk(2, dim=-1)
            outputs[token, slot] = nn.functional.linear(experts.act_fn(gate) * up, experts.down_proj[expert])
        self.at(layer, "expert_out", outputs)
        for slot, token in places.values():
            total.index_add_(0, token, outputs[token, slot] * weights[token, slot, None])
        return total

    def attend(self, original: Any, module: nn.Module, q: Tensor, *kv: Tensor, **named: Any) -> tuple[Tensor, Tensor]:
        """eager_attention_forward, where keys may be cut; the output for a query that sees no key is zero."""
        *kv, mask = kv
        cuts = [edit for edit in self.of(module.layer_idx) if edit.verb == "cut"]
        if not cuts:
            return original(module, q, *kv, mask, **named)
        assert mask.dtype == torch.float32 and mask.shape[-2:] == (len(self.ids),) * 2
        sees = (mask == 0).repeat(1, q.shape[1], 1, 1)
        for edit in cuts:
            queries, keys = (span(text, len(self.ids)) for text in edit.rest[0].split("->"))
            for query in set(range(len(self.ids))[queries]) & set(range(len(self.ids))[edit.rows]):
                sees[0, edit.indices, query, keys] = False
        out, pattern = original(module, q, *kv, torch.zeros(sees.shape).masked_fill(~sees, float("-inf")), **named)
        out[~sees.any(-1).transpose(1, 2)] = 0
        return out, pattern


def mean(rows: Tensor) -> Tensor:
    return rows.double().mean(0).float()


def identities(k: int) -> list[str]:
    """Edits that change nothing; `clean.safetensors` is the same run."""
    parts = ("E*", "H*", "attn", "mlp")
    patched = [hook for hook in HOOKS if hook not in ("expert_indices", "expert_out")] + ["H*", "E*"]
    return [
        *(f"scale L*.{part} 1" for part in parts), *(f"zero L*.{part}@generated" for part in parts),
        *(f"mean L*.{part}@generated" for part in parts), *(f"patch L*.{what} clean.safetensors" for what in patched),
        "patch L*.resid_mid@7 clean.safetensors@7",
        "bias L*.E* +0", f"topk L* {k}", "force L*.E*", "ban L*.E0@generated", "cut L*.H*@generated *->*",
        "add L*.resid_post v.safetensors:v 0", "add L*.q v.safetensors:q 0",
        "replay L* clean.safetensors", "replay! L* clean.safetensors",
    ]


class Used(dict):
    """A dictionary that knows what was read from it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.used: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.used.add(key)
        return super().__getitem__(key)


def check(case: list[str], run: Pass, plain: Pass, shown: tuple) -> float:
    """By how much the recorded logits differ from those without edits, as a multiple of the tolerance of the test."""
    difference = (run.logits - plain.logits).abs()
    assert run.logits.isfinite().all(), case
    if all(edit.rows.start == len(run.ids) for edit in run.edits):
        assert not difference.any(), case
        return float("inf")
    first = min(edit.rows.start for edit in run.edits)
    # Tokens that an edit sends elsewhere change how many rows an expert multiplies at once, and so how sums are rounded.
    assert (difference[:first] < 2e-5 * plain.logits[:first].abs().clamp(min=1)).all(), f"{case} changes what is before its scope"
    changed = (difference / (1e-4 + 2e-5 * plain.logits.abs()))[shown].max().item()
    assert changed > 100, f"{case} changes the recorded logits by {changed} times the tolerance"
    assert run.margin > 1e-4, f"{case}: two router logits differ by {run.margin}"
    for number, edit in enumerate(run.edits):
        for layer in edit.layers:
            later = [other.verb for other in run.edits[number + 1:] if layer in other.layers]
            for pos in range(len(run.ids))[edit.rows]:
                chosen = run.chosen[layer][pos]
                if edit.verb == "ban" and not {"force", "replay"} & set(later):
                    assert not set(edit.indices) & set(chosen), case
                if edit.verb == "force" and "ban" not in later:
                    assert set(chosen[:len(edit.indices)]) <= set(edit.indices), case
                if edit.verb == "topk":
                    assert len(chosen) == int(edit.rest[0]), case
                if edit.verb.startswith("replay") and "ban" not in later:
                    assert chosen == run.clean(layer, "expert_indices")[pos].tolist(), case
    return changed


def safetensors_file(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """The same bytes at every run; the library writes metadata in any order."""
    file = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps({**({"__metadata__": metadata} if metadata else {}), **json.loads(file[8:end])}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[end:]


def record(name: str, path: Path, tokens: int, positions: list[int], cases: list[list[str]]) -> None:
    options = {"dtype": torch.float32, "attn_implementation": "eager", "experts_implementation": "eager"}
    model = hf.MixtralForCausalLM.from_pretrained(path, **options).eval()
    config, tokenizer = model.config, Tokenizer.from_file(str(path / "tokenizer.json"))
    ids, clean_ids = ([BOS, *tokenizer.encode(text, add_special_tokens=False).ids][:tokens] for text in (TEXT, CLEAN))
    assert len(ids) == len(clean_ids) == tokens
    draw, heads = torch.Generator().manual_seed(1), config.num_attention_heads
    width = model.model.layers[0].self_attn.q_proj.out_features
    vectors = {"v": torch.randn(config.hidden_size, generator=draw), "q": torch.randn(width, generator=draw)}

    plain, clean = Pass(model, ids, [], None, {}), Pass(model, clean_ids, [], None, {})
    with torch.no_grad():
        for run in (plain, clean):
            assert torch.equal(run.logits, model(input_ids=torch.tensor([run.ids]), use_cache=False).logits[0])
    own = {"v.safetensors": vectors, "clean.safetensors": plain.seen}
    for text in identities(config.num_experts_per_tok):
        assert torch.equal(Pass(model, ids, [text], plain, own).logits, plain.logits), f"{name}: {text}"
    other = Used(clean.seen)
    files = {"v.safetensors": vectors, "clean.safetensors": other}
    for one, same in [  # two ways to say the same
        (["zero L*.H*"], ["zero L*.attn"]), (["zero L*.E*"], ["zero L*.mlp"]), (["zero L1.H2"], ["scale L1.H2 0"]),
        (["cut L1.H* *->*"], ["zero L1.attn"]), (["bias L*.E* +3"], []), (["ban L1.E0"], ["bias L1.E0 -1e4"]),
        (["add L0.resid_post v.safetensors:v 2"], ["add L1.resid_pre v.safetensors:v 2"]),
        (["topk L1 1"], ["topk L1 4", "topk L1 1"]), (["ban L0.E1", "force L0.E1"], ["force L0.E1"]),
        (["patch L1.z clean.safetensors"], ["patch L1.H* clean.safetensors"]),
        (["patch L0.mixing_weights clean.safetensors", "replay L0 clean.safetensors"], ["replay! L0 clean.safetensors"]),
    ]:
        a, b = (Pass(model, ids, edits, plain, files).logits for edits in (one, same))
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5), f"{name}: {one}, {same}"
    other.used.clear()

    count = min(config.vocab_size, COLUMNS)
    columns = [i * config.vocab_size // count for i in range(count)]
    shown = (torch.tensor(positions)[:, None], torch.tensor(columns))
    logits, recorded, changes, margins = {"baseline.logits": plain.logits[shown]}, [], [], []
    for index, case in enumerate(cases):
        run = Pass(model, ids, case, plain, files)
        changes.append(check(case, run, plain, shown))
        margins.append(run.margin)
        logits[f"case.{index}.logits"] = run.logits[shown]
        recorded.append({"edits": case, "experts": run.chosen})

    compact = partial(json.dumps, separators=(",", ":"))
    head = {"model": name, "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
            "ids": ids, "clean_ids": clean_ids, "positions": positions, "columns": columns}
    lines = ",\n".join(map(compact, recorded))
    (OUT / f"{name}.json").write_text(f'{compact(head)[:-1]},"cases":[\n{lines}\n]}}\n', encoding="utf-8")
    provenance = {"engine": "huggingface transformers", "transformers": head["transformers"], "torch": head["torch"],
                  "script": Path(__file__).name, "prompt": CLEAN}
    texts = {
        "format": "mixscope-trace", "version": "1", "model": name, "precision": "f32",
        "config": json.dumps(json.loads((path / "config.json").read_text(encoding="utf-8"))),
        "token_texts": json.dumps([tokenizer.id_to_token(i) for i in clean_ids], ensure_ascii=False),
        "provenance": json.dumps(provenance),
    }
    kept = {key: value for key, value in clean.seen.items() if name != "demo" or key in other.used}
    trace = {"tokens": torch.tensor(clean_ids), **kept}
    for end, tensors, metadata in [("", logits, {}), (".vectors", vectors, {}), (".clean", trace, texts)]:
        (OUT / f"{name}{end}.safetensors").write_bytes(safetensors_file(tensors, metadata))
    print(f"{name}: {len(cases)} cases; logits change by at least {min(changes):.0f} times the tolerance; router logits "
          f"differ by at least {min(margins):.1e}; the clean run has {len(trace)} tensors", file=sys.stderr)


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    OUT.mkdir(exist_ok=True)
    for model, settings in MODELS.items():
        record(model, ROOT / settings["path"], settings["tokens"], settings["positions"], settings["cases"])
