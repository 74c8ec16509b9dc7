#!/usr/bin/env python3
"""Sweep a corpus on a Ray cluster: one task for each shard, and a task that merges the shards after them.

    python tools/cluster/sweep_ray.py --out sweep1 --shards 16 --cpus 8 -- path/to/Mixtral corpus/ --group-by folder

What follows `--` are arguments of `mixscope sweep`: a model, texts and options. Every node must see the program, the
model, the texts and --out under the same paths (shared storage); this is checked for --out. Shards are in OUT/shards,
with their logs.

A task whose worker, node or program is killed starts again, and continues where the shard stopped (`--resume`). A task
that fails for another reason, such as a wrong option, is not repeated. The same command again runs only shards that are
not done.
"""
from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

try:
    import ray
except ImportError:
    sys.exit("sweep_ray: the package ray is missing; pip install ray, in the version of the cluster")

OURS = {
    "--out": "give it before --", "--threads": "give --cpus before --", "--shard": "give --shards before --",
    "--resume": "shards continue by themselves", "--force": "shards are written again by themselves",
    "--merge": "the shards are merged after the last one", "-": "a task has no stdin; give files or folders",
    "--min-count": "give it in --tables", "--format": "give it in --tables",
    "--spreadsheet-safe": "give it in --tables",
}
# The keeper runs the program next to a worker. Its stdin is a pipe from the worker, which ends when the worker is killed:
# the program then gets SIGINT once, and keeps what it has counted. (Linux itself can send it more than once, and a second
# one ends mixscope at once.) If the keeper is killed, Linux ends the program (1 is PR_SET_PDEATHSIG); elsewhere the program
# goes on, and the next try waits for it.
KEEPER = """
import ctypes, os, signal, subprocess, sys, threading
def end_with_keeper():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=end_with_keeper)
def interrupt():
    os.read(0, 1)
    program.send_signal(signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
status = program.wait()
os._exit(status if status >= 0 else 128 - status)
"""


class Interrupted(Exception):
    """The program was ended by a signal, so the task is worth another try."""


class Failed(Exception):
    """The program ended with an error, which another try would meet again."""


@dataclass(frozen=True)
class Sweep:
    """What all tasks of a sweep share. Paths are relative to `cwd`."""

    program: str
    arguments: tuple[str, ...]
    tables: tuple[str, ...]
    out: str
    shards: int
    cpus: int
    cwd: str

    @property
    def folder(self) -> Path:
        return Path(self.cwd, self.out, "shards")

    def shard(self, number: int) -> Path:
        return self.folder / f"{number}-of-{self.shards}"

    def command(self) -> str:
        """What decides the content of the shards."""
        return shlex.join([str(self.shards), *self.arguments]) + "\n"

    def is_done(self, number: int) -> bool:
        return (self.shard(number) / "sweep.json").exists()  # written last


def call(sweep: Sweep, arguments: list[str], log: Path) -> None:
    """Runs the program; its messages go to the end of `log`."""
    command = [sys.executable, "-c", KEEPER, sweep.program, "sweep", *arguments]
    with log.open("ab") as messages:
        # The session of its own is out of reach when Ray ends the process group of a worker.
        keeper = subprocess.Popen(command, cwd=sweep.cwd, stdin=subprocess.PIPE, stdout=messages, stderr=messages,
                                  start_new_session=True)
        status = keeper.wait()
    place = f"on {socket.gethostname()}, see {log}"
    if status < 0 or status > 128:
        raise Interrupted(f"ended by a signal (status {status}) {place}")
    if status > 0:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if line.startswith(("error:", "mixscope:"))]
        raise Failed(f"status {status} {place}: {(errors or lines or [''])[-1]}")


def run_shard(sweep: Sweep, number: int) -> None:
    """Sweeps one shard, or continues it."""
    command = sweep.folder / "command"
    if not command.exists() or command.read_text() != sweep.command():
        raise Failed(f"{socket.gethostname()} does not see {command}; give --out on storage that all nodes share")
    folder, log = sweep.shard(number), sweep.folder / f"{number}.log"
    folder.mkdir(exist_ok=True)
    # mixscope locks its folder. If the program of an earlier try still writes, this waits until it is done.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks
    finally:
        os.close(descriptor)
    if sweep.is_done(number):
        return
    mode = "--resume" if (folder / "sweep.partial.safetensors").exists() else "--force"
    with log.open("a") as messages:
        messages.write(f"shard {number} of {sweep.shards}: {mode} on {socket.gethostname()}\n")
    call(sweep, [*sweep.arguments, "--shard", f"{number}/{sweep.shards}", "--out", str(folder), mode,
                 "--threads", str(sweep.cpus)], log)


def merge(sweep: Sweep) -> None:
    """Writes the sum of the shards."""
    shards = [str(sweep.shard(number)) for number in range(1, sweep.shards + 1)]
    # --force: files of a merge that was stopped are written again.
    call(sweep, ["--merge", *shards, "--out", sweep.out, "--force", *sweep.tables], sweep.folder / "merge.log")


def fail(text: str) -> NoReturn:
    print(f"sweep_ray: {text}", file=sys.stderr)
    sys.exit(2)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, found {text}")
    return number


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0], allow_abbrev=False,
                                     usage="%(prog)s --out DIR [OPTION...] -- [MODEL] TEXT... [OPTION OF SWEEP...]")
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="folder of the files, on shared storage")
    add("--shards", type=positive, default=8, metavar="N", help="number of shards and tasks [8]")
    add("--cpus", type=positive, default=4, metavar="N", help="cores of a task [4]")
    add("--memory", type=positive, metavar="GB", help="memory of a task; Ray then runs no more tasks than fit")
    add("--retries", type=int, default=10, metavar="N", help="how often a task starts again; -1: always [10]")
    add("--tables", default="", metavar="OPTIONS", help="options of the tables: '--min-count 5 --format csv'")
    add("--address", metavar="ADDRESS", help="the cluster [RAY_ADDRESS, the one of this machine, or a new one]")
    add("--program", default="mixscope", metavar="PATH", help="mixscope on the nodes [mixscope]")
    add("arguments", nargs="*", metavar="ARGUMENT", help="after --: arguments of mixscope sweep")
    args = parser.parse_args()
    if not args.arguments:
        parser.error("no texts; give the arguments of mixscope sweep after --")
    for argument in args.arguments:
        if advice := OURS.get(argument.partition("=")[0]):
            parser.error(f"{argument} after --: {advice}")
    return args


def prepare(sweep: Sweep) -> None:
    """Makes the folder of the shards, which are all of one command."""
    if Path(sweep.cwd, sweep.out, "sweep.json").exists():
        fail(f"{sweep.out} holds a finished sweep; give another --out")
    sweep.folder.mkdir(parents=True, exist_ok=True)
    command = sweep.folder / "command"
    if command.exists() and command.read_text() != sweep.command():
        fail(f"{sweep.folder} is of another command (shards and arguments): {command.read_text().strip()}; "
             "give another --out")
    command.write_text(sweep.command())


def main() -> None:
    args = arguments()
    program = shutil.which(args.program) or args.program
    sweep = Sweep(program, tuple(args.arguments), tuple(shlex.split(args.tables)), args.out, args.shards, args.cpus,
                  os.getcwd())
    prepare(sweep)
    ray.init(address=args.address)
    resources = {"num_cpus": args.cpus} | ({"memory": args.memory << 30} if args.memory else {})
    retries = {"max_retries": args.retries, "retry_exceptions": [Interrupted]}
    remote = ray.remote(**resources, **retries)(run_shard)
    tasks = {remote.remote(sweep, number): number for number in range(1, args.shards + 1) if not sweep.is_done(number)}
    failures: dict[int, str] = {}
    while tasks:
        for task in ray.wait(list(tasks))[0]:
            number = tasks.pop(task)
            try:
                ray.get(task)
                print(f"shard {number} of {args.shards} is done, {len(tasks)} to go", flush=True)
            except ray.exceptions.RayError as error:
                failures[number] = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
                print(f"shard {number} of {args.shards} failed: {failures[number]}", file=sys.stderr, flush=True)
    if failures:
        sys.exit(f"sweep_ray: {len(failures)} of {args.shards} shards failed; the same command again runs these only")
    ray.get(ray.remote(num_cpus=1, **retries)(merge).remote(sweep))
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
