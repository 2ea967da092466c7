"""All threads on a machine whose cores are all busy, against one thread.

    python benchmarks/busy.py [workload ...]

One process on every core counts without end, and nothing is pinned. Goal: all threads never
more than a tenth slower than one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from harness.report import seconds
from harness.scaling import noise
from harness.session import Measured, Plan, measure, ratio
from harness.workload import load

# Few calls a block: with threads that spin a step can take some hundred times longer.
PLAN = Plan(block=0.01, rounds=9, pinned=False)
WORKLOADS = ("digits", "mnist", "pinn")
PEERS = ("adjoint", "adjoint eager", "torch", "jax")


def lines(found: list[Measured]) -> Iterator[str]:
    """For each competitor: one thread, all threads, and how they compare."""
    half = len(found) // 2
    for one, many in zip(found[:half], found[half:], strict=True):
        if not (one.times and many.times):
            yield f"  {one.name:<15}{one.failure or many.failure}"
            continue
        yield (
            f"  {one.name:<15}{seconds(one.median):>10}{seconds(many.median):>12}"
            f"{ratio(many, one):>12.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=WORKLOADS, metavar="workload")
    workloads, cores = load(), len(os.sched_getaffinity(0))
    for name in parser.parse_args().names:
        workload = workloads[name]
        peers = [p for p in PEERS if p in workload.forms]
        who = [(p, threads) for threads in (1, cores) for p in peers]
        found = measure(name, workload, who, PLAN, around=noise(cores))
        print(f"{workload.title}, {cores} busy cores")
        print(f"  {'':<15}{'1 thread':>10}{f'{cores} threads':>12}{'ratio':>12}")
        print("\n".join(lines(found)), flush=True)


if __name__ == "__main__":
    main()
