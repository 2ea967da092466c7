"""Scaling: ours with one thread and with all, alone on the machine and beside busy cores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from .report import seconds
from .session import Measured, Plan, Worker, compare, ratio, rounds
from .workload import Workload

OURS = "adjoint"
QUIET = Plan(rounds=11, pinned=False).for_many()
BUSY = Plan(block=0.2, warm=0.1, rounds=9, pinned=False)
SHORT = 1e-3  # seconds of a step, below which threads are not expected to help
HEAD = "workload", "1 thread", "{} threads", "times as fast", "busy: 1", "{}", "times"


class Scaling(NamedTuple):
    """A workload's figures with one thread and with all, on a quiet and on a busy machine."""

    workload: Workload
    quiet: list[Measured]
    busy: list[Measured]


# Never rests, and ends with who started it.
RESTLESS = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(10**6):
        pass
"""


@contextlib.contextmanager
def noise(cores: int) -> Iterator[None]:
    """Processes that keep every core busy."""
    command = [sys.executable, "-c", RESTLESS, str(os.getpid())]
    working = [subprocess.Popen(command) for _ in range(cores)]
    try:
        yield
    finally:
        for process in working:
            process.kill()
            process.wait()


def scaling(
    name: str, workload: Workload, cores: int, say: Callable[[str], None]
) -> Scaling | None:
    """Both ways in turns; None where it does not run, or takes no time."""
    with tempfile.TemporaryDirectory() as caches:
        workers = [Worker(name, OURS, n, QUIET, caches) for n in (1, cores)]
        try:
            compare(workers, workload)
            if any(w.measured.failure or brief(w) for w in workers[:1]):
                return None
            quiet = timed(workers, QUIET, say)
            with noise(cores):
                return Scaling(workload, quiet, timed(workers, BUSY, say))
        finally:
            for w in workers:
                w.stop()


def brief(worker: Worker) -> bool:
    """Whether a step is over before others could help."""
    return worker.start["call"] / worker.start["steps"] < SHORT


def timed(workers: list[Worker], plan: Plan, say) -> list[Measured]:
    """What they measure under this plan."""
    for w in workers:
        w.measured.times.clear()
    rounds(workers, plan, say)
    return [replace(w.measured, times=[*w.measured.times]) for w in workers]


def rows(found: list[Scaling], cores: int) -> Iterator[list[str]]:
    """The head of the table, then a line for each workload."""
    yield [cell.format(cores) for cell in HEAD]
    for one in found:
        yield [one.workload.title, *_cells(one.quiet), *_cells(one.busy)]


def _cells(pair: list[Measured]) -> list[str]:
    one, many = pair
    if not (one.times and many.times):
        return [one.failure or many.failure, "", ""]
    return [seconds(one.median), seconds(many.median), f"{ratio(one, many):.2f}"]


def section(found: list[Scaling], cores: int) -> list[str]:
    """The part of RESULTS.md."""
    head, *lines = rows(found, cores)
    return [
        f"## One thread and {cores}",
        "",
        "Ours, compiled, in turns, nothing pinned; workloads of more than a millisecond. Goal: "
        f"{0.8 * cores:.1f} times as fast, or at the memory's limit. Busy: beside a process "
        "that never rests on each core; goal: at least 0.9.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]
