#!/usr/bin/env python3
"""Test sweep_ray.py on a cluster of several nodes on this machine: tools/cluster/test_ray.py [PROGRAM].

Kills a worker, a program and a node while they sweep, and compares the merged files with those of a single run. Needs
Linux and the package ray: python3 -m venv venv && venv/bin/pip install ray && venv/bin/python tools/cluster/test_ray.py
"""
from __future__ import annotations

import filecmp
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "tools/cluster/sweep_ray.py"
OPTIONS = ["--group-by", "file", "--null", "20"]
SHARDS = 5


def corpus_and_single_run(program: Path, folder: Path) -> float:
    """Copies pages of this repository until a single run takes long enough to interrupt its shards; returns seconds."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    (folder / "corpus").mkdir()
    for copy in range(1, 1000):
        for page in pages:
            shutil.copy(page, folder / "corpus" / f"{copy}-{page.name}")
        shutil.rmtree(folder / "single", ignore_errors=True)
        began = time.monotonic()
        subprocess.run([program, "sweep", folder / "corpus", *OPTIONS, "--min-count", "5", "--threads", "2", "--quiet",
                        "--out", folder / "single"], check=True, stdout=subprocess.DEVNULL)
        if (seconds := time.monotonic() - began) >= 25:
            return seconds
    sys.exit("test_ray: the corpus is still too small")


def parent(process: int) -> int:
    """The parent of a process; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def sweep_of(out: Path, shard: int) -> int:
    """The program that sweeps a shard; 0 if there is none. Its parent is the keeper, whose parent is Ray's worker."""
    words = ["--shard", f"{shard}/{SHARDS}", "--out", str(out / "shards" / f"{shard}-of-{SHARDS}")]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_text(errors="replace").split("\0")
        except OSError:
            continue
        if " ".join(words) in " ".join(command) and "-c" not in command:
            return int(path.parent.name)
    return 0


def interrupt(out: Path, shard: int, how: Callable[[int], None]) -> None:
    """Calls `how` with the process that sweeps a shard, once it has run for some seconds."""
    deadline = time.monotonic() + 300
    while not (process := sweep_of(out, shard)):
        if time.monotonic() > deadline:
            sys.exit(f"test_ray: shard {shard} did not start")
        time.sleep(0.1)
    time.sleep(3)
    if not parent(process):
        sys.exit(f"test_ray: shard {shard} ended before it could be interrupted; the corpus is too small")
    how(process)


def read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def main() -> None:
    program = Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "target/debug/mixscope").resolve()
    if not os.access(program, os.X_OK):
        sys.exit(f"{program} is not there: cargo build makes it")
    folder = Path(tempfile.mkdtemp(prefix="mixscope-ray-"))
    out, cluster = folder / "sweep", None
    try:
        print("== a single run", flush=True)
        print(f"{corpus_and_single_run(program, folder):.0f} s", flush=True)
        print("== a cluster with a head and three nodes of one core each", flush=True)
        node: dict[str, Any] = {"object_store_memory": 80 << 20, "num_cpus": 1}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False})
        nodes = [cluster.add_node(**node) for _ in range(3)]
        raylets = {found.all_processes["raylet"][0].process.pid: found for found in nodes}
        command = [sys.executable, str(SCRIPT), "--out", str(out), "--shards", str(SHARDS), "--cpus", "1",
                   "--tables", "--min-count 5", "--program", str(program), "--address", cluster.address]

        print("== wrong arguments are errors of the first try", flush=True)
        wrong = subprocess.run([*command, "--", str(folder / "corpus"), "--window", "100000"], capture_output=True,
                               text=True, check=False)
        assert wrong.returncode == 1 and "expected from 2 to" in wrong.stderr, wrong.stderr
        assert read(out / "shards/1.log").count("shard 1 of 5") == 1, read(out / "shards/1.log")
        shutil.rmtree(out)

        def node_of(program: int) -> Any:
            return raylets[parent(parent(parent(program)))]

        print("== five shards, three at once; a worker, a program and a node are killed", flush=True)
        arguments = ["--", str(folder / "corpus"), *OPTIONS]
        with (folder / "driver.log").open("w") as log:
            driver = subprocess.Popen([*command, *arguments], stdout=log, stderr=subprocess.STDOUT)
        interrupt(out, 1, lambda program: os.kill(parent(parent(program)), signal.SIGKILL))
        interrupt(out, 2, lambda program: os.kill(program, signal.SIGKILL))
        interrupt(out, 3, lambda program: cluster.remove_node(node_of(program), allow_graceful=False))
        status = driver.wait(timeout=900)
        logs = [read(out / "shards" / f"{shard}.log") for shard in range(1, SHARDS + 1)]
        assert status == 0, read(folder / "driver.log")
        assert "--resume" in logs[0], f"shard 1 did not continue:\n{logs[0]}"
        for shard in (2, 3):  # killed at once: at most half a minute is lost
            starts = logs[shard - 1].count(f"shard {shard} of {SHARDS}: ")
            assert starts == 2, f"shard {shard} did not start again:\n{logs[shard - 1]}"

        print("== compare", flush=True)
        names = sorted(path.name for path in (folder / "single").iterdir())
        found = sorted(path.name for path in out.iterdir() if path.name != "shards")
        assert names == found, f"expected {names}, found {found}"
        _, different, unread = filecmp.cmpfiles(folder / "single", out, names, shallow=False)
        assert not different and not unread, f"different: {different + unread}"
        again = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert again.returncode == 2 and "holds a finished sweep" in again.stderr, again.stderr
        print(f"{len(names)} files have the bytes of the single run")
    except BaseException:
        print(read(folder / "driver.log"), file=sys.stderr)
        raise
    finally:
        if cluster:
            cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
