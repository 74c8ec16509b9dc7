"""What the module reads, against the files themselves. Needs the program (MIXSCOPE), pandas and polars; PyTorch and
TransformerLens where they are installed."""

import csv
import json
import struct

import numpy as np
import pytest

import mixscope

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def france():
    return mixscope.run("demo", PROMPT, steps=3)


def test_a_run_has_its_hooks_as_arrays(france):
    logits = france["blocks.5.mlp.hook_router_logits"]
    assert logits.dtype == np.float32 and logits.shape == (len(france.ids), 8)
    with open(france.path / "routing.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["layer"] == "5"]
    wanted = np.array([float(row["logit"]) for row in rows], np.float32).reshape(logits.shape)
    assert (logits == wanted).all(), "bfloat16 is widened exactly"
    assert france.tokens[0] == "<s>" and len(france.tokens) == len(france.ids)
    assert france.info["generated_text"] and france.layers == 6 and france.model == "demo"
    assert "tokens" not in list(france) and len(france) == len(list(france)) > 100


def test_patterns_are_probabilities(france):
    pattern = france.pattern(5)
    heads, queries, keys = pattern.shape
    assert (heads, queries) == (8, keys)
    assert np.abs(pattern.sum(-1) - 1).max() < 0.02 and np.triu(pattern[0], 1).max() == 0


@pytest.mark.parametrize("frames", ["pandas", "polars"])
def test_tables_have_ids_and_texts(france, frames):
    pytest.importorskip(frames)
    tables = france.tables(frames)
    assert {"tokens", "routing", "lens", "candidates", "attention"} <= set(tables)
    routing = tables["routing"]
    assert {"position", "layer", "expert", "token_id", "text"} <= set(routing.columns)
    assert len(routing) == len(france.ids) * 6 * 8
    alone = mixscope.load(france.path / "trace.safetensors").tables(frames)
    assert len(alone["routing"]) == len(routing) and len(alone["tokens"]) == len(france.ids)
    of = {(p, l, e): w for p, l, e, w in zip(*(list(routing[name]) for name in ("position", "layer", "expert", "weight")))}
    rows = zip(*(list(alone["routing"][name]) for name in ("position", "layer", "expert", "weight")))
    assert all(abs(of[p, l, e] - w) < 1e-6 for p, l, e, w in rows)


def test_tokens_that_are_spelled_na_stay_texts(tmp_path):
    pytest.importorskip("pandas")
    (tmp_path / "run.json").write_text('{"ids": [5, 6]}')
    (tmp_path / "tokens.csv").write_text("position,token_id,token,nll,text\n0,5,NA,,NA\n1,6,null,0.5,null\n")
    tokens = mixscope.load(tmp_path).tables()["tokens"]
    assert list(tokens["token"]) == ["NA", "null"] and np.isnan(tokens["nll"][0]) and tokens["nll"][1] == 0.5


def test_edits_change_the_run(france):
    banned = mixscope.run("demo", PROMPT, edits=["ban L5.E4", "ban L5.E0"])
    assert not np.isin(banned["blocks.5.mlp.hook_expert_indices"], [0, 4]).any()
    n = len(banned.ids)
    assert np.isin(france["blocks.5.mlp.hook_expert_indices"][:n], [0, 4]).any()
    # What comes before the edit is the same.
    assert (banned["blocks.4.hook_resid_post"] == france["blocks.4.hook_resid_post"][:n]).all()


def test_what_the_program_says_is_the_error():
    with pytest.raises(mixscope.MixscopeError, match="E9"):
        mixscope.run("demo", PROMPT, edits=["ban L5.E9"])
    with pytest.raises(ValueError, match="either prompt or prompt_ids"):
        mixscope.run("demo")


def test_damaged_and_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a trace"):
        mixscope.load(tmp_path)
    cut = tmp_path / "cut.safetensors"
    header = json.dumps({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    cut.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ValueError, match="x lies outside the file"):
        mixscope.load(cut)
    cut.write_bytes(b"<html>")
    with pytest.raises(ValueError, match="not a safetensors file"):
        mixscope.load(cut)


def test_the_cache_is_that_of_transformer_lens():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformer_lens")
    from pathlib import Path

    from transformer_lens import ActivationCache
    from transformer_lens.model_bridge import TransformerBridge

    folder = Path(__file__).resolve().parents[2] / "assets" / "demo"
    model = TransformerBridge.boot_transformers(str(folder), dtype=torch.float32, device="cpu")
    run = mixscope.run("demo", PROMPT, steps=3, options=["--precision", "f32"])
    cache = ActivationCache(run.cache("torch"), model)
    n = len(run.ids)
    assert cache["pattern", 5].shape == (1, 8, n, n)
    parts = cache.decompose_resid(apply_ln=False, mode="full")
    assert parts.shape == (1 + 2 * 6, 1, n, 128)
    assert np.allclose(parts.sum(0)[0], run["blocks.5.hook_resid_post"], rtol=1e-5, atol=1e-4)
    # Its own run of the same tokens has the same hooks.
    _, own = model.run_with_cache(torch.tensor(run.ids)[None])
    for name in ("blocks.0.hook_resid_post", "blocks.5.hook_resid_post"):
        distance = (own[name] - cache[name]).norm() / own[name].norm()
        assert distance < 1e-5, (name, float(distance))
