"""From import to a running step, in a first process and in a second that finds its caches.

    python benchmarks/startup.py [workload ...]

Counted is what comes after the import: building, and what the first three calls took beyond
three steady ones. Caches begin empty. JAX's is switched on, the others' are on as they come.
"""

from __future__ import annotations

import argparse
import os
import tempfile

from harness.competitors import absent, bytecode
from harness.report import seconds
from harness.session import Plan, Worker
from harness.workload import load

WORKLOADS = ("scalar_call", "tiny_mlp_calls", "digits", "gpt_mini")
PEERS = ("adjoint", "torch.compile", "jax", "tinygrad")
COLUMNS = ("import", "first process", "second process")


def start(name: str, peer: str, caches: str) -> tuple[float, float] | str:
    """Seconds of the import and of the start, or why there are none."""
    worker = Worker(name, peer, 1, Plan(), caches)
    worker.stop()
    if not worker.start:
        return worker.measured.failure
    return worker.start["import"], worker.start["build"] + worker.start["cold"]


def line(name: str, peer: str) -> str:
    """A competitor's figures, of two processes one after the other."""
    with tempfile.TemporaryDirectory() as caches:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(caches, "jax")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        both = [start(name, peer, caches) for _ in range(2)]
    if failures := [b for b in both if isinstance(b, str)]:
        return f"  {peer:<15}{failures[0]}"
    (imported, first), (_, second) = both
    cells = (seconds(max(t, 0.0)) for t in (imported, first, second))
    return f"  {peer:<15}" + "".join(f"{c:>16}" for c in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=WORKLOADS, metavar="workload")
    workloads = load()
    bytecode()
    for name in parser.parse_args().names:
        print(workloads[name].title)
        print(f"  {'':<15}" + "".join(f"{c:>16}" for c in COLUMNS))
        for peer in PEERS:
            if peer in workloads[name].forms and not absent(peer):
                print(line(name, peer), flush=True)


if __name__ == "__main__":
    main()
