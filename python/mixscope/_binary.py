"""Running the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ._files import Run


class MixscopeError(RuntimeError):
    """mixscope failed; the message is what it said."""


def binary() -> str:
    """The path of the program: the variable MIXSCOPE, what was installed with this module, or what is on the PATH."""
    name = "mixscope.exe" if os.name == "nt" else "mixscope"
    places = [os.environ.get("MIXSCOPE"), os.path.join(sysconfig.get_path("scripts"), name), shutil.which(name)]
    found = next((place for place in places if place and os.path.isfile(place)), None)
    if found is None:
        raise FileNotFoundError(f"{name} is neither beside Python nor on the PATH; the variable MIXSCOPE can name it")
    return found


def run(
    model: str = "demo",
    prompt: str | None = None,
    *,
    prompt_ids: Iterable[int] | None = None,
    steps: int = 0,
    edits: Iterable[str] = (),
    out: str | os.PathLike[str] | None = None,
    options: Sequence[str] = (),
) -> Run:
    """Runs a model on a prompt and loads the result.

    `edits` are lines of the edit language, such as `"ban L3.E5"`. `out` is the folder of the files, which must not hold a run;
    without it they are in a temporary folder that goes with the `Run`. `options` are further options of `mixscope run`, such
    as `["--precision", "f32"]`.

    Raises MixscopeError with the program's own message if it fails.
    """
    if (prompt is None) == (prompt_ids is None):
        raise ValueError("give either prompt or prompt_ids")
    keep = tempfile.TemporaryDirectory(prefix="mixscope-") if out is None else None
    folder = Path(keep.name, "run") if keep else Path(os.fspath(out))
    what = ["--prompt", prompt] if prompt is not None else ["--prompt-ids", ",".join(map(str, prompt_ids))]
    command = [binary(), "run", os.fspath(model), *what, "--steps", str(steps), "--out", os.fspath(folder),
               "--format", "csv,json,trace", "--quiet"]
    for edit in edits:
        command += ["--edit", edit]
    done = subprocess.run([*command, *options], capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode != 0:
        raise MixscopeError(done.stderr.strip() or f"mixscope ended with status {done.returncode}")
    return Run(folder, keep)
