"""Run folders, traces and sweeps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._tables import read_tables, routing_table, tokens_table
from ._trace import Tensors

_TRACE = "trace.safetensors"


def load(path: str | os.PathLike[str]) -> Run | Sweep:
    """Opens a run folder, a trace, or the folder of a sweep.

    Raises FileNotFoundError if there is none of them, ValueError if a file is damaged.
    """
    path = Path(path)
    if (path / "sweep.json").is_file():
        return Sweep(path)
    return Run(path)


class Run(Mapping):
    """A run: its hooks by their TransformerLens names, without a batch axis, as float32 or int64 arrays.

    A hook is read from the file when it is asked for: `run["blocks.5.attn.hook_pattern"]` is `[head, query, key]`.
    """

    def __init__(self, path: str | os.PathLike[str], keep: Any = None) -> None:
        self.path = Path(path)
        self._keep = keep  # what must live as long as the files: a temporary folder
        folder = self.path if self.path.is_dir() else None
        trace = self.path / _TRACE if folder else self.path
        if not trace.is_file() and not (folder and (folder / "run.json").is_file()):
            raise FileNotFoundError(f"{self.path}: neither a trace nor a folder with run.json, {_TRACE} or sweep.json")
        self._tensors = Tensors(trace) if trace.is_file() else {}
        self._folder = folder
        self.metadata: dict[str, str] = dict(getattr(self._tensors, "metadata", {}))
        """The metadata of the trace; `config`, `token_texts`, `provenance` and `validation` are JSON."""
        info = folder / "run.json" if folder else None
        self.info: dict[str, Any] = json.loads(info.read_text("utf-8")) if info and info.is_file() else {}
        """run.json, or nothing for a trace alone."""

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.metadata.get("model") or str(self.info.get("model", ""))

    @property
    def config(self) -> dict[str, Any]:
        """The config of the model."""
        return json.loads(self.metadata["config"]) if "config" in self.metadata else self.info.get("config", {})

    @property
    def ids(self) -> np.ndarray:
        """The ids of the tokens, `[position]`."""
        if "tokens" in self._tensors:
            return self._tensors["tokens"].astype(np.int64)
        return np.array(self.info["ids"], np.int64)

    @property
    def tokens(self) -> list[str]:
        """The tokens as the tokenizer spells them."""
        if "token_texts" in self.metadata:
            return json.loads(self.metadata["token_texts"])
        return [str(token) for token in self.tables()["tokens"]["token"]]

    @property
    def layers(self) -> int:
        """The number of layers that some hook was kept of."""
        of = [int(name.split(".")[1]) for name in self._tensors if name.startswith("blocks.")]
        return max(of, default=-1) + 1

    def __getitem__(self, hook: str) -> np.ndarray:
        try:
            return self._tensors[hook]
        except KeyError:
            raise KeyError(f"{hook} is not in {self.path}: `mixscope run --capture` says which hooks a trace keeps") from None

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._tensors if name != "tokens" and not name.startswith("mixscope."))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Run of {self.model}: {len(self.ids)} tokens, {len(self)} hooks, {str(self.path)!r}>"

    def pattern(self, layer: int) -> np.ndarray:
        """Attention probabilities of a layer, `[head, query, key]`, as CircuitsVis takes them."""
        return self[f"blocks.{layer}.attn.hook_pattern"]

    def cache(self, framework: str = "numpy") -> dict[str, Any]:
        """All hooks with a batch axis in front, as TransformerLens has them.

        `ActivationCache(run.cache("torch"), model)` is its cache; "torch" needs PyTorch.
        """
        if framework == "numpy":
            return {name: self[name][None] for name in self}
        if framework == "torch":
            import torch

            return {name: torch.from_numpy(self[name])[None] for name in self}
        raise ValueError(f"framework: expected 'numpy' or 'torch', found {framework!r}")

    def tables(self, frames: str = "pandas") -> dict[str, Any]:
        """The tables of the run by name, as frames of "pandas" or "polars" (which have to be installed).

        Tables of positions get the id and the text of the token. Of a trace alone these are `tokens` and `routing`.
        """
        found = read_tables(self._folder, frames) if self._folder else {}
        if not found:
            texts = json.loads(self.metadata.get("token_texts", "[]"))
            found = {"tokens": tokens_table(self.ids, texts, frames)}
            if any(name.endswith(".mlp.hook_router_logits") for name in self):
                found["routing"] = routing_table(self, frames)
        return found


class Sweep:
    """What experts did over a corpus."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.info: dict[str, Any] = json.loads((self.path / "sweep.json").read_text("utf-8"))
        """sweep.json."""

    def tables(self, frames: str = "pandas") -> dict[str, Any]:
        """The tables of the sweep by name, as frames of "pandas" or "polars" (which have to be installed)."""
        return read_tables(self.path, frames)

    def __repr__(self) -> str:
        return f"<Sweep {str(self.path)!r}>"
