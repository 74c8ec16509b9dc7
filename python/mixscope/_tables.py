"""Tables as frames of pandas or polars."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Cells of these columns are text, also where a token is spelled NA or null.
_TEXTS = ("token", "text", "target", "group", "source", "site", "component", "part", "how", "token_text", "context")


def read_tables(folder: Path, frames: str) -> dict[str, Any]:
    """The CSV files of a folder by name; those with positions get the tokens' ids and texts."""
    read = {"pandas": _pandas, "polars": _polars}.get(frames)
    if read is None:
        raise ValueError(f"frames: expected 'pandas' or 'polars', found {frames!r}")
    found = {path.stem: read(path) for path in sorted(folder.glob("*.csv"))}
    tokens = found.get("tokens")
    if tokens is None:
        return found
    names = tokens[["position", "token_id", "text"]]
    for name, table in found.items():
        if name != "tokens" and "position" in table.columns and "token_id" not in table.columns:
            found[name] = table.merge(names, on="position") if frames == "pandas" else table.join(names, on="position")
    return found


def _pandas(path: Path) -> Any:
    import pandas

    # An empty cell of a number is none; a text is never read as one.
    return pandas.read_csv(path, keep_default_na=False, na_values={name: [""] for name in _numbers(path)},
                           dtype={name: str for name in _header(path) if name in _TEXTS})


def _polars(path: Path) -> Any:
    import polars

    texts = {name: polars.String for name in _header(path) if name in _TEXTS}
    # The option has another name from polars 1.43 on.
    empty = ({"empty_string_is_null": False} if "empty_string_is_null" in inspect.signature(polars.read_csv).parameters
             else {"missing_utf8_is_empty_string": True})
    return polars.read_csv(path, schema_overrides=texts, infer_schema_length=None, **empty)


def _header(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig") as file:
        return file.readline().rstrip("\r\n").split(",")


def _numbers(path: Path) -> list[str]:
    return [name for name in _header(path) if name not in _TEXTS]


def _frame(columns: dict[str, Any], frames: str) -> Any:
    if frames == "pandas":
        import pandas

        return pandas.DataFrame(columns)
    if frames == "polars":
        import polars

        return polars.DataFrame(columns)
    raise ValueError(f"frames: expected 'pandas' or 'polars', found {frames!r}")


def tokens_table(ids: np.ndarray, texts: list[str], frames: str) -> Any:
    """Position, id and spelling of the tokens."""
    texts = texts if len(texts) == len(ids) else [""] * len(ids)
    return _frame({"position": np.arange(len(ids)), "token_id": ids, "token": texts}, frames)


def routing_table(run: Mapping[str, np.ndarray], frames: str) -> Any:
    """One row for each position, layer and expert, with the columns of routing.csv that the hooks hold."""
    parts = []
    layers = sorted(int(name.split(".")[1]) for name in run if name.endswith(".mlp.hook_router_logits"))
    for layer in layers:
        logits = run[f"blocks.{layer}.mlp.hook_router_logits"]
        positions, experts = logits.shape
        part = {
            "position": np.repeat(np.arange(positions), experts),
            "layer": np.full(logits.size, layer),
            "expert": np.tile(np.arange(experts), positions),
            "logit": logits.ravel(),
        }
        weights, chosen = f"blocks.{layer}.mlp.hook_mixing_weights", f"blocks.{layer}.mlp.hook_expert_indices"
        if weights in run and chosen in run:
            of = np.zeros_like(logits)
            np.put_along_axis(of, run[chosen], run[weights], axis=1)
            part["weight"] = of.ravel()
        parts.append(part)
    names = set.intersection(*(set(part) for part in parts))
    return _frame({name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name in names}, frames)
