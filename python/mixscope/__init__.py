"""Runs, traces and sweeps of mixscope as arrays and frames.

    import mixscope
    run = mixscope.run("demo", "The capital of France is", edits=["ban L3.E5"])
    run["blocks.5.mlp.hook_router_logits"]      # [position, expert], float32
    run.tables()["routing"]                     # a pandas frame
"""

from ._binary import MixscopeError, binary, run
from ._files import Run, Sweep, load

__all__ = ["MixscopeError", "Run", "Sweep", "binary", "load", "run"]
